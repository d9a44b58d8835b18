"""Entries of DescribeConfigs: values, sources, synonyms."""

from __future__ import annotations

from barnabas.config import definitions
from barnabas.config.describe import (
    Entry,
    Source,
    Synonym,
    describe_broker,
    describe_client_metrics,
    describe_cluster,
    describe_created_topic,
    describe_group,
    describe_topic,
)
from tests.unit.config.configs import broker_config


def one(entries: list[Entry]) -> Entry:
    (entry,) = entries
    return entry


def test_a_topic_without_configs_shows_all_but_the_hidden() -> None:
    entries = describe_topic(broker_config(), {})
    shown = [key.name for key in definitions.TOPIC.values() if not key.hidden]
    assert [entry.name for entry in entries] == sorted(shown)
    assert {entry.source for entry in entries} == {Source.DEFAULT}


def test_a_topics_value_stands_before_those_of_the_node() -> None:
    config = broker_config({"log.retention.ms": "1"}).with_dynamic(
        {"log.retention.ms": "2"}, {"log.retention.ms": "3"}
    )
    entry = one(describe_topic(config, {"retention.ms": " 4 "}, ["retention.ms"]))
    assert entry == Entry(
        name="retention.ms",
        value="4",
        source=Source.TOPIC,
        type_id=5,
        sensitive=False,
        read_only=False,
        synonyms=(
            Synonym("retention.ms", "4", Source.TOPIC),
            Synonym("log.retention.ms", "3", Source.DYNAMIC_BROKER),
            Synonym("log.retention.ms", "2", Source.DYNAMIC_DEFAULT_BROKER),
            Synonym("log.retention.ms", "1", Source.STATIC_BROKER),
            Synonym("log.retention.hours", "168", Source.DEFAULT),
        ),
    )


def test_a_value_by_a_later_synonym_counts_as_default() -> None:
    config = broker_config({"log.retention.hours": "1"})
    entry = one(describe_topic(config, {}, ["retention.ms"]))
    assert (entry.value, entry.source, entry.synonyms) == ("3600000", Source.DEFAULT, ())
    entry = one(describe_broker(config, ["log.retention.hours"]))
    assert (entry.value, entry.source) == ("1", Source.STATIC_BROKER)
    assert [synonym.value for synonym in entry.synonyms] == ["1", "168"]


def test_what_a_topic_sets_of_hidden_own_and_unknown_names_shows() -> None:
    overrides = {"internal.segment.bytes": "5", "barnabas.ack.mode": "synced", "old.name": "x"}
    entries = describe_topic(broker_config(), overrides, list(overrides))
    assert [(entry.name, entry.value, entry.type_id, entry.sensitive) for entry in entries] == [
        ("barnabas.ack.mode", "synced", 2, False),
        ("internal.segment.bytes", "5", 3, False),
        ("old.name", None, 0, True),
    ]


def test_a_broker_shows_what_is_set_and_hides_what_is_secret() -> None:
    config = broker_config(
        {
            "ssl.keystore.password": "hunter2",
            "listener.name.plaintext.ssl.keystore.password": "hunter2",
            "some.name": "hunter2",
            "unstable.api.versions.enable": "false",
        }
    )
    entries = {entry.name: entry for entry in describe_broker(config)}
    assert "hunter2" not in repr(entries)
    assert entries["ssl.keystore.password"].sensitive
    assert entries["ssl.keystore.password"].source is Source.STATIC_BROKER
    assert entries["listener.name.plaintext.ssl.keystore.password"].type_id == 9
    assert entries["some.name"].sensitive
    assert entries["unstable.api.versions.enable"].value == "false"
    assert "leader.replication.throttled.rate" not in entries
    assert "barnabas.ack.mode" not in entries
    assert entries["node.id"].read_only
    assert not entries["message.max.bytes"].read_only


def test_dynamic_only_configs_show_once_they_are_set() -> None:
    config = broker_config().with_dynamic({}, {"leader.replication.throttled.rate": "5"})
    entry = one(describe_broker(config, ["leader.replication.throttled.rate"]))
    assert (entry.value, entry.source, entry.read_only) == ("5", Source.DYNAMIC_BROKER, False)


def test_the_cluster_shows_only_its_own_level() -> None:
    assert describe_cluster(broker_config()) == []
    config = broker_config({"message.max.bytes": "1"}).with_dynamic(
        {"message.max.bytes": " 2 ", "unknown.name": "x"}, {"message.max.bytes": "3"}
    )
    entries = describe_cluster(config)
    assert [(entry.name, entry.value) for entry in entries] == [
        ("message.max.bytes", " 2 "),
        ("unknown.name", None),
    ]
    assert entries[0].source is Source.DYNAMIC_DEFAULT_BROKER
    assert len(entries[0].synonyms) == 1


def test_unknown_names_asked_for_are_left_out() -> None:
    assert describe_broker(broker_config(), ["no.such.config"]) == []
    assert describe_topic(broker_config(), {}, ["no.such.config"]) == []


def test_a_group_falls_back_on_the_broker() -> None:
    config = broker_config({"group.consumer.session.timeout.ms": "46000"})
    name = "consumer.session.timeout.ms"
    entry = one(describe_group(config, {}, [name]))
    assert (entry.value, entry.source) == ("46000", Source.STATIC_BROKER)
    entry = one(describe_group(config, {name: "47000"}, [name]))
    assert (entry.value, entry.source, len(entry.synonyms)) == ("47000", Source.GROUP, 3)
    entry = one(describe_group(config, {name: "bad"}, [name]))
    assert entry.value == "46000"
    entry = one(describe_group(config, {}, ["share.isolation.level"]))
    assert (entry.value, entry.source) == ("read_uncommitted", Source.DEFAULT)


def test_a_metrics_subscription() -> None:
    entries = describe_client_metrics({"interval.ms": "1000"})
    assert [(entry.name, entry.value, entry.source) for entry in entries] == [
        ("interval.ms", "1000", Source.CLIENT_METRICS),
        ("match", "", Source.DEFAULT),
        ("metrics", "", Source.DEFAULT),
    ]


def test_the_answer_to_a_creation_names_the_level_of_each_value() -> None:
    config = broker_config(
        {"log.retention.hours": " 2", "log.cleanup.policy": "delete, compact"}
    ).with_dynamic({"message.max.bytes": "5"}, {"log.roll.ms": "6"})
    overrides = {"flush.ms": " 7 ", "internal.segment.bytes": "8"}
    entries = {entry.name: entry for entry in describe_created_topic(config, overrides)}
    assert {name: entries[name][1:3] for name in entries if entries[name].source != 5} == {
        "retention.ms": ("7200000", Source.STATIC_BROKER),
        "cleanup.policy": ("delete, compact", Source.STATIC_BROKER),
        "max.message.bytes": ("5", Source.DYNAMIC_DEFAULT_BROKER),
        "segment.ms": ("6", Source.DYNAMIC_BROKER),
        "flush.ms": (" 7 ", Source.TOPIC),
        "internal.segment.bytes": ("8", Source.TOPIC),
    }
    assert entries["segment.bytes"].value == "1073741824"
