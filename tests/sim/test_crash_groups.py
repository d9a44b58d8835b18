"""Every disk that a power cut may leave while offsets and transactions are committed: a fresh node
has what was acknowledged, and of a transaction all or nothing (G3, T2, T5)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from barnabas.records.builder import build_batch
from barnabas.testing.checkers import History as ClientHistory
from barnabas.testing.sim import CrashLimits, History, SimWorld
from barnabas.testing.sim.disk_model import DiskModel
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.end_txn_request import EndTxnRequest
from barnabas.wire.messages.end_txn_response import EndTxnResponse
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.fetch_response import FetchResponse
from barnabas.wire.messages.find_coordinator_request import FindCoordinatorRequest
from barnabas.wire.messages.find_coordinator_response import FindCoordinatorResponse
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.offset_commit_request import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from barnabas.wire.messages.offset_commit_response import OffsetCommitResponse
from barnabas.wire.messages.offset_fetch_request import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from barnabas.wire.messages.offset_fetch_response import OffsetFetchResponse
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import ProduceResponse
from barnabas.wire.messages.txn_offset_commit_request import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from barnabas.wire.messages.txn_offset_commit_response import TxnOffsetCommitResponse
from tests.sim.crash_classes import Tally, images_of
from tests.sim.node_clients import Client, Run
from tests.sim.node_group_run import committed
from tests.sim.node_host import NodeHost
from tests.sim.test_crash_node import Recording

QUICK = CrashLimits(images=8, contents=8, tears=1)
FULL = CrashLimits(images=120, contents=96, tears=2)
GROUP, TID, TOPIC = "g", "tid", "t"
NODE = {
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
}
TRANSACTION_MS = 2_000


async def coordinator(client: Client, kind: int, key: str) -> None:
    """Until there is one."""
    while True:
        request = FindCoordinatorRequest("", kind, [key])
        answer = await client.ask(request, FindCoordinatorResponse)
        if answer.coordinators[0].error_code == ErrorCode.NONE:
            return
        await client.pause(100)


async def offset_commits(client: Recording) -> None:
    """Offsets of two partitions, each committed a few times, and of another group meanwhile."""
    await client.create(TOPIC, 2)
    await coordinator(client, 0, GROUP)
    topic_id = await client.topic_id(TOPIC)
    assert topic_id is not None
    others = [client.twin() for _ in range(4)]

    async def commit(who: Recording, group: str, index: int) -> None:
        for offset in range(1, 5):
            part = OffsetCommitRequestPartition(index, offset)
            topic = OffsetCommitRequestTopic(TOPIC, topic_id, [part])
            request = OffsetCommitRequest(group, topics=[topic])
            answer = await who.ask(request, OffsetCommitResponse)
            assert answer.topics[0].partitions[0].error_code == ErrorCode.NONE
            if group == GROUP:
                client.history.mark(("offset", index, offset))

    await asyncio.gather(
        commit(client, GROUP, 0),
        commit(others[0], GROUP, 1),
        *(commit(each, f"{GROUP}-{at}", 0) for at, each in enumerate(others[1:])),
    )
    for each in others:
        each.hang_up()


async def transactions(client: Recording) -> None:
    """Each writes to two partitions and commits an offset; the second one is aborted. Meanwhile
    others begin under ids of their own."""
    other = client.twin()
    await client.create(TOPIC, 2)
    await coordinator(client, 0, GROUP)
    await coordinator(client, 1, TID)
    made = await client.ask(InitProducerIdRequest(TID, TRANSACTION_MS), InitProducerIdResponse)
    assert made.error_code == ErrorCode.NONE
    producer = (made.producer_id, made.producer_epoch)
    await asyncio.gather(transact(client, producer), begin(other))
    other.hang_up()


async def begin(client: Recording) -> None:
    """Further transactional ids, one after the other."""
    for number in range(30):
        request = InitProducerIdRequest(f"other-{number}", TRANSACTION_MS)
        assert not (await client.ask(request, InitProducerIdResponse)).error_code


async def transact(client: Recording, producer: tuple[int, int]) -> None:
    """Three transactions."""
    topic_id = await client.topic_id(TOPIC)
    assert topic_id is not None
    for number in range(1, 4):
        commit = number != 2
        for index in range(2):
            data = build_batch(
                [(None, b"%d" % number, 1_700_000_000_000, ())],
                producer_id=producer[0],
                producer_epoch=producer[1],
                base_sequence=0,
                transactional=True,
            )
            topic = TopicProduceData(TOPIC, topic_id, [PartitionProduceData(index, bytes(data))])
            answer = await client.ask(ProduceRequest(TID, -1, 5_000, [topic]), ProduceResponse)
            assert answer.responses[0].partition_responses[0].error_code == ErrorCode.NONE
        part = TxnOffsetCommitRequestPartition(0, number)
        request = TxnOffsetCommitRequest(
            TID, GROUP, *producer, topics=[TxnOffsetCommitRequestTopic(TOPIC, [part])]
        )
        said = await client.ask(request, TxnOffsetCommitResponse)
        assert said.topics[0].partitions[0].error_code == ErrorCode.NONE
        client.history.mark(("ending", number, commit))
        ended = await client.ask(EndTxnRequest(TID, *producer, commit), EndTxnResponse)
        assert ended.error_code == ErrorCode.NONE
        client.history.mark(("ended", number, commit))
        producer = (ended.producer_id, ended.producer_epoch)


OPERATIONS: dict[str, Callable[[Recording], Awaitable[None]]] = {
    "offset commits": offset_commits,
    "transactions": transactions,
}


def record(operation: str) -> History:
    """The disk's history of one operation, from an empty directory on."""
    world = SimWorld(1)
    node = NodeHost(world, NODE)
    client = Recording(world, node)
    client.history = node.host.disk.start_history()

    async def act() -> None:
        await OPERATIONS[operation](client)
        client.hang_up()

    async def main() -> None:
        assert await node.start()
        await client.host.spawn(act())

    world.run(main())
    return client.history


