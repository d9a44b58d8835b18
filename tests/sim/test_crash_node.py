"""Every disk that a power cut may leave of a whole node, per operation: a fresh node starts on it
and serves what was promised."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from barnabas.log import names
from barnabas.records.builder import build_batch
from barnabas.testing.checkers import History as ClientHistory
from barnabas.testing.sim import CrashLimits, History, SimDisk, SimWorld
from barnabas.testing.sim.disk_model import DiskModel
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.create_partitions_request import (
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from barnabas.wire.messages.create_partitions_response import CreatePartitionsResponse
from barnabas.wire.messages.create_topics_request import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from barnabas.wire.messages.create_topics_response import CreateTopicsResponse
from barnabas.wire.messages.delete_records_request import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from barnabas.wire.messages.delete_records_response import DeleteRecordsResponse
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest, DeleteTopicState
from barnabas.wire.messages.delete_topics_response import DeleteTopicsResponse
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import ProduceResponse
from tests.sim.crash_classes import Tally, images_of
from tests.sim.node_clients import Client, Run
from tests.sim.node_end import read_everything
from tests.sim.node_host import DATA, NodeHost

QUICK = CrashLimits(images=12, contents=12, tears=1)
FULL = CrashLimits(images=120, contents=96, tears=2)
SMALL = {"internal.segment.bytes": "780", "index.interval.bytes": "0"}
COMPACT = {**SMALL, "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0"}
BACKOFF_MS = 100
RETENTION_MS = 1000
MORE = "/more"
TWO = "two directories"
KEYS = 3
FULL_INDEX = {"segment.index.bytes": "24", "index.interval.bytes": "0"}


@dataclass
class Promised:
    """What the marks of a history say, folded."""

    topics: dict[str, int] = field(default_factory=dict)
    records: dict[tuple[str, int], list[bytes]] = field(default_factory=dict)
    starts: dict[tuple[str, int], int] = field(default_factory=dict)
    """Below them nothing may be read any more."""
    under_way: set[str] = field(default_factory=set)
    """Topics that a request without an answer may have changed."""


class Recording(Client):
    """A client whose requests and answers are marks in the history of the node's disk."""

    history: History

    def __init__(self, world: SimWorld, node: NodeHost) -> None:
        host = world.host("client")
        super().__init__(Run(ClientHistory(), node.host.address, page_cache=False), host, "client")
        self.world = world
        self.node = node

    async def create(
        self, name: str, partitions: int = 1, configs: dict[str, str] | None = None
    ) -> None:
        """CreateTopics."""
        self.history.mark(("asked", name))
        made = [CreatableTopicConfig(key, value) for key, value in (configs or {}).items()]
        topic = CreatableTopic(name, partitions, 1, [], made)
        answer = await self.ask(CreateTopicsRequest([topic], 5000), CreateTopicsResponse)
        assert answer.topics[0].error_code == ErrorCode.NONE, answer.topics[0].error_message
        self.history.mark(("topic", name, partitions))
        self.ids.pop(name, None)

    async def widen(self, name: str, partitions: int) -> None:
        """CreatePartitions."""
        self.history.mark(("asked", name))
        wanted = CreatePartitionsTopic(name, partitions, None)
        answer = await self.ask(
            CreatePartitionsRequest([wanted], 5000, False), CreatePartitionsResponse
        )
        assert answer.results[0].error_code == ErrorCode.NONE
        self.history.mark(("topic", name, partitions))

    async def delete(self, name: str) -> None:
        """DeleteTopics."""
        self.history.mark(("asked", name))
        request = DeleteTopicsRequest([DeleteTopicState(name=name)], timeout_ms=5000)
        answer = await self.ask(request, DeleteTopicsResponse)
        assert answer.responses[0].error_code == ErrorCode.NONE
        self.history.mark(("topic", name, 0))

    async def produce(
        self, name: str, count: int, index: int = 0, *, keys: int = 0, at_once: int = 1
    ) -> None:
        """Batches with acks=all, so many in flight; with `keys`, so many keys take turns."""
        topic_id = await self.topic_id(name)
        assert topic_id is not None
        await self.connection()

        async def send() -> None:
            value = b"%d" % self.run.history.tick() + b"." * 160
            key = b"%d" % (self.run.history.now % keys) if keys else None
            data = bytes(build_batch([(key, value, 1_700_000_000_000, ())]))
            parts = [PartitionProduceData(index, data)]
            request = ProduceRequest(None, -1, 5000, [TopicProduceData(name, topic_id, parts)])
            answer = await self.ask(request, ProduceResponse)
            assert answer.responses[0].partition_responses[0].error_code == ErrorCode.NONE
            self.history.mark(("record", name, index, value))

        for _ in range(count):
            await asyncio.gather(*(send() for _ in range(at_once)))

    def twin(self) -> Recording:
        """Another client, whose requests overtake ours."""
        other = Recording(self.world, self.node)
        other.history = self.history
        return other

    async def purge(self, name: str, offset: int, index: int = 0) -> None:
        """DeleteRecords."""
        partition = DeleteRecordsPartition(index, offset)
        request = DeleteRecordsRequest([DeleteRecordsTopic(name, [partition])], 5000)
        answer = await self.ask(request, DeleteRecordsResponse)
        assert answer.topics[0].partitions[0].error_code == ErrorCode.NONE
        self.history.mark(("start", name, index, offset))


