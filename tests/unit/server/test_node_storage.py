"""DeleteRecords, DescribeLogDirs and DescribeProducers, in every version and for every error."""

from __future__ import annotations

import asyncio

from barnabas.testing.sim import DiskFault
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.delete_records_request import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from barnabas.wire.messages.delete_records_response import (
    DeleteRecordsPartitionResult,
    DeleteRecordsResponse,
)
from barnabas.wire.messages.describe_log_dirs_request import (
    DescribableLogDirTopic,
    DescribeLogDirsRequest,
)
from barnabas.wire.messages.describe_log_dirs_response import (
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
)
from barnabas.wire.messages.describe_producers_request import (
    DescribeProducersRequest,
    TopicRequest,
)
from barnabas.wire.messages.describe_producers_response import (
    DescribeProducersResponse,
    PartitionResponse,
)
from tests.unit.server.calm import Session, calm


async def delete(
    s: Session, topic: str, *offsets: tuple[int, int], timeout_ms: int = 5000, version: int = 2
) -> dict[int, DeleteRecordsPartitionResult]:
    """DeleteRecords of (partition, offset); the answers by partition."""
    parts = [DeleteRecordsPartition(index, offset) for index, offset in offsets]
    request = DeleteRecordsRequest([DeleteRecordsTopic(topic, parts)], timeout_ms)
    answer = await s.ask(request, DeleteRecordsResponse, version)
    assert [t.name for t in answer.topics] == [topic]
    return {p.partition_index: p for p in answer.topics[0].partitions}


async def filled(s: Session, topic: str = "t", count: int = 6, **configs: str) -> None:
    """A topic with `count` batches of one record each."""
    await s.create(topic, 1, **configs)
    for at in range(count):
        assert (await s.produce(topic, s.batch(b"%d" % at))).error_code == 0


async def one(s: Session, offset: int, **options: int) -> tuple[int, int]:
    """(error, low watermark) of a deletion in partition 0 of topic t."""
    found = (await delete(s, "t", (0, offset), **options))[0]
    return found.error_code, found.low_watermark


def test_every_version_of_delete_records_moves_the_log_start() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        for version in range(3):
            assert await one(s, version + 1, version=version) == (0, version + 1)
            assert await s.values("t", version + 1) == [b"%d" % at for at in range(version + 1, 6)]
            below = await s.fetch("t", version)
            assert below.error_code == ErrorCode.OFFSET_OUT_OF_RANGE
        assert await one(s, 2) == (0, 3), "it never goes back"
        assert await one(s, -1) == (0, 6)
        assert (await s.fetch("t", 6)).log_start_offset == 6
        assert (await s.produce("t", s.batch(b"after"))).base_offset == 6
        assert await s.values("t", 6) == [b"after"]

    calm(scenario)