async def offsets(client: Client, topic_id: bytes) -> list[int]:
    """What is committed for the two partitions, once nothing is pending."""
    topic = OffsetFetchRequestTopics(TOPIC, topic_id, [0, 1])
    request = OffsetFetchRequest(
        groups=[OffsetFetchRequestGroup(GROUP, None, -1, [topic])], require_stable=True
    )
    while True:
        found = (await client.ask(request, OffsetFetchResponse)).groups[0]
        if found.error_code == ErrorCode.NONE:
            parts = found.topics[0].partitions
            if all(part.error_code == ErrorCode.NONE for part in parts):
                return [part.committed_offset for part in parts]
        await client.pause(200)


async def visible(client: Client, topic_id: bytes, index: int) -> list[bytes]:
    """What a read_committed consumer sees."""
    part = FetchPartition(index, fetch_offset=0, partition_max_bytes=1 << 20)
    request = FetchRequest(
        isolation_level=1, session_epoch=-1, topics=[FetchTopic(TOPIC, topic_id, [part])]
    )
    found = (await client.ask(request, FetchResponse)).responses[0].partitions[0]
    assert found.error_code == ErrorCode.NONE
    aborted = {(each.producer_id, each.first_offset) for each in found.aborted_transactions or ()}
    return [value.encode() for _, value in committed(found.records or b"", aborted, 0)]


async def check_offsets(client: Client, topic_id: bytes, marks: list[tuple[object, ...]]) -> None:
    """G3: what was acknowledged, or what was asked for after it."""
    promised = [-1, -1]
    for _, index, offset in marks:
        assert isinstance(index, int)
        assert isinstance(offset, int)
        promised[index] = offset
    found = await offsets(client, topic_id)
    for index in range(2):
        allowed = (promised[index], promised[index] + 1 if promised[index] > 0 else 1)
        assert found[index] in allowed, f"{found}, promised {promised}"


async def check_transactions(
    client: Client, topic_id: bytes, marks: list[tuple[object, ...]]
) -> None:
    """T2, T5: all of a committed one, nothing of an aborted one, and of the last one either."""
    await client.ports.clock.sleep(TRANSACTION_MS + 2_000)  # whatever is open times out
    sure = [number for kind, number, commit in marks if kind == "ended" and commit]
    maybe = [number for kind, number, commit in marks if kind == "ending" and commit]
    outcomes = []
    for told in (sure, maybe):
        values = [b"%d" % number for number in told if isinstance(number, int)]
        outcomes.append((values, values, int(values[-1]) if values else -1))
    seen = [await visible(client, topic_id, index) for index in range(2)]
    at = (seen[0], seen[1], (await offsets(client, topic_id))[0])
    assert at in outcomes, f"{at} is none of {outcomes}"


def serve(model: DiskModel, marks: tuple[object, ...], operation: str) -> None:
    """A node starts on this disk and is asked for what was promised."""
    world = SimWorld(2)
    node = NodeHost(world, NODE)
    host = world.host("client")
    node.host.disk.restore(model)
    run = Run(ClientHistory(), node.host.address, page_cache=False)
    own = [
        mark
        for mark in marks
        if isinstance(mark, tuple) and mark[0] in ("offset", "ending", "ended")
    ]
    check = check_offsets if operation == "offset commits" else check_transactions

    async def look() -> None:
        client = Client(run, host, "looker")
        topic_id = await client.topic_id(TOPIC)
        if topic_id is None:
            assert not own, "the topic is gone"
        else:
            await coordinator(client, 0, GROUP)
            await coordinator(client, 1, TID)
            await check(client, topic_id, own)
        client.hang_up()

    async def main() -> None:
        assert await node.start()
        await host.spawn(look())
        node.kill()

    world.run(main())


def crash_everywhere(operation: str, limits: CrashLimits, seed: int, share: float) -> Tally:
    """Start a node on the images of one operation."""
    tally = Tally(operation)
    for image in images_of(record(operation), tally, limits, seed, share):
        serve(image.model, image.marks, operation)
    return tally


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_share_of_the_images(operation: str, seed: int) -> None:
    assert crash_everywhere(operation, QUICK, seed, 0.05).images >= 4
