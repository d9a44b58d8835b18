"""`barnabas format` beside Kafka's StorageTool: the same files, and each node starts on either's."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from barnabas.metadata.features import MV_LATEST, MV_MINIMUM
from barnabas.metadata.releases import levels_at, release_name
from tests.interop.conftest import WAIT_SECONDS
from tests.interop.kafka import (
    CLUSTER_ID,
    HOST,
    BarnabasProcess,
    KafkaProcess,
    ToolError,
    java_tool,
    run,
)
from tests.interop.swap import SwapBarnabas

pytestmark = [pytest.mark.usefixtures("java"), pytest.mark.timeout(300)]

BARNABAS = str(Path(sys.executable).with_name("barnabas"))
DIRECTORY = "JEXY6aqzQY-32P5TStzaFg"
STATIC = f"controller.quorum.voters=1@{HOST}:19093"
DYNAMIC = f"controller.quorum.bootstrap.servers={HOST}:19093"
#: (configuration, arguments) that both tools take.
FORMATS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    ((STATIC,), ()),
    ((STATIC, "log.dirs={0}/b,{0}/a", "metadata.log.dir={0}/m"), ()),
    ((STATIC, "log.dirs={0}/b,{0}/a"), ("--feature", "share.version=0")),
    ((DYNAMIC,), ("--standalone",)),
    ((DYNAMIC, "log.dirs={0}/b,{0}/a"), ("--standalone", "--release-version", "4.0-IV1")),
    ((DYNAMIC,), ("--initial-controllers", f"1@localhost:19093:{DIRECTORY}")),
    ((DYNAMIC,), ("-s", "-r", "3.9.1", "-f", "transaction.version=2")),
    ((STATIC,), ("--feature", "metadata.version=7")),
)
#: What both refuse.
REFUSED: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    ((DYNAMIC,), ()),
    ((STATIC,), ("--standalone",)),
    ((STATIC,), ("--feature", "kraft.version=1")),
    ((DYNAMIC,), ("--standalone", "--feature", "kraft.version=0")),
    ((STATIC,), ("--feature", "nothing=1")),
    ((STATIC,), ("--feature", "group.version=2")),
    ((STATIC,), ("--release-version", "2.8")),
    ((STATIC,), ("--release-version", "4.3", "--feature", "metadata.version=30")),
    ((STATIC,), ("--release-version", "3.9", "--feature", "eligible.leader.replicas.version=1")),
    ((DYNAMIC,), ("--initial-controllers", "1@h:1:short")),
    ((DYNAMIC,), ("--standalone", "--initial-controllers", f"1@h:1:{DIRECTORY}")),
)


def write_config(directory: Path, lines: tuple[str, ...]) -> Path:
    """A server.properties for a node in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "server.properties"
    common = (
        "process.roles=broker,controller",
        "node.id=1",
        f"listeners=PLAINTEXT://{HOST}:19092,CONTROLLER://{HOST}:19093",
        "controller.listener.names=CONTROLLER",
        "log.dirs={0}/data",
    )
    path.write_text("".join(line.format(directory) + "\n" for line in (*common, *lines)))
    return path


def format_both(
    directory: Path, lines: tuple[str, ...], arguments: tuple[str, ...], *, times: int = 1
) -> list[list[int]]:
    """Exit codes of both tools, Kafka's first, each called so many times."""
    codes = []
    for name in ("kafka", "ours"):
        config = str(write_config(directory / name, lines))
        words = ["format", "--config", config, "--cluster-id", CLUSTER_ID, *arguments]
        if name == "kafka":
            tool = "kafka.tools.StorageTool"
            done = [java_tool(tool, *words, check=False) for _ in range(times)]
        else:
            done = [run([BARNABAS, *words], check=False) for _ in range(times)]
        codes.append([each.returncode for each in done])
    return codes


