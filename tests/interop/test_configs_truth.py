"""Our config tables, parser and checks against the ConfigDefs in Apache Kafka's jars."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from barnabas.config import definitions, properties
from barnabas.config.broker import BrokerConfig
from barnabas.config.keys import ConfigKey
from barnabas.config.topics import effective, validate_topic_configs
from barnabas.config.values import ConfigError, read, to_text
from barnabas.wire.errors import KafkaError
from tests.interop.kafka import REPOSITORY as ROOT
from tests.interop.kafka_configs import ask_jars

pytestmark = pytest.mark.usefixtures("java")
TABLES = {
    "broker": {n: k for n, k in definitions.BROKER.items() if k.dynamic != "D"},
    "broker_dynamic_only": {n: k for n, k in definitions.BROKER.items() if k.dynamic == "D"},
    "topic": definitions.TOPIC,
    "group": definitions.GROUP,
}
TEXTS = (
    *("", " ", "0", "1", "-1", "-2", " 7 ", "\t+7\n", "1_0", "007", "1.0", "0.5", "1e-1", "5d"),
    *("NaN", "Infinity", "0x1p-1", ".5", "5.", "1e400", "2147483647", "2147483648", "32768"),
    *("9223372036854775807", "9223372036854775808", "٣", "true", "TRUE", " False", "yes", "null"),
    *("a", "a,b", " a , b ", "a,a", "a,", ",a", ",", "A,a", "*", "0:1", "0:1, 1:2", "0:1,x", "x:y"),
    *("broker", "broker,controller", "delete", "compact,delete", "delete,delete", "Compact"),
    *("zstd", "ZSTD", " gzip ", "CreateTime", "createtime", "LogAppendTime", "upgrade", "UPGRADE"),
    *("1@h:9", "1@h:9,2@[::1]:9", "@h:9", "1@h", "1@:9", "h:9", "h", "[::1]:9", "PLAINTEXT://h:9"),
    *(
        "classic",
        "classic,share",
        "none",
        "required",
        "REQUESTED",
        "SSL",
        "es256",
        "read_committed",
    ),
    *("latest", "Latest", "earliest", "by_duration:PT1H", "by_duration:P1DT2H", "by_duration:x"),
    *("by_duration:-PT1H", "by_duration:P", "by_duration:PT", "by_duration:pt0.5s", "by_duration:"),
    *("by_duration:P1W", "by_duration:PT1.5H", "by_duration:PT-1S", "INFO", "DEBUG", "trace"),
)


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generator", ROOT / "tools/generate_configs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_are_what_the_jars_say(java: Path) -> None:
    generator = _generator()
    text = generator.render(generator.dump(java))
    formatted = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "-q", "--stdin-filename", "definitions.py", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout
    assert formatted == (ROOT / "src/barnabas/config/definitions.py").read_text()


def _texts(key: ConfigKey) -> list[str]:
    """Texts to try on one config: the common ones, its default, and both sides of its limits."""
    limits = key.valid[1:] if key.valid is not None and key.valid[0] == "range" else ()
    near = [str(limit + step) for limit in limits if isinstance(limit, int) for step in (-1, 0, 1)]
    return [*TEXTS, *near, *([] if key.default is None else [key.default])]


def _ours(key: ConfigKey, text: str) -> tuple[bool, str | None]:
    try:
        return True, to_text(read(key, text))
    except ConfigError:
        return False, None


@pytest.mark.parametrize("kind", TABLES)
def test_every_value_is_read_as_kafka_reads_it(kind: str) -> None:
    # Kafka loads a class to check its name; a password's text is hidden.
    keys = [key for key in TABLES[kind].values() if key.type not in ("class", "password")]
    asked = [(key, text) for key in keys for text in _texts(key)]
    answers = ask_jars(
        {"value": {"kind": kind, "name": key.name, "value": text}} for key, text in asked
    )
    wrong = []
    for (key, text), answer in zip(asked, answers, strict=True):
        theirs = (answer["ok"], answer.get("value"))
        if theirs != _ours(key, text):
            wrong.append((key.name, text, theirs, _ours(key, text)))
    assert not wrong


NODE = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.bootstrap.servers": "localhost:9093",
    "listeners": "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093",
    "controller.listener.names": "CONTROLLER",
    "log.dirs": "/d1,/d2",
}
BROKER_ONLY: dict[str, str | None] = {
    "process.roles": "broker",
    "listeners": "PLAINTEXT://localhost:9092",
}
CONTROLLER_ONLY: dict[str, str | None] = {
    "process.roles": "controller",
    "listeners": "CONTROLLER://localhost:9093",
}
CHANGES: tuple[dict[str, str | None], ...] = (
    {},
    BROKER_ONLY,
    CONTROLLER_ONLY,
    {**CONTROLLER_ONLY, "advertised.listeners": "CONTROLLER://h:1"},
    {**BROKER_ONLY, "listeners": "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"},
    {**BROKER_ONLY, "controller.quorum.voters": "1@h:9"},
    {**BROKER_ONLY, "controller.quorum.voters": "2@h:9"},
    {**BROKER_ONLY, "controller.quorum.auto.join.enable": "true"},
    {**CONTROLLER_ONLY, "listeners": "CONTROLLER://localhost:9093,PLAINTEXT://localhost:9092"},
    {**CONTROLLER_ONLY, "inter.broker.listener.name": "CONTROLLER"},
    {"node.id": None},
    {"node.id": None, "broker.id": "4"},
    {"broker.id": "4"},
    {"process.roles": None},
    {"process.roles": "broker,"},
    {"controller.listener.names": None},
    {"controller.listener.names": "OTHER"},
    {"controller.quorum.bootstrap.servers": None},
    {"controller.quorum.bootstrap.servers": None, "controller.quorum.voters": "1@localhost:9093"},
    {"controller.quorum.voters": "2@localhost:9093"},
    {"listeners": "PLAINTEXT://:9092,CONTROLLER://:9093"},
    {"listeners": "plaintext://[::1]:9092,CONTROLLER://127.0.0.1:9093"},
    {"listeners": "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9092"},
    {"listeners": "PLAINTEXT://127.0.0.1:9092,CONTROLLER://[::1]:9092"},
    {"listeners": "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.2:9092"},
    {"listeners": "PLAINTEXT://:0,CONTROLLER://:0"},
    {"listeners": "PLAINTEXT://:9092,PLAINTEXT://:9094,CONTROLLER://:9093"},
    {"listeners": "PLAINTEXT://:9092,EXTERNAL://:9094,CONTROLLER://:9093"},
    {
        "listeners": "IN://:9092,EXTERNAL://:9094,CONTROLLER://:9093",
        "listener.security.protocol.map": "IN:PLAINTEXT, external:plaintext,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "in",
        "advertised.listeners": "IN://a:1,EXTERNAL://b:2",
    },
    {"listeners": "CONTROLLER://:9093"},
    {"listeners": "PLAINTEXT//:9092,CONTROLLER://:9093"},
    {"listeners": "PLAINTEXT://:9092"},
    {"listeners": ""},
    {"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT"},
    {"listener.security.protocol.map": "PLAINTEXT:NONE,CONTROLLER:PLAINTEXT"},
    {"advertised.listeners": "PLAINTEXT://example.org:1"},
    {"advertised.listeners": "PLAINTEXT://0.0.0.0:1"},
    {"advertised.listeners": "OTHER://example.org:1"},
    {"advertised.listeners": "CONTROLLER://example.org:1"},
    {"inter.broker.listener.name": "PLAINTEXT"},
    {"inter.broker.listener.name": "NONE"},
    {"inter.broker.listener.name": "PLAINTEXT", "security.inter.broker.protocol": "PLAINTEXT"},
    {"security.inter.broker.protocol": "SSL"},
    {"early.start.listeners": "PLAINTEXT"},
    {"early.start.listeners": "OTHER"},
    {"log.dirs": None},
    {"log.dirs": None, "log.dir": "/x"},
    {"log.dirs": ""},
    {"log.dirs": "/a, /b,/a", "metadata.log.dir": "/m"},
    {"cordoned.log.dirs": "/d2"},
    {"cordoned.log.dirs": "/d3"},
    {"cordoned.log.dirs": "*"},
    {"cordoned.log.dirs": "*,/d1"},
    {"log.retention.ms": "5", "log.retention.minutes": "6", "log.retention.hours": "7"},
    {"log.retention.minutes": "6", "log.retention.hours": "7"},
    {"log.retention.hours": "7"},
    {"log.retention.ms": "-7"},
    {"log.retention.ms": "0"},
    {"log.retention.minutes": "-1"},
    {"log.roll.ms": "0"},
    {"log.roll.hours": "2", "log.roll.jitter.hours": "1"},
    {"log.roll.ms": "9", "log.roll.hours": "2", "log.roll.jitter.ms": "3"},
    {"log.roll.jitter.ms": "-1"},
    {"log.flush.scheduler.interval.ms": "77"},
    {"log.flush.scheduler.interval.ms": "77", "log.flush.interval.ms": "5"},
    {"log.cleaner.threads": "0"},
    {"log.cleaner.threads": "128"},
    {"log.cleaner.dedupe.buffer.size": "1048577"},
    {"log.cleaner.dedupe.buffer.size": "1048576"},
    {"replica.fetch.wait.max.ms": "30001"},
    {"replica.lag.time.max.ms": "499"},
    {"queued.max.request.bytes": "5"},
    {"queued.max.request.bytes": "5", "socket.request.max.bytes": "5"},
    {"max.connections.per.ip": "0"},
    {"max.connections.per.ip": "0", "max.connections.per.ip.overrides": "127.0.0.1:5, h:6"},
    {"max.connections.per.ip.overrides": "a"},
    {"max.connections.per.ip.overrides": "a b:5"},
    {"connections.max.idle.ms": "100"},
    {"connections.max.idle.ms": "-1"},
    {"group.coordinator.rebalance.protocols": "consumer"},
    {"group.consumer.session.timeout.ms": "44999"},
    {"group.consumer.session.timeout.ms": "60001"},
    {"group.consumer.heartbeat.interval.ms": "15001"},
    {"group.consumer.min.session.timeout.ms": "5000", "group.consumer.session.timeout.ms": "5000"},
    {"group.consumer.assignment.interval.ms": "15001"},
    {"group.share.assignors": "a,b"},
    {"group.share.partition.max.record.locks": "4001"},
    {"group.share.max.share.sessions": "199"},
    {"group.share.delivery.count.limit": "1"},
    {"group.streams.num.standby.replicas": "3"},
    {"group.streams.max.assignment.interval.ms": "1", "group.streams.assignment.interval.ms": "2"},
    {"broker.heartbeat.interval.ms": "5000"},
    {"message.max.bytes": "5", "log.cleanup.policy": "compact", "min.insync.replicas": "2"},
    {"some.name": "x", "listener.name.plaintext.max.connections": "5"},
)


def _with(changes: dict[str, str | None]) -> dict[str, str]:
    merged: dict[str, str | None] = {**NODE, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _derived(config: BrokerConfig, seen: dict[str, Any]) -> dict[str, Any]:
    """Our counterpart of what ConfigDump derives from a broker's configs."""
    return {
        "log_map": {name: to_text(effective(config, {}, name)) for name in seen["log_map"]},
        "inter_broker": config.inter_broker_listener_name,
        "log_dirs": list(config.log_dirs),
        "metadata_log_dir": config.metadata_log_dir,
        "names": [endpoint.name for endpoint in config.listeners],
        "advertised": [(e.name, e.host, e.port) for e in config.advertised_broker_listeners],
    }


