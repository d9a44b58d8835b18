"""Valid requests of every API about topics, partitions, configs and the cluster.

Each is one tree for all versions: what a version does not have is left out of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from barnabas.records.builder import build_batch
from barnabas.records.compression import Codec
from tests.interop.differential.sent import Case, Tree, topic_id

DAY_0 = 1_700_000_000_000
"""Timestamps of all records: retention is not looked at while the test runs."""

TOPICS: dict[str, tuple[int, dict[str, str]]] = {
    "alpha": (3, {}),
    "beta": (1, {"cleanup.policy": "compact"}),
    "gamma": (2, {"message.timestamp.type": "LogAppendTime", "retention.bytes": "1000000"}),
    "empty": (1, {}),
    "ledger": (2, {}),
}
"""Prepared: partitions and configs."""

NO_ONE = bytes([7] * 16)
ANY_SIZE = 1 << 20
Base = tuple[str, Tree, list[Case]]


def batch(
    *values: bytes,
    key: bytes | None = b"k",
    codec: Codec = Codec.NONE,
    at: int = DAY_0,
    **producer: Any,
) -> bytes:
    """A good batch."""
    records = [(key, value, at + number, ()) for number, value in enumerate(values)]
    return bytes(build_batch(records, codec=codec, **producer))


def create(name: str, partitions: int = 2, **more: Any) -> Case:
    """A case that makes a topic."""
    topic = {"name": name, "num_partitions": partitions, "replication_factor": 1, **more}
    return Case(f"make {name}", 19, 7, {"topics": [topic], "timeout_ms": 30_000}, valid=True)


def produce(name: str, records: bytes, partition: int = 0, **more: Any) -> Case:
    """A case that writes to a topic."""
    part = {"index": partition, "records": records}
    topic = {"name": name, "topic_id": topic_id(name), "partition_data": [part]}
    tree = {"acks": -1, "timeout_ms": 10_000, "topic_data": [topic], **more}
    return Case(f"write to {name}", 0, 12, tree, valid=True)


def fetch_tree(name: str, partition: int = 0, offset: int = 0, **more: Any) -> dict[str, Any]:
    """A fetch of one partition, without a session."""
    part = {"partition": partition, "fetch_offset": offset, "partition_max_bytes": ANY_SIZE}
    topic = {"topic": name, "topic_id": topic_id(name), "partitions": [part]}
    tree = {"max_wait_ms": 100, "min_bytes": 0, "max_bytes": 8 * ANY_SIZE, "session_epoch": -1}
    return {**tree, "replica_id": -1, "topics": [topic], **more}


def _produce() -> list[Base]:
    def tree(records: bytes, name: str = "alpha", acks: int = -1) -> Tree:
        return {**produce(name, records).tree, "acks": acks}

    three = batch(b"one", b"two", b"three")
    found: list[Base] = [
        ("three records", tree(three), []),
        ("acks=1", tree(three, acks=1), []),
        ("acks=0", tree(three, acks=0), []),
        ("to a compacted topic", tree(three, "beta"), []),
        ("with the time of append", tree(three, "gamma"), []),
        ("with a tombstone", tree(bytes(build_batch([(b"k", None, DAY_0, ())]))), []),
    ]
    for codec in (Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD):
        found.append((f"in {codec.name}", tree(batch(b"x" * 300, b"y", codec=codec)), []))
    return found


def _fetch() -> list[Base]:
    return [
        ("from the start", fetch_tree("alpha"), []),
        ("read_committed", fetch_tree("alpha", isolation_level=1), []),
        ("at 2", fetch_tree("alpha", 0, 2), []),
        ("of nothing", fetch_tree("empty"), []),
        ("of no topics", {**fetch_tree("empty"), "topics": []}, []),
        ("of few bytes", fetch_tree("beta", max_bytes=1), []),
    ]


def _list_offsets() -> list[Base]:
    def tree(*times: int, isolation: int = 0) -> Tree:
        parts = [{"partition_index": n, "timestamp": time} for n, time in enumerate(times)]
        topic = {"name": "alpha", "partitions": parts}
        tree = {"replica_id": -1, "isolation_level": isolation, "topics": [topic]}
        return {**tree, "timeout_ms": 5_000}

    found: list[Base] = [
        (f"at {t}", tree(t, t, t), []) for t in (-1, -2, -3, DAY_0, DAY_0 + 2, DAY_0 * 2)
    ]
    committed: Base = ("committed", tree(-1, -2, DAY_0, isolation=1), [])
    return [*found, committed]


def _metadata() -> list[Base]:
    def tree(*topics: Tree, **more: Any) -> Tree:
        return {"topics": list(topics), "allow_auto_topic_creation": False, **more}

    named = [{"name": name, "topic_id": bytes(16)} for name in TOPICS]
    allowed = {
        "include_cluster_authorized_operations": True,
        "include_topic_authorized_operations": True,
    }
    return [
        ("of all", {"topics": None, "allow_auto_topic_creation": False}, []),
        ("of none", tree(), []),
        ("of four", tree(*named), []),
        ("with operations", tree(*named, **allowed), []),
        ("by id", tree({"name": None, "topic_id": topic_id("alpha")}), []),
    ]


def _create_topics() -> list[Base]:
    def tree(name: str, *, check: bool = False, **more: Any) -> Tree:
        topic = {"name": name, "num_partitions": 2, "replication_factor": 1, **more}
        return {"topics": [topic], "timeout_ms": 30_000, "validate_only": check}

    configs = [{"name": "cleanup.policy", "value": "compact,delete"}]
    defaults: dict[str, Any] = {"num_partitions": -1, "replication_factor": -1}
    placed = [{"partition_index": n, "broker_ids": [1]} for n in range(3)]
    assigned: dict[str, Any] = {
        "num_partitions": -1,
        "replication_factor": -1,
        "assignments": placed,
    }
    return [
        ("of two partitions", tree("new-{n}"), []),
        ("that are only checked", tree("new-{n}", check=True), []),
        ("with configs", tree("new-{n}", configs=configs), []),
        ("by defaults", tree("new-{n}", **defaults), []),
        ("with replicas named", tree("new-{n}", **assigned), []),
    ]


def _delete_topics() -> list[Base]:
    made = [create("del-{n}")]
    both = {"topic_names": ["del-{n}"], "timeout_ms": 30_000}
    by_id = {"name": None, "topic_id": topic_id("del-{n}")}
    return [
        ("by name", {**both, "topics": [{"name": "del-{n}"}]}, made),
        ("by id", {**both, "topics": [by_id]}, made),
    ]


def _delete_records() -> list[Base]:
    before = [create("cut-{n}"), produce("cut-{n}", batch(b"a", b"b", b"c"))]

    def tree(offset: int) -> Tree:
        part = {"partition_index": 0, "offset": offset}
        return {"topics": [{"name": "cut-{n}", "partitions": [part]}], "timeout_ms": 30_000}

    return [(f"before {offset}", tree(offset), before) for offset in (0, 2, -1)]


def _for_epoch() -> list[Base]:
    part = {"partition": 0, "current_leader_epoch": -1, "leader_epoch": 0}
    tree = {"replica_id": -1, "topics": [{"topic": "alpha", "partitions": [part]}]}
    return [("of the first epoch", tree, [])]


def _describe_configs() -> list[Base]:
    def tree(kind: int, name: str, keys: list[str] | None = None, **more: Any) -> Tree:
        one = {"resource_type": kind, "resource_name": name, "configuration_keys": keys}
        return {"resources": [one], **more}

    return [
        ("of a topic", tree(2, "gamma"), []),
        ("with synonyms", tree(2, "gamma", include_synonyms=True), []),
        ("of two keys", tree(2, "beta", ["cleanup.policy", "retention.ms"]), []),
        ("of the broker", tree(4, "1", include_synonyms=True), []),
        ("of the default broker", tree(4, ""), []),
        ("of a group", tree(32, "club"), []),
        ("of a subscription", tree(16, "nobody"), []),
    ]


def _alter_configs() -> list[Base]:
    def tree(kind: int, name: str, key: str, value: str, *, check: bool = False) -> Tree:
        one = {"name": key, "value": value}
        resource = {"resource_type": kind, "resource_name": name, "configs": [one]}
        return {"resources": [resource], "validate_only": check}

    made = [create("conf-{n}")]
    return [
        ("of a topic", tree(2, "conf-{n}", "retention.ms", "900000"), made),
        ("of a group", tree(32, "group-{n}", "consumer.session.timeout.ms", "50000"), []),
        ("that are only checked", tree(2, "alpha", "retention.ms", "9", check=True), []),
    ]


def _incremental() -> list[Base]:
    def tree(kind: int, name: str, key: str, operation: int, value: str | None) -> dict[str, Any]:
        one = {"name": key, "config_operation": operation, "value": value}
        resource = {"resource_type": kind, "resource_name": name, "configs": [one]}
        return {"resources": [resource]}

    made = [create("conf-{n}")]
    return [
        ("set", tree(2, "conf-{n}", "retention.ms", 0, "800000"), made),
        ("delete", tree(2, "conf-{n}", "retention.ms", 1, None), made),
        ("append", tree(2, "conf-{n}", "cleanup.policy", 2, "compact"), made),
        ("subtract", tree(2, "conf-{n}", "cleanup.policy", 3, "delete"), made),
        ("of a group", tree(32, "group-{n}", "consumer.heartbeat.interval.ms", 0, "6000"), []),
        ("of a subscription", tree(16, "sub-{n}", "interval.ms", 0, "5000"), []),
        ("of the broker", tree(4, "1", "log.cleaner.backoff.ms", 0, "16000"), []),
        ("of all brokers", tree(4, "", "log.cleaner.backoff.ms", 0, "17000"), []),
        (
            "that are only checked",
            {**tree(2, "alpha", "retention.ms", 0, "5"), "validate_only": True},
            [],
        ),
    ]


def _log_dirs() -> list[Base]:
    named = [{"topic": "alpha", "partitions": [0, 1]}, {"topic": "empty", "partitions": [0]}]
    return [("of two topics", {"topics": named}, [])]


def _create_partitions() -> list[Base]:
    made = [create("more-{n}")]

    def tree(count: int, assignments: Any = None, *, check: bool = False) -> Tree:
        topic = {"name": "more-{n}", "count": count, "assignments": assignments}
        return {"topics": [topic], "timeout_ms": 30_000, "validate_only": check}

    return [
        ("to four", tree(4), made),
        ("with replicas", tree(3, [{"broker_ids": [1]}]), made),
        ("that are only checked", tree(5, check=True), made),
    ]


def _elect() -> list[Base]:
    topics = [{"topic": "alpha", "partitions": [0, 1]}]
    return [
        ("preferred", {"topic_partitions": topics, "timeout_ms": 10_000}, []),
        ("unclean", {"topic_partitions": topics, "timeout_ms": 10_000, "election_type": 1}, []),
        ("everywhere", {"topic_partitions": None, "timeout_ms": 10_000}, []),
    ]


def _reassign() -> list[Base]:
    def tree(replicas: list[int] | None) -> Tree:
        part = {"partition_index": 0, "replicas": replicas}
        return {"timeout_ms": 30_000, "topics": [{"name": "alpha", "partitions": [part]}]}

    return [("to where it is", tree([1]), [])]


def _reassignments() -> list[Base]:
    topics = [{"name": "alpha", "partition_indexes": [0]}]
    return [
        ("of all", {"timeout_ms": 10_000, "topics": None}, []),
        ("of one", {"timeout_ms": 10_000, "topics": topics}, []),
    ]


def _quotas() -> list[Base]:
    one = {"entity_type": "user", "match_type": 0, "match": "ann"}
    return [
        ("of a user", {"components": [one], "strict": False}, []),
        ("of users", {"components": [{**one, "match_type": 2, "match": None}]}, []),
        ("of the default", {"components": [{**one, "match_type": 1, "match": None}]}, []),
        ("of all", {"components": []}, []),
        ("strictly", {"components": [one], "strict": True}, []),
    ]


def _alter_quotas() -> list[Base]:
    def tree(kind: str, name: str | None, **op: Any) -> Tree:
        entity = {"entity_type": kind, "entity_name": name}
        change = {"key": "producer_byte_rate", "value": 1e9, **op}
        return {"entries": [{"entity": [entity], "ops": [change]}], "validate_only": False}

    return [
        ("of a user", tree("user", "user-{n}"), []),
        ("of a client", tree("client-id", "client-{n}", key="consumer_byte_rate"), []),
        ("removed", tree("user", "user-{n}", remove=True), []),
        ("only checked", {**tree("user", "user-{n}"), "validate_only": True}, []),
    ]


def _features() -> list[Base]:
    def tree(name: str, level: int, **more: Any) -> Tree:
        one = {"feature": name, "max_version_level": level, "upgrade_type": 1, **more}
        return {"timeout_ms": 30_000, "feature_updates": [one], "validate_only": True}

    return [("only checked", tree("group.version", 1), [])]


def _producers() -> list[Base]:
    return [("of two", {"topics": [{"name": "alpha", "partition_indexes": [0, 1]}]}, [])]


def _quorum() -> list[Base]:
    part = {"partition_index": 0}
    return [("of it", {"topics": [{"topic_name": "__cluster_metadata", "partitions": [part]}]}, [])]


def _partitions() -> list[Base]:
    names = [{"name": name} for name in sorted(TOPICS)]
    return [
        ("of four", {"topics": names, "response_partition_limit": 2000}, []),
        ("in pages", {"topics": names, "response_partition_limit": 3}, []),
        (
            "behind a cursor",
            {
                "topics": names,
                "response_partition_limit": 3,
                "cursor": {"topic_name": "beta", "partition_index": 0},
            },
            [],
        ),
    ]


def _one(label: str, **tree: Any) -> Callable[[], list[Base]]:
    return lambda: [(label, tree, [])]


VALID: dict[int, Callable[[], list[Base]]] = {
    0: _produce,
    1: _fetch,
    2: _list_offsets,
    3: _metadata,
    18: _one("of us", client_software_name="tests", client_software_version="1.0"),
    19: _create_topics,
    20: _delete_topics,
    21: _delete_records,
    23: _for_epoch,
    32: _describe_configs,
    33: _alter_configs,
    35: _log_dirs,
    37: _create_partitions,
    43: _elect,
    44: _incremental,
    45: _reassign,
    46: _reassignments,
    48: _quotas,
    49: _alter_quotas,
    50: _one("of nobody", users=[{"name": "nobody"}]),
    55: _quorum,
    57: _features,
    60: _one("of brokers", include_cluster_authorized_operations=True, endpoint_type=1),
    61: _producers,
    64: _one("that is not there", broker_id=9),
    74: _one("of all", resource_types=[]),
    75: _partitions,
}
