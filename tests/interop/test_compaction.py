"""One log, compacted by Apache Kafka and by our node: both keep the same, and read each other's."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from barnabas.log.txn_index import decode
from barnabas.records.batch import BatchHeader, iter_batches
from barnabas.records.record import read_records
from tests.interop.conftest import WAIT_SECONDS
from tests.interop.kafka import Node, java_tool
from tests.interop.seen import read_all
from tests.interop.swap import DYNAMIC, Swap
from tests.interop.swap_files import DAMAGE, DUMP, dump, files_of
from tests.interop.swap_work import CODECS, FIRST_TIMESTAMP

pytestmark = pytest.mark.usefixtures("java")

KEYED, LEDGER = "keyed", "ledger"
TOPICS = (KEYED, LEDGER)
SMALL = {
    "internal.segment.bytes": "30000",
    "index.interval.bytes": "1000",
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "min.cleanable.dirty.ratio": "0.001",
    "file.delete.delay.ms": "1000",
}
LIMIT = 1 << 24
ISOLATIONS = ("read_uncommitted", "read_committed")


def write(node: Node, seed: int) -> None:
    """Records of few keys with every codec, tombstones among them, and transactions."""
    chance = random.Random(seed)
    for number, codec in enumerate(CODECS):
        producer = Producer(
            {
                "bootstrap.servers": node.address,
                "compression.type": codec,
                "enable.idempotence": number % 2 == 0,
                "batch.num.messages": 20,
                "linger.ms": 2,
            }
        )
        # Old ones belong to producers that are forgotten, young ones to such that are known.
        stamp = FIRST_TIMESTAMP + number if number < 3 else int(time.time() * 1000)
        for at in range(400):
            value = None if chance.random() < 0.1 else chance.randbytes(chance.randrange(150))
            headers = [("h", b"%d" % at), ("none", None)] if at % 3 == 0 else None
            producer.produce(
                KEYED,
                key=b"key-%d" % chance.randrange(90 + 30 * number),
                value=value,
                headers=headers,
                timestamp=stamp + chance.randrange(-50, 50),
            )
        assert producer.flush(WAIT_SECONDS) == 0
    transactions(node, chance)


def transactions(node: Node, chance: random.Random) -> None:
    """Two producers, whose transactions overlap; every third is aborted."""
    producers = []
    for name in ("a", "b"):
        producer = Producer(
            {"bootstrap.servers": node.address, "transactional.id": name, "linger.ms": 0}
        )
        producer.init_transactions(WAIT_SECONDS)
        producers.append(producer)
    for at in range(24):
        for producer in producers:
            producer.begin_transaction()
        for _ in range(8):
            for producer in producers:
                key = b"key-%d" % chance.randrange(25)
                value = None if chance.random() < 0.1 else chance.randbytes(chance.randrange(300))
                producer.produce(LEDGER, key=key, value=value, partition=0)
                producer.flush(WAIT_SECONDS)
        for number, producer in enumerate(producers):
            if (at + number) % 3:
                producer.commit_transaction(WAIT_SECONDS)
            else:
                producer.abort_transaction(WAIT_SECONDS)


def alter(node: Node, **configs: str) -> None:
    """Set configs of both topics, underscores for dots."""
    admin = AdminClient({"bootstrap.servers": node.address})
    resources = []
    for topic in TOPICS:
        changes = [
            ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
            for name, value in configs.items()
        ]
        resources.append(ConfigResource(ResourceType.TOPIC, topic, incremental_configs=changes))
    for done in admin.incremental_alter_configs(resources).values():
        done.result(WAIT_SECONDS)


def compact(node: Node, home: Path) -> None:
    """Ask for compaction, and wait until all but the active segments are clean."""
    alter(node, cleanup_policy="compact")
    wanted = {f"{topic} 0 {bases(home, topic)[-1]}" for topic in TOPICS}
    deadline = time.monotonic() + WAIT_SECONDS
    checkpoint = home / "data" / "cleaner-offset-checkpoint"
    while not checkpoint.exists() or not wanted <= set(checkpoint.read_text().splitlines()):
        assert time.monotonic() < deadline, f"{wanted}\n{node.log_tail()}"
        time.sleep(0.05)


def bases(home: Path, topic: str) -> list[int]:
    """Base offsets of a topic's segments."""
    return sorted(int(path.stem) for path in (home / "data" / f"{topic}-0").glob("*.log"))


def batches(home: Path, topic: str) -> list[tuple[BatchHeader, list[Any]]]:
    """All batches of a topic's files with their records."""
    found = []
    for base in bases(home, topic):
        data = (home / "data" / f"{topic}-0" / f"{base:020d}.log").read_bytes()
        for position, header in iter_batches(data):
            found.append((header, read_records(data, position, limit=LIMIT)))
    return found