def test_broker_configs_stand_and_fall_as_in_kafka() -> None:
    answers = ask_jars({"broker": _with(changes)} for changes in CHANGES)
    for changes, answer in zip(CHANGES, answers, strict=True):
        try:
            config = BrokerConfig.from_properties(_with(changes))
        except ConfigError:
            config = None
        assert (config is not None) == answer["ok"], (changes, answer)
        if config is None:
            continue
        seen = answer["value"]
        seen["advertised"] = [tuple(endpoint) for endpoint in seen["advertised"]]
        derived = _derived(config, seen)
        assert {name: seen[name] for name in derived} == derived, changes


TOPICS: tuple[tuple[dict[str, str], dict[str, str | None]], ...] = (
    ({}, {}),
    ({}, {"log.retention.hours": "3", "message.max.bytes": "9", "log.cleanup.policy": "compact"}),
    ({"retention.ms": "5", "cleanup.policy": " compact , delete"}, {}),
    ({"min.compaction.lag.ms": "5"}, {"log.cleaner.max.compaction.lag.ms": "4"}),
    ({"min.compaction.lag.ms": "5"}, {"log.cleaner.max.compaction.lag.ms": "5"}),
    ({"max.compaction.lag.ms": "0"}, {}),
    ({"retention.ms": "-2"}, {}),
    ({"retention.bytes": "-2", "segment.bytes": "1048576", "internal.segment.bytes": "5"}, {}),
    ({"segment.bytes": "1048575"}, {}),
    ({"unknown": "5"}, {}),
    ({"remote.storage.enable": "true"}, {}),
    ({"remote.storage.enable": "false", "local.retention.ms": "-1"}, {}),
    ({"leader.replication.throttled.replicas": "*"}, {}),
    ({"min.cleanable.dirty.ratio": "0.25", "preallocate": "True"}, {"log.flush.interval.ms": "8"}),
)