def content(directory: Path) -> dict[str, list[dict[str, Any]]]:
    """Every file below a directory, item by item, without times and random ids."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        # Who formats holds the lock of the directory; Kafka's tool does not take it.
        if path.is_dir() or path.name in ("server.properties", ".lock"):
            continue
        dumped = run([BARNABAS, "log", "dump", "--records", "-o", "json", str(path)]).stdout
        items = [_plain(json.loads(line)) for line in dumped.splitlines()]
        found[name] = sorted(items, key=repr) if path.name == "meta.properties" else items
    return found


def _plain(item: Any) -> Any:
    if isinstance(item, list):
        return [_plain(each) for each in item]
    if not isinstance(item, dict):
        return item
    known = (DIRECTORY, CLUSTER_ID)
    plain = {name: _plain(value) for name, value in item.items() if name not in ("crc", "path")}
    for name, value in plain.items():
        if "timestamp" in name and name != "timestamp_type":
            plain[name] = "a time" if value else value
        elif name == "voter_directory_id" and value not in known:
            plain[name] = "an id"
    if item.get("name") == "directory.id" and item["value"] not in known:
        plain["value"] = "an id"
    return plain


@pytest.mark.parametrize(("lines", "arguments"), FORMATS)
def test_the_files_are_the_same(
    tmp_path: Path, lines: tuple[str, ...], arguments: tuple[str, ...]
) -> None:
    assert format_both(tmp_path, lines, arguments) == [[0], [0]]
    theirs, ours = content(tmp_path / "kafka"), content(tmp_path / "ours")
    assert theirs
    assert ours == theirs
    sizes = [
        {
            str(path.relative_to(tmp_path / name)): path.stat().st_size
            for path in (tmp_path / name).rglob("*.checkpoint")
        }
        for name in ("kafka", "ours")
    ]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(("lines", "arguments"), REFUSED)
def test_both_refuse(tmp_path: Path, lines: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    (theirs,), (ours,) = format_both(tmp_path, lines, arguments)
    assert theirs != 0
    assert ours != 0
    assert content(tmp_path / "ours") == content(tmp_path / "kafka") == {}


def test_formatting_twice(tmp_path: Path) -> None:
    (first, again), ours = format_both(tmp_path / "a", (STATIC,), (), times=2)
    assert (first == 0, again == 0) == (True, False)
    assert [code == 0 for code in ours] == [True, False]
    lenient = format_both(tmp_path / "b", (STATIC,), ("--ignore-formatted",), times=2)
    assert lenient == [[0, 0], [0, 0]]
    assert content(tmp_path / "b" / "ours") == content(tmp_path / "b" / "kafka")


def test_the_levels_of_every_release_are_kafkas() -> None:
    # On both sides of every level at which a feature came.
    for level in (MV_MINIMUM, 21, 22, 23, 24, 25, 26, 27, 28, 29, MV_LATEST):
        name = release_name(level)
        words = ("version-mapping", "--release-version", name)
        lines = java_tool("kafka.tools.StorageTool", *words).stdout.splitlines()
        told = {part.split("=")[0]: int(part.split("=")[1].split()[0]) for part in lines}
        told.pop("kraft.version")
        assert told == levels_at(level), name


class OursFormatted(KafkaProcess):
    """A real node on a directory that `barnabas format` made."""

    def _format(self) -> None:
        run(
            [BARNABAS, "format", "--config", str(self.properties_path), "--standalone",
             "--cluster-id", CLUSTER_ID],
        )  # fmt: skip


def beside(kafka: KafkaProcess) -> SwapBarnabas:
    """A node of ours with the directory and the server.properties of a real one."""
    ours = SwapBarnabas(kafka.directory)
    ours.port = kafka.port
    return ours


def work(address: str, topic: str) -> None:
    """Create a topic; it must come to be."""
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(WAIT_SECONDS)


def topics(address: str) -> set[str]:
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    return set(admin.list_topics(timeout=WAIT_SECONDS).topics)


def test_kafka_starts_on_what_we_formatted_and_ours_after_it(tmp_path: Path) -> None:
    kafka = OursFormatted(tmp_path)
    with kafka:
        work(kafka.address, "theirs")
    ours = beside(kafka)
    with ours:
        assert topics(ours.address) == {"theirs"}
        work(ours.address, "ours")
        found = run([BARNABAS, "cluster", "quorum", "-o", "json", "-b", ours.address]).stdout
        assert json.loads(found)["replicas"][0]["directory_id"] is not None
    with kafka:
        assert topics(kafka.address) == {"ours", "theirs"}


def test_kafka_starts_with_the_voters_that_we_wrote_down(tmp_path: Path) -> None:
    """A static quorum of ours becomes a dynamic one (kraft.version 1); Kafka finds itself in it."""
    ours = BarnabasProcess(tmp_path)
    with ours:
        work(ours.address, "ours")
        raise_it = ["cluster", "features", "upgrade", "kraft.version=1", "-b", ours.address]
        run([BARNABAS, *raise_it])
    kafka = DynamicKafka(tmp_path)
    with kafka:
        assert topics(kafka.address) == {"ours"}
        work(kafka.address, "theirs")
        told = java_tool(
            "org.apache.kafka.tools.MetadataQuorumCommand",
            *("--bootstrap-server", kafka.address, "describe", "--replication"),
        ).stdout
        assert "Leader" in told
    with ours:
        assert topics(ours.address) == {"ours", "theirs"}


class DynamicKafka(KafkaProcess):
    """A real node that finds its voters in the metadata log, whatever quorum-state says yet."""

    def _quorum(self) -> dict[str, str]:
        return {"controller.quorum.bootstrap.servers": f"{HOST}:{self.controller_port}"}


def test_a_directory_that_kafka_formatted_needs_nothing_else(tmp_path: Path) -> None:
    kafka = KafkaProcess(tmp_path)
    kafka.prepare()
    ours = beside(kafka)
    with ours:
        work(ours.address, "ours")
    with pytest.raises(ToolError):
        run([BARNABAS, "format", "--config", str(kafka.properties_path), "--standalone"])
    with kafka:
        assert topics(kafka.address) == {"ours"}