async def produce(client: Recording) -> None:
    """A few batches to two partitions."""
    await client.create("t", 2)
    await client.produce("t", 2)
    await client.produce("t", 2, index=1, at_once=3)


async def roll(client: Recording) -> None:
    """Segments of three batches."""
    await client.create("t", 1, SMALL)
    await client.produce("t", 8)


async def index_full(client: Recording) -> None:
    """Segments whose offset index is full after three entries."""
    await client.create("t", 1, FULL_INDEX)
    await client.produce("t", 8)


async def metadata(client: Recording) -> None:
    """Commits to the metadata log alone, one at a time and three at once."""
    others = [client.twin() for _ in range(2)]
    for name in ("a", "b"):
        await client.create(name, 2)
    await asyncio.gather(client.create("c", 2), others[0].widen("b", 3), others[1].create("d", 1))
    await asyncio.gather(client.delete("a"), others[0].widen("b", 4), others[1].delete("d"))
    for each in others:
        each.hang_up()


async def deletion(client: Recording) -> None:
    """A topic goes, and another one of its name comes."""
    other = client.twin()
    await client.create("t")
    await client.produce("t", 2, at_once=3)
    await asyncio.gather(client.delete("t"), other.create("u"))
    await client.create("t", 2)
    await asyncio.gather(client.produce("t", 3, at_once=3), other.delete("u"))
    other.hang_up()


async def retention(client: Recording) -> None:
    """Whole segments go by their size while others come."""
    await client.create("t", 1, {**SMALL, "retention.bytes": "1000", "file.delete.delay.ms": "1"})
    for _ in range(3):
        await client.produce("t", 2, at_once=2)
        await client.pause(3 * RETENTION_MS)
    assert not client.node.host.disk.exists(f"{DATA}/t-0/{0:020d}.log")


async def purge(client: Recording) -> None:
    """Records are deleted while others come, and whole segments of them go."""
    await client.create("t", 1, SMALL)
    await client.produce("t", 8)
    for offset in (2, 5, 8):
        await client.purge("t", offset)
        await client.produce("t", 1)
        await client.pause(2 * RETENTION_MS)
    assert not client.node.host.disk.exists(f"{DATA}/t-0/{0:020d}.log")


async def two_directories(client: Recording) -> None:
    """Topics come and go in both."""
    await client.create("t", 3)
    for index in range(3):
        await client.produce("t", 1, index)
    await client.create("u", 2)
    await client.produce("u", 1, 1)
    await client.delete("u")
    await client.purge("t", 1, 1)
    await client.produce("t", 1, 1, at_once=3)
    assert client.node.host.disk.exists(f"{MORE}/t-1")


async def compaction(client: Recording) -> None:
    """A compacted topic is cleaned while it grows, and once more."""
    await client.create("compacted", 1, COMPACT)
    for count in (8, 5):
        await client.produce("compacted", count, keys=KEYS)
        await client.pause(2 * BACKOFF_MS)
    await client.produce("compacted", 1, keys=KEYS)
    assert client.node.host.disk.exists(f"{DATA}/{names.CLEANER_POINTS}")


async def clean_stop(client: Recording) -> None:
    """Produce, then stop: every write of the stop is a place to crash."""
    await client.create("t", 1, SMALL)
    await client.produce("t", 4)
    client.hang_up()
    assert await client.node.stop()


OPERATIONS: dict[str, Callable[[Recording], Awaitable[None]]] = {
    "produce": produce,
    "roll": roll,
    "index-full roll": index_full,
    "metadata commit": metadata,
    "topic deletion": deletion,
    "compaction": compaction,
    "record deletion": purge,
    "retention": retention,
    TWO: two_directories,
    "clean stop": clean_stop,
}


def overrides(operation: str) -> dict[str, str]:
    """Settings of the node that an operation needs, at every start."""
    more = {"log.dirs": f"{DATA},{MORE}"} if operation == TWO else {}
    return {"log.cleaner.backoff.ms": str(BACKOFF_MS), **more}


def record(operation: str) -> History:
    """The disk's history of one operation, from an empty directory on."""
    act = OPERATIONS[operation]
    world = SimWorld(1)
    often = {
        "log.segment.delete.delay.ms": "0",
        "log.initial.task.delay.ms": str(RETENTION_MS),
        "log.retention.check.interval.ms": str(RETENTION_MS),
    }
    node = NodeHost(world, often | overrides(operation))
    client = Recording(world, node)
    client.history = node.host.disk.start_history()

    async def main() -> None:
        assert await node.start()
        await client.host.spawn(_all(client, act))

    async def _all(client: Recording, act: Callable[[Recording], Awaitable[None]]) -> None:
        await act(client)
        client.hang_up()

    world.run(main())
    return client.history


