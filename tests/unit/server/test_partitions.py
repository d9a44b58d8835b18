"""A partition's acknowledgements: who waits is told at its offset, neither before nor never."""

from __future__ import annotations

import asyncio

import pytest

from barnabas.config.log_config import LogConfig
from barnabas.log.errors import StorageError
from barnabas.log.log import Log
from barnabas.partition.replica import Replica
from barnabas.server.partitions import HostedPartition, Partitions
from barnabas.server.topic_counters import TopicCounters
from barnabas.testing.sim import SimDisk
from barnabas.wire.errors import ErrorCode, KafkaError
from tests.unit.log.world import TOPIC_ID, World, append


class Told:
    """`Waiter` that remembers what it hears."""

    def __init__(self, deadline_ms: int = 1000) -> None:
        self.deadline_ms = deadline_ms
        self.heard: list[ErrorCode] = []

    def reached(self, hosted: HostedPartition, error: ErrorCode) -> None:
        """Note it."""
        del hosted
        self.heard.append(error)


def led(**config: object) -> tuple[World, Log, HostedPartition]:
    """A partition that this node leads alone."""
    world = World(SimDisk(), LogConfig(**config))  # type: ignore[arg-type]
    log = world.open()
    replica = Replica(1, "t", TOPIC_ID, 0)
    hosted = HostedPartition(replica, log, TopicCounters(), validate_all=False)
    hosted.lead(1, 0, 0, (1,), (1,))
    return world, log, hosted


@pytest.mark.parametrize("mode", ["synced", "page-cache"])
def test_who_waits_is_told_at_its_offset_and_not_before(mode: str) -> None:
    world, log, hosted = led(ack_mode=mode)
    append(log, [b"a"])
    first, second = Told(), Told()
    hosted.wait_committed(1, first)
    world.step()  # written
    append(log, [b"b"])
    hosted.wait_committed(2, second)
    early = [ErrorCode.NONE] if mode == "page-cache" else []
    assert (first.heard, second.heard) == (early, [])
    while not first.heard:
        world.step()
    assert second.heard == []
    world.settle()
    assert first.heard == second.heard == [ErrorCode.NONE]


def test_acknowledgements_of_what_is_written_do_not_wait_for_the_sync() -> None:
    world, log, hosted = led()
    append(log, [b"a"])
    written, committed = Told(), Told()
    hosted.wait_written(1, written)
    hosted.wait_committed(1, committed)
    assert written.heard == []
    world.step()
    assert (written.heard, committed.heard) == ([ErrorCode.NONE], [])
    world.settle()
    assert committed.heard == [ErrorCode.NONE]


def test_who_waits_too_long_is_told_and_others_wait_on() -> None:
    world, log, hosted = led()
    append(log, [b"a"])
    hasty, patient = Told(deadline_ms=10), Told(deadline_ms=20)
    hosted.wait_committed(1, hasty)
    hosted.wait_committed(1, patient)
    hosted.expire(9)
    assert hasty.heard == []
    hosted.expire(10)
    assert (hasty.heard, patient.heard) == ([ErrorCode.REQUEST_TIMED_OUT], [])
    world.settle()
    assert hasty.heard == [ErrorCode.REQUEST_TIMED_OUT]
    assert patient.heard == [ErrorCode.NONE]


def test_all_who_wait_learn_that_a_partition_is_gone() -> None:
    _, log, hosted = led()
    append(log, [b"a"])
    waiting = [Told(), Told()]
    hosted.wait_written(1, waiting[0])
    hosted.wait_committed(1, waiting[1])
    hosted.stop(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    assert [each.heard for each in waiting] == [[ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]] * 2
    assert not hosted.waiting


def test_a_failure_to_open_what_was_dropped_meanwhile_is_not_remembered() -> None:
    """The topic was deleted, and may be there anew before the former opening ends."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loading: list[asyncio.Future[HostedPartition]] = []

        async def load(topic: str, index: int) -> HostedPartition:
            del topic, index
            loading.append(loop.create_future())
            return await loading[-1]

        partitions = Partitions(lambda *_: ErrorCode.NONE, load)
        first = loop.create_task(partitions.open("t", 0))
        await asyncio.sleep(0)
        partitions.drop("t", 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        loading[0].set_exception(KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
        assert await first == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert partitions.get("t", 0) is None, "to be opened"
        second = loop.create_task(partitions.open("t", 0))
        await asyncio.sleep(0)
        loading[1].set_exception(StorageError())
        assert await second == ErrorCode.KAFKA_STORAGE_ERROR
        assert partitions.get("t", 0) == ErrorCode.KAFKA_STORAGE_ERROR, "for good"

    asyncio.run(main())