def kept(home: Path, topic: str) -> list[tuple[Any, ...]]:
    """What compaction decides of each batch; a delete horizon depends on the time of day."""
    return [
        (
            header.base_offset,
            header.last_offset,
            header.leader_epoch,
            header.attributes,
            header.max_timestamp,
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
            header.records_count,
            records,
        )
        for header, records in batches(home, topic)
    ]


def aborted(home: Path, topic: str) -> dict[str, list[Any]]:
    """Entries of the transaction indexes."""
    paths = (home / "data" / f"{topic}-0").glob("*.txnindex")
    return {path.name: list(decode(path.read_bytes())) for path in paths if path.stat().st_size}


def assert_kept_the_same(theirs: Path, ours: Path) -> None:
    """Segments, batches, records and transaction indexes."""
    for topic in TOPICS:
        assert bases(ours, topic) == bases(theirs, topic)
        left, right = kept(ours, topic), kept(theirs, topic)
        different = [pair for pair in zip(left, right, strict=False) if pair[0] != pair[1]]
        assert not different, f"{topic}: {different[0]}"
        assert len(left) == len(right)
        assert aborted(ours, topic) == aborted(theirs, topic)


def seen_by(node: Node) -> list[Any]:
    """What consumers get, by isolation."""
    partitions = [(topic, 0) for topic in TOPICS]
    return [read_all(node, partitions, isolation) for isolation in ISOLATIONS]


def complaints(home: Path) -> set[str]:
    """What DumpLogSegments says of every record of the files: of gaps between offsets, too."""
    logs = [path for path in files_of(home, ".log") if path.parent.name.startswith(TOPICS)]
    found = java_tool(DUMP, "--deep-iteration", "--files", ",".join(map(str, logs)))
    lines = (found.stdout + found.stderr).replace(str(home), "").splitlines()
    return {line for line in lines if DAMAGE.search(line)}


def check_by_kafkas_tools(home: Path) -> None:
    """Segments and indexes as DumpLogSegments sees them."""
    logs = [path for path in files_of(home, ".log") if path.parent.name.startswith(TOPICS)]
    indexes = [
        p for p in files_of(home, ".index", ".timeindex") if p.parent.name.startswith(TOPICS)
    ]
    dump([*logs, *indexes])
    sane = dump(indexes, "--index-sanity-check")
    assert sane.count("passed sanity check") + sane.count(" is empty.") == len(indexes)


@pytest.mark.timeout(280)
def test_both_keep_the_same(tmp_path: Path) -> None:
    theirs = Swap(tmp_path / "theirs", DYNAMIC, {})
    theirs.kafka.start()
    admin = AdminClient({"bootstrap.servers": theirs.kafka.address})
    new = [NewTopic(topic, 1, 1, config=SMALL) for topic in TOPICS]
    for done in admin.create_topics(new).values():
        done.result(WAIT_SECONDS)
    write(theirs.kafka, 1)
    before = seen_by(theirs.kafka)
    theirs.end(theirs.kafka, clean=True)
    (tmp_path / "ours").mkdir()
    shutil.copytree(theirs.data, tmp_path / "ours" / "data")
    ours = Swap(tmp_path / "ours", DYNAMIC, {})
    # Each time once: what is seen first in the second round is gone after the third.
    for horizon in ("86400000", "1", "1"):
        views = []
        for node, swap in ((theirs.kafka, theirs), (ours.ours, ours)):
            node.start()
            if horizon == "1":
                alter(node, delete_retention_ms=horizon, cleanup_policy="delete")
                with_one_segment_more(node)
            compact(node, swap.path)
            views.append(seen_by(node))
            swap.end(node, clean=True)
        assert views[0] == views[1]
        assert sum(map(len, views[0][0].values())) < sum(map(len, before[0].values())) / 2
        assert_kept_the_same(theirs.path, ours.path)
        check_by_kafkas_tools(ours.path)
        assert complaints(ours.path) == complaints(theirs.path)
    # And each on the other's directory, killed at the end.
    for node, swap in ((ours.kafka, ours), (theirs.ours, theirs)):
        node.start()
        assert seen_by(node) == views[0]
        swap.end(node, clean=False)


def with_one_segment_more(node: Node) -> None:
    """The same records on both sides: so many that what was active can be cleaned."""
    producer = Producer({"bootstrap.servers": node.address, "linger.ms": 1})
    for topic in TOPICS:
        for at in range(60):
            producer.produce(
                topic, key=b"new-%d" % (at % 50), value=b"n" * 1000, timestamp=FIRST_TIMESTAMP + at
            )
            producer.flush(WAIT_SECONDS)
