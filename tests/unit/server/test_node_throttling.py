"""Quotas at work: answers that come at once, and sockets that are not read (KIP-219)."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import pytest

from barnabas.client.config import ClientConfig
from barnabas.client.connection import Connection
from barnabas.server.handlers import DECODED
from barnabas.testing.sim.stream import StreamEnd
from barnabas.wire import codec
from barnabas.wire.apis import API
from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message
from barnabas.wire.messages.create_partitions_request import (
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from barnabas.wire.messages.create_partitions_response import CreatePartitionsResponse
from barnabas.wire.messages.create_topics_request import CreatableTopic, CreateTopicsRequest
from barnabas.wire.messages.create_topics_response import CreateTopicsResponse
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest, DeleteTopicState
from barnabas.wire.messages.delete_topics_response import DeleteTopicsResponse
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.fetch_response import FetchResponse
from barnabas.wire.messages.metadata_request import MetadataRequest, MetadataRequestTopic
from barnabas.wire.messages.metadata_response import MetadataResponse
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import ProduceResponse
from tests.sim.node_host import PORT
from tests.unit.server.calm import BIG, Session, calm
from tests.unit.server.test_node_quotas import alter

R = TypeVar("R", bound=Message)
#: WriteTxnMarkers and DescribeQuorum are not throttled.
WITHOUT_THROTTLE_TIME = (27, 55)
SLACK_MS = 100
"""What a few requests take in a calm world."""


class Rude(Connection):
    """Sends on while it is throttled: the node has to see to it itself."""

    def _throttled(self, throttle_ms: int) -> None: ...


class Client:
    """A connection with a client id of its own."""

    def __init__(self, s: Session, connection: Connection, end: StreamEnd) -> None:
        self.s = s
        self.connection = connection
        self.end = end
        """The node's end of it."""

    @classmethod
    async def open(cls, s: Session, client_id: str) -> Client:
        """Connect."""
        config = ClientConfig(client_id=client_id, request_timeout_ms=10_000_000)
        address = s.node.host.address
        connection = await Rude.open(s.host.ports, config, address, PORT)
        return cls(s, connection, s.node.host.network.connections[-1])

    async def ask(self, request: Message, response: type[R], version: int | None = None) -> R:
        """Send and wait."""
        return await self.connection.request(request, response, version=version)

    async def produce(self, topic: str, size: int, **options: Any) -> int:
        """A batch of about `size` bytes; the throttle time of the answer."""
        version = options.pop("version", None)
        request = self.produce_request(topic, size, **options)
        answer = await self.ask(request, ProduceResponse, version)
        assert answer.responses[0].partition_responses[0].error_code == 0
        return answer.throttle_time_ms

    def produce_request(self, topic: str, size: int, acks: int = -1) -> ProduceRequest:
        """One partition."""
        parts = [PartitionProduceData(0, self.s.batch(b"x" * size))]
        data = [TopicProduceData(topic, self.s.ids[topic], parts)]
        return ProduceRequest(None, acks, 5000, data)

    async def takes(self, work: Any) -> tuple[Any, int]:
        """(result, virtual milliseconds)."""
        began = self.s.now
        return await work, self.s.now - began


def about(expected: int, found: int) -> bool:
    """Whether a time is what it should be, give or take what requests take."""
    return expected - SLACK_MS <= found <= expected + SLACK_MS