def test_delete_records_errors() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        await s.create("compacted", cleanup_policy="compact")
        await s.create("both", cleanup_policy="compact,delete")
        assert await one(s, 7) == (ErrorCode.OFFSET_OUT_OF_RANGE, -1)
        assert await one(s, -2) == (ErrorCode.OFFSET_OUT_OF_RANGE, -1)
        for topic, index, code in (
            ("absent", 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
            ("t", 1, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
            ("compacted", 0, ErrorCode.POLICY_VIOLATION),
            ("both", 0, ErrorCode.NONE),
        ):
            found = (await delete(s, topic, (index, 0)))[index]
            assert (found.error_code, found.low_watermark) == (code, 0 if not code else -1), topic
        assert await s.values("t") == [b"%d" % at for at in range(6)]
        # Named twice: what was said last, answered once.
        assert {i: p.low_watermark for i, p in (await delete(s, "t", (0, 3), (0, 2))).items()} == {
            0: 2
        }

    calm(scenario)


def test_internal_topics_keep_their_records() -> None:
    async def scenario(s: Session) -> None:
        s.ids["__consumer_offsets"] = await s.create("__consumer_offsets")
        found = (await delete(s, "__consumer_offsets", (0, 0)))[0]
        assert found.error_code == ErrorCode.INVALID_TOPIC_EXCEPTION

    calm(scenario)


def test_what_was_deleted_stays_deleted_whatever_happens() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        for at, kind in enumerate(("power", "kill", "stop"), 1):
            assert await one(s, at) == (0, at)
            await s.restart(kind)
            assert (await s.fetch("t", at - 1)).error_code == ErrorCode.OFFSET_OUT_OF_RANGE
            assert await s.values("t", at) == [b"%d" % n for n in range(at, 6)]

    calm(scenario)


def test_whole_segments_go_with_the_next_retention_run() -> None:
    async def scenario(s: Session) -> None:
        await filled(s, internal_segment_bytes="16384")
        big = b"x" * 9000
        for _ in range(4):
            await s.produce("t", s.batch(big))
        bases = list(s.hosted("t").log.bases)
        assert len(bases) > 2
        assert await one(s, bases[2]) == (0, bases[2])
        assert s.hosted("t").log.bases == bases, "not yet"
        await s.sleep(300_000)
        assert s.hosted("t").log.bases == bases[2:]
        await s.restart("power")
        assert (await s.fetch("t", bases[2])).log_start_offset == bases[2]

    calm(scenario)


def test_a_fetch_that_waits_below_the_new_start_learns_it() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        other = Session(s.world, s.node)
        other.ids = s.ids
        waiting = asyncio.create_task(
            other.fetch("t", 2, max_wait_ms=60_000, min_bytes=100_000, session_epoch=0)
        )
        await s.sleep(1000)
        assert not waiting.done()
        assert await one(s, 4) == (0, 4)
        assert (await waiting).error_code == ErrorCode.OFFSET_OUT_OF_RANGE
        other.hang_up()

    calm(scenario)


def test_a_deletion_is_answered_when_it_is_durable_or_its_time_is_over() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        faults = s.node.host.disk.faults
        faults.stall_us = 3_000_000
        assert await one(s, 3, timeout_ms=1000) == (ErrorCode.REQUEST_TIMED_OUT, 3)
        assert await one(s, 4, timeout_ms=30_000) == (0, 4)
        faults.stall_us = 0
        assert await one(s, 5, timeout_ms=0) == (0, 5), "no time at all is no refusal"

    calm(scenario)


def test_a_deletion_whose_directory_fails_is_no_success() -> None:
    async def scenario(s: Session) -> None:
        await s.create("u")
        await filled(s)
        assert s.hosted("t").log.path == "/more/t-0"
        faults = s.node.host.disk.faults
        faults.rules.append(DiskFault("write", path="/more/log-start-offset-checkpoint"))
        assert await one(s, 3) == (ErrorCode.KAFKA_STORAGE_ERROR, -1)
        assert await one(s, 3) == (ErrorCode.KAFKA_STORAGE_ERROR, -1)
        offline = await directories(s)
        assert [(d.error_code, d.log_dir) for d in offline] == [
            (ErrorCode.NONE, "/data"),
            (ErrorCode.KAFKA_STORAGE_ERROR, "/more"),
        ]
        assert (await producers(s, "t")).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        assert (await delete(s, "u", (0, 0)))[0].error_code == 0

    calm(scenario, {"log.dirs": "/data,/more"})


def test_every_version_of_describe_log_dirs_is_answered() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", partitions=2)
        data = s.batch(b"x" * 1000)
        await s.produce("t", data, index=1)
        for version in range(1, 6):
            (found,) = await directories(s, version)
            assert (found.error_code, found.log_dir) == (0, "/data")
            assert sizes(found) == {("t", 0): 0, ("t", 1): len(data)}
            if version >= 4:
                assert found.total_bytes >= found.usable_bytes > 0
            else:
                assert (found.total_bytes, found.usable_bytes) == (-1, -1)
        await s.restart("stop")
        (found,) = await directories(s)
        assert sizes(found) == {("t", 0): 0, ("t", 1): len(data)}, "without opening a log"
        (found,) = await directories(s, topics=[("t", [1, 7]), ("absent", [0])])
        assert sizes(found) == {("t", 1): len(data)}
        (found,) = await directories(s, topics=[])
        assert found.topics == []

    calm(scenario)


async def directories(
    s: Session, version: int = 5, topics: list[tuple[str, list[int]]] | None = None
) -> list[DescribeLogDirsResult]:
    """DescribeLogDirs."""
    asked = None if topics is None else [DescribableLogDirTopic(*topic) for topic in topics]
    answer = await s.ask(DescribeLogDirsRequest(asked), DescribeLogDirsResponse, version)
    assert answer.error_code == 0
    return answer.results


def sizes(found: DescribeLogDirsResult) -> dict[tuple[str, int], int]:
    """Bytes by partition; no lag, no future replica."""
    assert all(
        (p.offset_lag, p.is_future_key) == (0, False) for t in found.topics for p in t.partitions
    )
    return {
        (t.name, p.partition_index): p.partition_size for t in found.topics for p in t.partitions
    }


async def producers(s: Session, topic: str, index: int = 0) -> PartitionResponse:
    """DescribeProducers of one partition."""
    request = DescribeProducersRequest([TopicRequest(topic, [index])])
    answer = await s.ask(request, DescribeProducersResponse, 0)
    return answer.topics[0].partitions[0]


def test_describe_producers_tells_what_the_log_remembers() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        assert (await producers(s, "t")).active_producers == []
        identity = await s.identity()
        stamp = s.now
        for sequence in (0, 2):
            data = s.batch(b"a", b"b", timestamp=stamp, base_sequence=sequence, **identity)
            assert (await s.produce("t", data)).error_code == 0
        for kind in ("", "stop", "kill"):
            if kind:
                await s.restart(kind)
            (found,) = (await producers(s, "t")).active_producers
            assert (found.producer_id, found.producer_epoch) == (identity["producer_id"], 0)
            assert (found.last_sequence, found.last_timestamp) == (3, stamp)
            assert (found.coordinator_epoch, found.current_txn_start_offset) == (-1, -1)

    calm(scenario)


def test_describe_producers_errors() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        assert (await producers(s, "t", 1)).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        unknown = await producers(s, "absent")
        assert unknown.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert unknown.error_message
        bad = await producers(s, "no/topic")
        assert bad.error_code == ErrorCode.INVALID_TOPIC_EXCEPTION

    calm(scenario)