def test_topic_configs_stand_and_fall_as_in_kafka() -> None:
    asked = [{"topic": {"configs": t, "broker": _with(broker)}} for t, broker in TOPICS]
    for (configs, broker), answer in zip(TOPICS, ask_jars(asked), strict=True):
        config = BrokerConfig.from_properties(_with(broker))
        try:
            validate_topic_configs(config, configs)
            valid = True
        except KafkaError:
            valid = False
        assert valid == answer["ok"], (configs, answer)
        if valid:
            ours = {name: to_text(effective(config, configs, name)) for name in answer["value"]}
            assert ours == answer["value"], configs


def test_properties_are_read_as_java_reads_them() -> None:
    chance = random.Random(4)
    pieces = [
        "a",
        "b=",
        ":",
        " ",
        "\t",
        "\f",
        "\\",
        "\\\n",
        "\\\r\n",
        "\n",
        "\r",
        "#",
        "!",
        "é",
        "€",
    ]
    pieces += ["\\u0041", "\\u20AC", "\\t", "\\:", "\\=", "\\ ", "k=v\n", "\\x", "k v"]
    # Java makes an empty key of a lone backslash at the very end; the last line keeps clear of it.
    texts = ["".join(chance.choices(pieces, k=chance.randrange(25))) + "\nz" for _ in range(3000)]
    wrong = []
    for text, answer in zip(texts, ask_jars({"properties": t} for t in texts), strict=True):
        assert answer["ok"], text
        ours = properties.load(text)
        if ours != answer["value"]:
            wrong.append((text, answer["value"], ours))
        assert properties.load(properties.dump(ours)) == ours
    assert not wrong
