"""Fetch, ListOffsets and OffsetForLeaderEpoch, as a client sees them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from barnabas.client.errors import ClientError
from barnabas.records.batch import read_header
from barnabas.records.control import EndMarker, build_marker
from barnabas.server import fetch_sessions
from barnabas.server.limits import FETCH_CROWDED_BYTES
from barnabas.server.memory_budget import MemoryBudget
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.fetch_request import (
    FetchPartition,
    FetchRequest,
    FetchTopic,
    ForgottenTopic,
)
from barnabas.wire.messages.fetch_response import FetchResponse
from barnabas.wire.messages.list_offsets_request import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from barnabas.wire.messages.list_offsets_response import ListOffsetsResponse
from barnabas.wire.messages.offset_for_leader_epoch_request import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)
from barnabas.wire.messages.offset_for_leader_epoch_response import OffsetForLeaderEpochResponse
from tests.unit.server.calm import BIG, CONTROLLER_PORT, Session, calm, records


async def fill(s: Session, topic: str, count: int, size: int = 100, index: int = 0) -> None:
    """Batches of one record each."""
    for number in range(count):
        answer = await s.produce(topic, s.batch(b"%03d" % number + b"x" * size), index=index)
        assert answer.error_code == 0


async def full(s: Session, **options: Any) -> FetchResponse:
    """A fetch of any shape."""
    settings: dict[str, Any] = {"max_wait_ms": 0, "min_bytes": 0, "max_bytes": BIG}
    return await s.ask(FetchRequest(**settings | options), FetchResponse)


def wanted(s: Session, topic: str, *indexes: int, offset: int = 0, size: int = BIG) -> FetchTopic:
    parts = [FetchPartition(i, fetch_offset=offset, partition_max_bytes=size) for i in indexes]
    return FetchTopic(topic, s.ids[topic], parts)


def test_every_version_is_answered() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await s.produce("t", s.batch(b"a"))
        for version in range(4, 19):
            found = await s.fetch("t", version=version)
            assert found.error_code == 0, version
            assert found.high_watermark == 1
            assert [r.value for r in records(found.records)] == [b"a"], version

    calm(scenario)


def test_a_long_poll_ends_with_data_or_with_time() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        begun = s.now
        empty = await s.fetch("t", max_wait_ms=700, min_bytes=1)
        assert not empty.records
        assert 700 <= s.now - begun < 900
        await s.produce("t", s.batch(b"a"))
        begun = s.now
        await s.fetch("t", max_wait_ms=700, min_bytes=1)
        assert s.now - begun < 100
        begun = s.now
        found = await s.fetch("t", max_wait_ms=700, min_bytes=10_000)
        assert s.now - begun >= 700
        assert found.records

    calm(scenario)


@pytest.mark.parametrize("sessions", [False, True])
def test_a_parked_poll_is_woken_by_what_it_waits_for(sessions: bool) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        reader = Session(s.world, s.node)
        reader.ids = s.ids
        settings: dict[str, Any] = {"max_wait_ms": 20_000, "min_bytes": 1}
        settings["session_epoch"] = 0 if sessions else -1
        begun = s.now
        poll = asyncio.ensure_future(full(reader, topics=[wanted(s, "t", 0)], **settings))
        await s.sleep(300)
        assert not poll.done()
        await s.produce("t", s.batch(b"a"))
        found = await poll
        assert s.now - begun < 1000
        assert [r.value for r in records(found.responses[0].partitions[0].records)] == [b"a"]
        reader.hang_up()

    calm(scenario)


def test_without_room_for_answers_small_batches_still_arrive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", 2)
        await fill(s, "t", 1, size=FETCH_CROWDED_BYTES, index=0)
        await fill(s, "t", 3, size=FETCH_CROWDED_BYTES // 2 - 200, index=1)
        everything = [wanted(s, "t", 0, 1)]
        before = (await full(s, topics=everything)).responses[0].partitions
        assert [len(records(each.records)) for each in before] == [1, 3]
        monkeypatch.setattr(MemoryBudget, "answers_full", True)
        large, small = (await full(s, topics=everything)).responses[0].partitions
        assert not large.records
        assert len(records(small.records)) == 2
        assert small.high_watermark == 3

    calm(scenario)


def test_without_room_to_wait_a_fetch_is_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_sessions, "SESSION_PARTITIONS", 2)

    async def scenario(s: Session) -> None:
        await s.create("t", partitions=3)
        waits = {"max_wait_ms": 700, "min_bytes": 1, "session_epoch": -1}
        for indexes, waited in (((0, 1), True), ((0, 1, 2), False), ((1, 2), True)):
            await full(s, session_epoch=-1, topics=[wanted(s, "t", *indexes)])  # opens them
            begun = s.now
            answer = await full(s, topics=[wanted(s, "t", *indexes)], **waits)
            assert len(answer.responses[0].partitions) == len(indexes)
            assert (s.now - begun >= 700) == waited

    calm(scenario)


def test_a_lost_connection_does_not_take_the_next_poll_of_its_session_with_it() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        lost, again = Session(s.world, s.node), Session(s.world, s.node)
        lost.ids = again.ids = s.ids
        begun = await full(lost, session_epoch=0, topics=[wanted(s, "t", 0)])
        polls = []
        for client, epoch in ((lost, 1), (again, 2)):
            poll = full(
                client,
                session_id=begun.session_id,
                session_epoch=epoch,
                max_wait_ms=20_000,
                min_bytes=1,
            )
            polls.append(asyncio.ensure_future(poll))
            await s.sleep(100)
        lost.hang_up()
        with pytest.raises(ClientError):
            await polls[0]
        await s.sleep(100)
        now = s.now
        await s.produce("t", s.batch(b"a"))
        assert (await polls[1]).responses[0].partitions[0].records
        assert s.now - now < 1000
        again.hang_up()

    calm(scenario)


def test_limits_and_the_first_batch() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", 2)
        await fill(s, "t", 5, size=1000)
        await fill(s, "t", 5, size=1000, index=1)
        one = await s.fetch("t", partition_max_bytes=1)
        assert len(records(one.records)) == 1
        one = await s.fetch("t", max_bytes=1)
        assert len(records(one.records)) == 1
        two = await s.fetch("t", partition_max_bytes=2300)
        assert len(records(two.records)) == 2
        answer = await full(s, session_epoch=-1, max_bytes=1, topics=[wanted(s, "t", 0, 1)])
        sizes = [len(p.records or b"") for t in answer.responses for p in t.partitions]
        assert sizes[0] > 1000
        assert sizes[1] == 0, "only the first batch of a response goes beyond its limit"

    calm(scenario)


def test_sessions_take_turns_between_partitions() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", 3)
        for index in range(3):
            await fill(s, "t", 3, size=500, index=index)
        answer = await full(s, session_epoch=0, topics=[wanted(s, "t", 0, 1, 2)], max_bytes=600)
        served = set()
        for epoch in range(1, 4):
            served |= {
                p.partition_index for t in answer.responses for p in t.partitions if p.records
            }
            answer = await full(s, session_id=answer.session_id, session_epoch=epoch, max_bytes=600)
        assert served == {0, 1, 2}

    calm(scenario)


def test_sessions_tell_only_news() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", 2)
        first = await full(s, session_epoch=0, topics=[wanted(s, "t", 0, 1)])
        assert first.session_id != 0
        assert len(first.responses[0].partitions) == 2
        session = first.session_id
        assert (await full(s, session_id=session, session_epoch=1)).responses == []
        await s.produce("t", s.batch(b"a"), index=1)
        news = await full(s, session_id=session, session_epoch=2)
        assert [p.partition_index for p in news.responses[0].partitions] == [1]
        wrong = await full(s, session_id=session, session_epoch=7)
        assert wrong.error_code == ErrorCode.INVALID_FETCH_SESSION_EPOCH
        forgotten = [ForgottenTopic("t", s.ids["t"], [1])]
        await full(s, session_id=session, session_epoch=3, forgotten_topics_data=forgotten)
        assert (await full(s, session_id=session, session_epoch=4)).responses == []
        gone = await full(s, session_id=session, session_epoch=-1)
        assert (gone.error_code, gone.session_id) == (0, 0)
        lost = await full(s, session_id=session, session_epoch=5)
        assert lost.error_code == ErrorCode.FETCH_SESSION_ID_NOT_FOUND

    calm(scenario)


@pytest.mark.effect_of("max.incremental.fetch.session.cache.slots")
def test_a_full_cache_of_sessions_gives_none() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        kept = await full(s, session_epoch=0, topics=[wanted(s, "t", 0)])
        other = await full(s, session_epoch=0, topics=[wanted(s, "t", 0)])
        assert kept.session_id != 0
        assert other.session_id == 0

    calm(scenario, {"max.incremental.fetch.session.cache.slots": "1"})


def test_sessions_remember_a_bounded_number_of_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("handlers.fetch", "fetch_sessions"):
        monkeypatch.setattr(f"barnabas.server.{module}.SESSION_PARTITIONS", 4)

    async def scenario(s: Session) -> None:
        await s.create("t", 3)
        first = await full(s, session_epoch=0, topics=[wanted(s, "t", 0, 1)])
        assert first.session_id != 0
        more = [wanted(s, "t", 2, 3)]
        grown = await full(s, session_id=first.session_id, session_epoch=1, topics=more)
        assert (grown.error_code, grown.session_id) == (0, first.session_id)
        none = await full(s, session_epoch=0, topics=[wanted(s, "t", 0)])
        assert (none.error_code, none.session_id) == (0, 0)
        assert len(none.responses[0].partitions) == 1
        more = [wanted(s, "t", 4)]
        ended = await full(s, session_id=first.session_id, session_epoch=2, topics=more)
        assert ended.error_code == ErrorCode.FETCH_SESSION_ID_NOT_FOUND
        again = await full(s, session_epoch=0, topics=[wanted(s, "t", 0, 1)])
        assert again.session_id != 0

    calm(scenario)


def test_damage_in_a_file_is_told_and_the_rest_is_served() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await fill(s, "t", 3)
        await s.create("u")
        await fill(s, "u", 1)
        log = s.hosted("t").log
        log.marks.clear()
        disk = s.node.host.disk
        file = disk.open(f"{log.path}/{0:020d}.log")
        file.pwritev([b"\xff" * 30], 0)
        assert (await s.fetch("t", 1)).error_code == ErrorCode.CORRUPT_MESSAGE
        assert (await s.fetch("u")).error_code == 0

    calm(scenario)


def test_errors_of_the_target() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await s.produce("t", s.batch(b"a"))
        for offset in (-1, 2, 100):
            found = await s.fetch("t", offset)
            assert found.error_code == ErrorCode.OFFSET_OUT_OF_RANGE
        assert (await s.fetch("t", 1)).error_code == 0
        assert (await s.fetch("t", index=3)).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        found = await s.fetch("", topic_id=bytes(15) + b"x")
        assert found.error_code == ErrorCode.UNKNOWN_TOPIC_ID
        assert (await s.fetch("no", version=12)).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    calm(scenario)


def test_epochs_fence_readers() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await s.produce("t", s.batch(b"a"))
        epoch = s.hosted("t").replica.leader_epoch
        assert (await s.fetch("t", current_leader_epoch=epoch)).error_code == 0
        found = await s.fetch("t", current_leader_epoch=epoch + 1)
        assert found.error_code == ErrorCode.UNKNOWN_LEADER_EPOCH
        await s.restart("kill")
        await s.produce("t", s.batch(b"b"))
        now = s.hosted("t").replica.leader_epoch
        if now > epoch:
            found = await s.fetch("t", current_leader_epoch=epoch)
            assert found.error_code == ErrorCode.FENCED_LEADER_EPOCH

    calm(scenario)


def test_a_diverging_epoch_is_told() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await s.produce("t", s.batch(b"a"))
        hosted = s.hosted("t")
        epoch = hosted.replica.leader_epoch
        hosted.log.begin_epoch(epoch + 5, hosted.log.end_offset)
        hosted.replica.leader_epoch = epoch + 5
        await s.produce("t", s.batch(b"b"))
        found = await s.fetch("t", 2, last_fetched_epoch=epoch)
        assert (found.diverging_epoch.epoch, found.diverging_epoch.end_offset) == (epoch, 1)
        assert not found.records

    calm(scenario)


def test_read_committed_stops_at_open_transactions_and_names_aborted_ones() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await s.produce("t", s.batch(b"plain"))
        log = s.hosted("t").log
        epoch = s.hosted("t").replica.leader_epoch

        def append(data: bytearray) -> None:
            log.append(data, read_header(data), log.end_offset, epoch)

        def write(producer: int, value: bytes) -> None:
            data = bytearray(
                s.batch(
                    value,
                    producer_id=producer,
                    producer_epoch=0,
                    base_sequence=0,
                    transactional=True,
                    base_offset=log.end_offset,
                    leader_epoch=epoch,
                )
            )
            append(data)

        def end(producer: int, *, commit: bool) -> None:
            marker = EndMarker(commit, 0)
            at = log.end_offset
            append(
                bytearray(
                    build_marker(producer, 0, marker, s.now, base_offset=at, leader_epoch=epoch)
                )
            )

        write(1, b"aborted")
        write(2, b"committed")
        end(1, commit=False)
        write(3, b"open")
        await s.sleep(100)
        found = await s.fetch("t", isolation_level=1)
        assert (found.high_watermark, found.last_stable_offset) == (5, 2)
        assert [r.value for r in records(found.records)] == [b"plain", b"aborted"]
        end(2, commit=True)
        await s.sleep(100)
        found = await s.fetch("t", isolation_level=1)
        assert found.last_stable_offset == 4
        assert found.aborted_transactions is not None
        assert [(a.producer_id, a.first_offset) for a in found.aborted_transactions] == [(1, 1)]
        everything = await s.fetch("t")
        assert everything.aborted_transactions is None
        assert len(records(everything.records)) == 6

    calm(scenario)


async def offsets(
    s: Session, timestamp: int, version: int | None = None, **options: Any
) -> tuple[int, int, int]:
    """(error, offset, timestamp) of one partition of `t`."""
    part = ListOffsetsPartition(0, timestamp=timestamp, **options)
    request = ListOffsetsRequest(-1, 0, [ListOffsetsTopic("t", [part])], 5000)
    found = (await s.ask(request, ListOffsetsResponse, version)).topics[0].partitions[0]
    return found.error_code, found.offset, found.timestamp


def test_list_offsets_specials_and_times() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", message_timestamp_after_max_ms=str(2**62))
        base = s.now
        for at in (0, 30, 10, 20):
            await s.produce("t", s.batch(b"x", timestamp=base + at))
        for version in range(1, 12):
            assert await offsets(s, -1, version) == (0, 4, -1), version
            assert await offsets(s, -2, version) == (0, 0, -1)
            assert await offsets(s, base + 5, version) == (0, 1, base + 30)
        assert await offsets(s, -3) == (0, 1, base + 30)
        assert await offsets(s, -4) == (0, 0, -1)
        assert (await offsets(s, -5))[:2] == (0, -1)
        assert await offsets(s, base + 31) == (0, -1, -1)
        assert (await offsets(s, -3, 6))[0] == ErrorCode.UNSUPPORTED_VERSION
        assert (await offsets(s, -99))[0] in (
            ErrorCode.UNSUPPORTED_VERSION,
            ErrorCode.INVALID_REQUEST,
        )
        fenced = await offsets(s, -1, current_leader_epoch=99)
        assert fenced[0] == ErrorCode.UNKNOWN_LEADER_EPOCH

    calm(scenario)


def test_times_of_append_are_what_is_looked_for() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", message_timestamp_type="LogAppendTime", index_interval_bytes="0")
        stamps = []
        for _ in range(3):
            answer = await s.produce("t", s.batch(b"x", timestamp=5))
            stamps.append(answer.log_append_time_ms)
            await s.sleep(1000)
        assert await offsets(s, stamps[0] + 1) == (0, 1, stamps[1])
        assert await offsets(s, -3) == (0, 2, stamps[2])
        assert (await offsets(s, stamps[2] + 1))[:2] == (0, -1)

    calm(scenario)


def test_offset_for_leader_epoch() -> None:
    async def ask(s: Session, epoch: int, version: int | None = None, current: int = -1) -> Any:
        part = OffsetForLeaderPartition(0, current, epoch)
        request = OffsetForLeaderEpochRequest(-1, [OffsetForLeaderTopic("t", [part])])
        answer = await s.ask(request, OffsetForLeaderEpochResponse, version)
        return answer.topics[0].partitions[0]

    async def scenario(s: Session) -> None:
        await s.create("t")
        await fill(s, "t", 3)
        epoch = s.hosted("t").replica.leader_epoch
        for version in (2, 3, 4):
            found = await ask(s, epoch, version)
            assert (found.error_code, found.leader_epoch, found.end_offset) == (0, epoch, 3)
        unknown = await ask(s, epoch + 9)
        assert (unknown.error_code, unknown.leader_epoch, unknown.end_offset) == (0, -1, -1)
        assert (await ask(s, epoch, current=epoch + 1)).error_code == ErrorCode.UNKNOWN_LEADER_EPOCH

    calm(scenario)


def test_the_metadata_log_is_fetched_from_the_controller() -> None:
    metadata_id = bytes(15) + b"\x01"

    async def scenario(s: Session) -> None:
        await s.create("t")
        assert s.node.node is not None
        epoch = s.node.node.broker.metadata.leader_epoch
        part = FetchPartition(0, epoch, 0, 0, partition_max_bytes=BIG)
        request = FetchRequest(
            max_wait_ms=0,
            min_bytes=0,
            max_bytes=BIG,
            session_epoch=-1,
            topics=[FetchTopic("__cluster_metadata", metadata_id, [part])],
        )
        answer = await s.ask(request, FetchResponse, port=CONTROLLER_PORT)
        found = answer.responses[0].partitions[0]
        assert found.error_code == 0
        assert found.high_watermark > 3
        assert found.records

    calm(scenario)