def promised_by(marks: tuple[object, ...]) -> Promised:
    """Fold the marks."""
    found = Promised()
    for mark in marks:
        assert isinstance(mark, tuple)
        kind, name, *rest = mark
        if kind == "asked":
            found.under_way.add(name)
        elif kind == "topic":
            found.under_way.discard(name)
            found.topics[name] = rest[0]
            if rest[0] == 0:
                found.records = {at: v for at, v in found.records.items() if at[0] != name}
                found.starts = {at: v for at, v in found.starts.items() if at[0] != name}
        elif kind == "start":
            found.starts[name, rest[0]] = rest[1]
        else:
            found.records.setdefault((name, rest[0]), []).append(rest[1])
    return found


def without(model: DiskModel, operation: str) -> DiskModel:
    """A node starts while its second disk is not mounted; what is left once it is back."""
    world = SimWorld(4)
    node = NodeHost(world, overrides(operation))
    disk = node.host.disk
    disk.restore(model)
    if not disk.exists(MORE):
        return model
    disk.rename(MORE, "/away")

    async def main() -> None:
        assert await node.start()
        await node.host.ports.clock.sleep(500)
        assert await node.stop()

    world.run(main())
    disk.remove_tree(MORE)
    disk.rename("/away", MORE)
    disk.sync_dir("/")
    return disk.model


def serve(model: DiskModel, marks: tuple[object, ...], *, stop: bool, operation: str) -> DiskModel:
    """A node starts on this disk and is asked for everything; the disk it leaves."""
    world = SimWorld(2)
    node = NodeHost(world, overrides(operation))
    host = world.host("client")
    node.host.disk.restore(model)
    promised = promised_by(marks)
    run = Run(ClientHistory(), node.host.address, page_cache=False)

    async def look() -> None:
        client = Client(run, host, "looker")
        answer = await client.ask(MetadataRequest(None), MetadataResponse)
        there = {topic.name: len(topic.partitions) for topic in answer.topics}
        named = {topic.topic_id: topic.name for topic in answer.topics}
        for name, partitions in promised.topics.items():
            if name not in promised.under_way:
                assert there.get(name, 0) == partitions, f"{name}: {there}"
        client.hang_up()
        contents = await read_everything(run, host)
        held = {
            (named[at.topic_id], at.number): [value for _, value in found.records]
            for at, found in contents.items()
        }
        starts = {(named[at.topic_id], at.number): c.start for at, c in contents.items()}
        for at, values in promised.records.items():
            if at[0] == "compacted":
                assert set(values[-KEYS:]) <= set(held[at]), f"{at}: {held[at]}"
            elif at[0] not in promised.under_way:
                start = starts[at]
                kept = values[start:]
                assert start >= promised.starts.get(at, 0), f"{at}"
                assert held[at][: len(kept)] == kept, f"{at}: {held[at]}"
        for where, found in contents.items():
            offsets = [offset for offset, _ in found.records]
            if named[where.topic_id] == "compacted":
                assert offsets == sorted(set(offsets)), f"{where}"
            else:
                assert offsets == list(range(found.start, found.end)), f"{where}"

    async def main() -> None:
        assert await node.start()
        await host.spawn(look())
        if stop:
            assert await node.stop()
        else:
            node.kill()

    world.run(main())
    return node.host.disk.model


def crash_everywhere(operation: str, limits: CrashLimits, seed: int, share: float) -> Tally:
    """Start a node on the images of one operation, and once more on what that leaves."""
    history = record(operation)
    tally = Tally(operation)
    for number, image in enumerate(images_of(history, tally, limits, seed, share)):
        model = image.model
        if operation == TWO and number % 2:
            model = without(model, operation)
        left = serve(model, image.marks, stop=number % 2 == 0, operation=operation)
        if number % 8 == 0:
            serve(left, image.marks, stop=True, operation=operation)
    return tally


def crash_recovery(limits: CrashLimits, seed: int, share: float, again_share: float) -> Tally:
    """Crash, start, and crash again while the node starts and recovers.

    `share` of the images of the first crash, of each `again_share` of those of the second.
    """
    before, tally = Tally("before"), Tally("recovery")
    for image in images_of(record("roll"), before, limits, seed, share):
        disk = SimDisk(model=image.model)
        world = SimWorld(3)
        node = NodeHost(world)
        node.host.disk.restore(disk.model)
        history = node.host.disk.start_history()
        for mark in image.marks:
            history.mark(mark)

        async def main() -> None:
            assert await node.start()  # noqa: B023
            await node.host.ports.clock.sleep(500)  # noqa: B023

        world.run(main())
        second = CrashLimits(images=4, contents=4)
        for again in images_of(history, tally, second, seed, again_share):
            serve(again.model, again.marks, stop=False, operation="roll")
    return tally


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_share_of_the_images(operation: str, seed: int) -> None:
    share = 0.03 if operation == "compaction" else 0.1
    tally = crash_everywhere(operation, QUICK, seed, share)
    assert tally.images >= 8
    assert set(tally.by_class) & {"lost", "torn", "zero-filled", "name lost"}


def test_a_share_of_crashes_during_recovery(seed: int) -> None:
    assert crash_recovery(QUICK, seed, 0.02, 0.2).images >= 4