@pytest.mark.parametrize("version", [3, 8, 9, 12, 13])
@pytest.mark.parametrize("acks", [1, -1])
def test_a_producer_above_its_quota_is_not_read(version: int, acks: int) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        assert await alter(s, {"client-id": "a"}, {"producer_byte_rate": 1000.0}) == 0
        greedy, other = await Client.open(s, "a"), await Client.open(s, "b")
        options = {"version": version, "acks": acks}
        assert await greedy.produce("t", 5000, **options) == 0
        throttled, took = await greedy.takes(greedy.produce("t", 15_000, **options))
        assert (10_000 < throttled < 11_000, took < SLACK_MS) == (True, True)
        # What comes now stays in the socket, for as long as that.
        pending = asyncio.ensure_future(greedy.takes(greedy.produce("t", 1000, **options)))
        await s.sleep(throttled // 2)
        assert greedy.end.inbox_size > 1000
        assert (await other.takes(other.produce("t", 100_000, **options)))[1] < SLACK_MS
        await s.sleep(throttled // 2 - 2 * SLACK_MS)
        assert (greedy.end.inbox_size > 1000, pending.done()) == (True, False)
        _, took = await pending
        assert about(throttled, took)
        assert greedy.end.inbox_size == 0

    calm(scenario)


def test_requests_that_were_sent_in_advance_wait_as_well() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await alter(s, {"client-id": None}, {"producer_byte_rate": 1000.0})
        greedy = await Client.open(s, "a")
        answers: list[tuple[int, int]] = []
        began = s.now
        await asyncio.gather(*(note(greedy, answers) for _ in range(4)))
        # 20 KB for 10 s of 1 KB/s: each answer says how long the next has to wait, at least.
        times = [at - began for at, _ in answers]
        assert [throttled > 0 for _, throttled in answers] == [False, True, True, True]
        assert times[1] < SLACK_MS
        assert about(answers[1][1], times[2])
        assert about(answers[2][1], times[3] - times[2])

    async def note(client: Client, answers: list[tuple[int, int]]) -> None:
        throttled = await client.produce("t", 6000)
        answers.append((client.s.now, throttled))

    calm(scenario)


def test_a_producer_that_wants_no_answer_is_not_read_either() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await alter(s, {"user": None}, {"producer_byte_rate": 1000.0})
        greedy = await Client.open(s, "a")
        for acks in (1, 0, 0):  # the first one goes the slow way, the others are known
            request = greedy.produce_request("t", 6000, acks)
            greedy.connection.send(request, None if acks == 0 else ProduceResponse, lambda *_: None)
            await s.sleep(50)
        _, took = await greedy.takes(greedy.ask(MetadataRequest(None), MetadataResponse))
        assert 9000 < took < 11_500
        assert len(await s.values("t")) == 3

    calm(scenario)


def fetch(s: Session, offset: int, session: tuple[int, int] = (0, -1)) -> FetchRequest:
    """A batch from `offset` on; (session id, epoch)."""
    part = FetchPartition(0, fetch_offset=offset, partition_max_bytes=6500)
    session_id, epoch = session
    return FetchRequest(
        max_wait_ms=0,
        min_bytes=0,
        max_bytes=BIG,
        session_id=session_id,
        session_epoch=epoch,
        topics=[FetchTopic("t", s.ids["t"], [part])],
    )


@pytest.mark.parametrize("version", [4, 6, 7, 11, 12, 13, 18])
def test_a_consumer_above_its_quota_gets_nothing_and_is_not_read(version: int) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        for _ in range(5):
            await s.produce("t", s.batch(b"x" * 6000))
        await alter(s, {"client-id": "a"}, {"consumer_byte_rate": 1000.0})
        greedy = await Client.open(s, "a")
        answer = await greedy.ask(fetch(s, 0), FetchResponse, version)
        # One batch fits into the ten seconds' worth that it may have at once.
        assert 6000 < len(answer.responses[0].partitions[0].records or b"") < 7000
        again = fetch(s, 1)
        empty, took = await greedy.takes(greedy.ask(again, FetchResponse, version))
        assert (empty.error_code, empty.responses, took < SLACK_MS) == (0, [], True)
        assert 2000 < empty.throttle_time_ms < 4000
        answer, took = await greedy.takes(greedy.ask(again, FetchResponse, version))
        assert about(empty.throttle_time_ms, took)
        other = await Client.open(s, "b")
        for offset in range(5):
            answer = await other.ask(fetch(s, offset), FetchResponse, version)
            assert (answer.throttle_time_ms, len(answer.responses)) == (0, 1)

    calm(scenario)


def test_what_was_not_told_is_told_after_the_throttling() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        for _ in range(3):
            await s.produce("t", s.batch(b"x" * 6000))
        await alter(s, {"client-id": "a"}, {"consumer_byte_rate": 1000.0})
        greedy = await Client.open(s, "a")
        first = await greedy.ask(fetch(s, 0, (0, 0)), FetchResponse)
        assert first.session_id != 0
        epoch, offset, empty = 1, 1, 0
        while offset < 3:
            answer = await greedy.ask(fetch(s, offset, (first.session_id, epoch)), FetchResponse)
            epoch += 1
            assert (answer.error_code, answer.session_id) == (0, first.session_id)
            if answer.throttle_time_ms:
                assert answer.responses == []
                empty += 1
            elif answer.responses:
                offset += bool(answer.responses[0].partitions[0].records)
        assert 0 < empty < 20
        # A session that would begin throttled does not begin.
        refused = await greedy.ask(fetch(s, 0, (0, 0)), FetchResponse)
        assert (refused.throttle_time_ms > 0, refused.session_id) == (True, 0)
        assert s.node.node is not None
        assert [each.id for each in s.node.node.broker.sessions] == [first.session_id]

    calm(scenario)


def test_a_new_quota_holds_at_once_and_so_does_none() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        client = await Client.open(s, "a")
        assert await client.produce("t", 50_000) == 0
        await alter(s, {"user": "ANONYMOUS"}, {"producer_byte_rate": 1000.0})
        assert await client.produce("t", 20_000) > 9000
        await alter(s, {"user": "ANONYMOUS", "client-id": "a"}, {"producer_byte_rate": 1e6})
        assert await client.produce("t", 20_000) == 0
        await alter(s, {"user": "ANONYMOUS", "client-id": "a"}, {"producer_byte_rate": None})
        assert await client.produce("t", 20_000) > 0
        await alter(s, {"user": "ANONYMOUS"}, {"producer_byte_rate": None})
        assert await client.produce("t", 20_000) == 0

    calm(scenario)


@pytest.mark.parametrize("kind", ["stop", "kill"])
def test_quotas_hold_after_a_restart(kind: str) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await alter(s, {"client-id": "a"}, {"producer_byte_rate": 1000.0})
        await s.restart(kind)
        client = await Client.open(s, "a")
        assert await client.produce("t", 20_000) > 9000

    calm(scenario)


@pytest.mark.effect_of("quota.window.num", "quota.window.size.seconds")
def test_windows_are_as_configured() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await alter(s, {"client-id": None}, {"producer_byte_rate": 1000.0})
        client = await Client.open(s, "a")
        assert await client.produce("t", 3500) == 0
        assert about(1000, await client.produce("t", 1300))

    calm(scenario, {"quota.window.num": "3", "quota.window.size.seconds": "2"})


async def create(client: Client, name: str, partitions: int, version: int) -> tuple[int, int]:
    """(error code, throttle time)."""
    request = CreateTopicsRequest([CreatableTopic(name, partitions, 1)], 5000)
    answer = await client.ask(request, CreateTopicsResponse, version)
    return answer.topics[0].error_code, answer.throttle_time_ms


async def widen(client: Client, name: str, partitions: int, version: int) -> tuple[int, int]:
    """(error code, throttle time)."""
    request = CreatePartitionsRequest([CreatePartitionsTopic(name, partitions, None)], 5000)
    answer = await client.ask(request, CreatePartitionsResponse, version)
    return answer.results[0].error_code, answer.throttle_time_ms


async def delete(client: Client, name: str, version: int) -> tuple[int, int]:
    """(error code, throttle time)."""
    request = DeleteTopicsRequest(timeout_ms=5000)
    if version < 6:
        request.topic_names = [name]
    else:
        request.topics = [DeleteTopicState(name=name)]
    answer = await client.ask(request, DeleteTopicsResponse, version)
    return answer.responses[0].error_code, answer.throttle_time_ms


EXCEEDED = ErrorCode.THROTTLING_QUOTA_EXCEEDED


def test_mutations_above_the_quota_are_refused_to_clients_that_know_the_error() -> None:
    async def scenario(s: Session) -> None:
        await alter(s, {"user": None}, {"controller_mutation_rate": 1.0})
        assert await create(await Client.open(s, "a"), "t", 15, 7) == (0, 0)
        refused = [
            await create(await Client.open(s, "b"), "u", 1, 6),
            await create(await Client.open(s, "c"), "u", 1, 7),
            await widen(await Client.open(s, "d"), "t", 16, 3),
            await delete(await Client.open(s, "e"), "t", 5),
            await delete(last := await Client.open(s, "f"), "t", 6),
        ]
        for code, throttled in refused:
            assert (code, about(4000, throttled)) == (EXCEEDED, True)
        # What fails anyway costs nothing, and what has waited is served.
        other = await Client.open(s, "g")
        assert await delete(other, "u", 6) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, 0)
        _, took = await last.takes(last.ask(MetadataRequest(None), MetadataResponse))
        assert about(4000, took)
        await s.sleep(SLACK_MS)
        assert await widen(last, "t", 17, 3) == (0, 0)
        assert (await delete(other, "t", 6))[0] == EXCEEDED

    calm(scenario)


@pytest.mark.effect_of("controller.quota.window.num", "controller.quota.window.size.seconds")
def test_a_burst_of_mutations_is_as_configured() -> None:
    async def scenario(s: Session) -> None:
        await alter(s, {"user": None}, {"controller_mutation_rate": 1.0})
        client = await Client.open(s, "a")
        assert await create(client, "t", 12, 5) == (0, 0)
        assert about(1000, (await create(client, "u", 1, 5))[1])

    settings = {"controller.quota.window.num": "4", "controller.quota.window.size.seconds": "3"}
    calm(scenario, settings)


def test_older_clients_get_their_mutations_and_are_throttled_afterwards() -> None:
    async def scenario(s: Session) -> None:
        await alter(s, {"user": None}, {"controller_mutation_rate": 1.0})
        client = await Client.open(s, "a")
        code, throttled = await create(client, "t", 15, 5)
        assert (code, about(4000, throttled)) == (0, True)
        (code, throttled), took = await client.takes(widen(client, "t", 20, 2))
        assert (code, about(4000, took), about(5000, throttled)) == (0, True, True)
        (code, throttled), took = await client.takes(delete(client, "t", 4))
        assert (code, about(5000, took), about(20_000, throttled)) == (0, True, True)
        _, took = await client.takes(create(client, "u", 1, 2))
        assert about(20_000, took)

    calm(scenario)


def test_topics_that_are_created_for_a_client_count_as_its_own() -> None:
    async def scenario(s: Session) -> None:
        await alter(s, {"client-id": "a"}, {"controller_mutation_rate": 1.0})
        client, other = await Client.open(s, "a"), await Client.open(s, "b")
        assert await create(client, "t", 12, 7) == (0, 0)
        for asker, there in ((client, 0), (other, 1)):
            names = [MetadataRequestTopic(name="auto")]
            await asker.ask(MetadataRequest(names, True), MetadataResponse)
            await s.sleep(100)
            answer = await other.ask(MetadataRequest(None), MetadataResponse)
            assert [t.name for t in answer.topics].count("auto") == there

    calm(scenario)


def test_every_answer_can_tell_how_long_its_client_is_throttled() -> None:
    for key in DECODED:
        api = API[key]
        for version in range(api.min_version, api.max_version + 1):
            answer: Any = api.response()
            if key not in WITHOUT_THROTTLE_TIME:
                answer.throttle_time_ms = 77
            codec.encode(answer, version)
