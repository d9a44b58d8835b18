"""Clients of a simulated node that note what they do: one request, one entry of the history."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from barnabas.client.connection import Connection
from barnabas.client.errors import ClientError
from barnabas.ports import Buffer, Ports
from barnabas.records.batch import iter_batches
from barnabas.records.builder import build_batch
from barnabas.records.compression import Codec
from barnabas.records.record import read_records
from barnabas.testing.checkers import BatchSpan, Guarantee, History, Partition, Read, Violation
from barnabas.testing.sim import SimHost
from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.fetch_response import FetchResponse, PartitionData
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.list_offsets_request import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from barnabas.wire.messages.list_offsets_response import ListOffsetsResponse
from barnabas.wire.messages.metadata_request import MetadataRequest, MetadataRequestTopic
from barnabas.wire.messages.metadata_response import MetadataResponse
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import ProduceResponse
from tests.sim.node_host import connect

Response = TypeVar("Response", bound=Message)
SAID_NO = frozenset(
    {
        ErrorCode.UNKNOWN_TOPIC_ID,
        ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        ErrorCode.MESSAGE_TOO_LARGE,
        ErrorCode.INVALID_TIMESTAMP,
        ErrorCode.INVALID_RECORD,
        ErrorCode.INVALID_PRODUCER_EPOCH,
        ErrorCode.RECORD_LIST_TOO_LARGE,
        ErrorCode.NOT_ENOUGH_REPLICAS,
    }
)
"""Errors that say that nothing was appended."""
LOST_TRACK = (ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, ErrorCode.INVALID_PRODUCER_EPOCH)
INFLATED = 1 << 20
EARLIEST, LATEST = -2, -1


@dataclass
class Run:
    """What the clients of one world share."""

    history: History
    address: str
    page_cache: bool
    over: bool = False
    topics: dict[str, int] = field(default_factory=dict)
    """Topics to use and their partitions."""
    expiring: set[str] = field(default_factory=set)
    """Topics with retention, whichever incarnation."""
    violations: list[Violation] = field(default_factory=list)

    def learn(self, topic: str, topic_id: bytes) -> None:
        """Somebody saw an incarnation of a topic."""
        if not self.page_cache:
            self.history.synced.add(topic_id)
        if topic in self.expiring:
            self.history.expiring.add(topic_id)

    def promise(self, acks: int) -> Guarantee:
        """What an acknowledgement means here."""
        if acks == 0:
            return Guarantee.NOTHING
        if acks == -1 and not self.page_cache:
            return Guarantee.POWER
        return Guarantee.PROCESS


class Client:
    """A connection that is opened anew when it is lost, and topic ids as last heard."""

    def __init__(self, run: Run, host: SimHost, name: str) -> None:
        self.run = run
        self.name = name
        self.host = host
        self.ports: Ports = host.ports
        self.random = Random(name)
        self.ids: dict[str, bytes] = {}
        self._connection: Connection | None = None

    async def ask(self, request: Message, response: type[Response]) -> Response:
        """One request. Raises `ClientError`, `KafkaError`."""
        connection = await self.connection()
        return await connection.request(request, response)

    async def connection(self) -> Connection:
        """The open connection. Raises `ClientError`."""
        if self._connection is None or self._connection.closed:
            self._connection = await connect(self.ports, self.run.address)
        return self._connection

    def hang_up(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    async def topic_id(self, topic: str) -> bytes | None:
        """The id under which the topic was last seen; None: it is not there."""
        if topic not in self.ids:
            request = MetadataRequest(
                [MetadataRequestTopic(name=topic)], allow_auto_topic_creation=False
            )
            for found in (await self.ask(request, MetadataResponse)).topics:
                if found.error_code == ErrorCode.NONE:
                    self.ids[topic] = found.topic_id
                    self.run.learn(topic, found.topic_id)
        return self.ids.get(topic)

    async def pick(self) -> tuple[str, Partition] | None:
        """A partition to work on."""
        topic = self.random.choice(sorted(self.run.topics))
        topic_id = await self.topic_id(topic)
        if topic_id is None:
            return None
        return topic, Partition(topic_id, self.random.randrange(self.run.topics[topic]))

    async def pause(self, up_to_ms: int) -> None:
        """Think."""
        await self.ports.clock.sleep(self.random.randrange(up_to_ms + 1))

    async def live(self) -> None:
        """Work until the run is over, whatever happens to the node."""
        while not self.run.over:
            try:
                await self.work()
            except ClientError:
                await self.pause(300)
        self.hang_up()

    async def work(self) -> None:
        """One operation."""
        raise NotImplementedError


class RawProducer(Client):
    """Sends batches one at a time; idempotent ones until they are answered, some twice."""

    def __init__(self, run: Run, host: SimHost, name: str, *, acks: int, idempotent: bool) -> None:
        super().__init__(run, host, name)
        self.acks = acks
        self.idempotent = idempotent
        self.codec = self.random.choice(list(Codec))
        self._count = 0
        self._identity = (-1, -1)
        self._sequences: dict[Partition, int] = {}
        self._sent: list[tuple[Partition, bytes, int]] = []

    async def work(self) -> None:
        """One batch."""
        if self.idempotent and self._identity[0] < 0:
            answer = await self.ask(InitProducerIdRequest(None, 60_000), InitProducerIdResponse)
            if answer.error_code != ErrorCode.NONE:
                await self.pause(300)
                return
            self._identity = (answer.producer_id, answer.producer_epoch)
            self._sequences, self._sent = {}, []
        picked = await self.pick()
        if picked is None:
            await self.pause(100)
            return
        topic, partition = picked
        count = self.random.randrange(1, 5)
        values = tuple(self._value() for _ in range(count))
        data = self._batch(partition, values)
        history = self.run.history
        sent = history.send(self.name, partition, values, self.run.promise(self.acks), once=True)
        while True:
            try:
                code, offset = await self._produce(topic, partition, data)
            except ClientError:
                if not self.idempotent or self.run.over:
                    raise
                await self.pause(300)
                continue
            if code == ErrorCode.NONE:
                history.ack(sent, offset)
                self._sequences[partition] = self._sequences.get(partition, 0) + count
                await self._repeat(topic, partition, data, offset)
            elif code in SAID_NO:
                if sent.outcome.value == 0 and not self.idempotent:
                    history.refuse(sent)
                self._refused(partition, code)
            elif self.idempotent and code.retriable and not self.run.over:
                await self.pause(300)
                continue
            else:
                self._identity = (-1, -1)
            break
        await self.pause(self.random.choice((0, 20, 200)))

    def _value(self) -> bytes:
        self._count += 1
        return b"%s/%d" % (self.name.encode(), self._count) + b"." * self.random.randrange(80)

    def _batch(self, partition: Partition, values: tuple[bytes, ...]) -> bytes:
        now = self.ports.clock.wall_ms()
        return bytes(
            build_batch(
                [(None, value, now, ()) for value in values],
                codec=self.codec,
                producer_id=self._identity[0],
                producer_epoch=self._identity[1],
                base_sequence=self._sequences.get(partition, 0) if self.idempotent else -1,
            )
        )

    async def _produce(
        self, topic: str, partition: Partition, data: Buffer
    ) -> tuple[ErrorCode, int]:
        request = ProduceRequest(
            None,
            self.acks,
            5_000,
            [
                TopicProduceData(
                    topic, partition.topic_id, [PartitionProduceData(partition.number, data)]
                )
            ],
        )
        if self.acks == 0:
            gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            connection = await self.connection()
            connection.send(request, None, lambda *_: _wake(gone))
            await gone
            return ErrorCode.NONE, -1
        answer = await self.ask(request, ProduceResponse)
        found = answer.responses[0].partition_responses[0]
        return ErrorCode(found.error_code), found.base_offset

    async def _repeat(self, topic: str, partition: Partition, data: bytes, offset: int) -> None:
        """T1: one of the last five batches of a partition is answered as the first time."""
        if not self.idempotent:
            return
        self._sent.append((partition, data, offset))
        if self.random.randrange(4):
            return
        recent = [one for one in self._sent if one[0] == partition][-5:]
        partition, data, offset = self.random.choice(recent)
        code, again = await self._produce(topic, partition, data)
        if self.run.page_cache and self.run.history.era:
            return  # it may have been lost
        if code == ErrorCode.NONE and again != offset:
            text = f"{self.name}: repeated batch at {again}, it was at {offset} of {partition}"
            self.run.violations.append(Violation("T1", text))

    def _refused(self, partition: Partition, code: ErrorCode) -> None:
        run = self.run
        if code == ErrorCode.UNKNOWN_TOPIC_ID:
            self.ids.clear()
        elif not (run.page_cache and run.history.era) and code in LOST_TRACK:
            text = f"{self.name} at {partition}: {code.name} to a producer that did all right"
            run.violations.append(Violation("T1", text))
        self._identity = (-1, -1)


class RawReader(Client):
    """Fetches one partition after another, from where it stopped, with long polls."""

    def __init__(self, run: Run, host: SimHost, name: str, *, sessions: bool) -> None:
        super().__init__(run, host, name)
        self._positions: dict[Partition, int] = {}
        self._sessions = sessions
        self._session = (0, 0 if sessions else -1)
        self._members: dict[Partition, str] = {}
        self._asked: dict[Partition, int] = {}

    async def work(self) -> None:
        """One fetch."""
        picked = await self.pick()
        if picked is None:
            await self.pause(100)
            return
        topic, partition = picked
        position = self._positions.setdefault(partition, 0)
        if position and self.random.randrange(10) == 0:
            position = self._positions[partition] = self.random.randrange(position)
        asked = {partition: position}
        self._members[partition] = topic
        session_id, epoch = self._session
        if self._sessions and epoch == 0:
            asked = {each: self._positions[each] for each in self._members}
        self._asked |= asked
        request = self._request(asked, session_id, epoch)
        history = self.run.history
        begun, era = history.tick(), history.era
        try:
            answer = await self.ask(request, FetchResponse)
        except ClientError:
            self._session = (0, 0 if self._sessions else -1)
            raise
        code = ErrorCode(answer.error_code)
        if code != ErrorCode.NONE:
            self._session = (0, 0 if self._sessions else -1)
            self._gone()
            return
        if self._sessions and answer.session_id:
            self._session = (answer.session_id, epoch + 1)
        for found in answer.responses:
            for data in found.partitions:
                partition = Partition(found.topic_id, data.partition_index)
                if self._received(partition, data, begun, era) and partition in self._members:
                    await self._start_over(partition)
        await self.pause(self.random.choice((0, 20, 200)))

    def _request(self, asked: dict[Partition, int], session_id: int, epoch: int) -> FetchRequest:
        size = self.random.choice((1, 300, 1 << 20))
        topics = [
            FetchTopic(
                self._members[each],
                each.topic_id,
                [FetchPartition(each.number, fetch_offset=at, partition_max_bytes=size)],
            )
            for each, at in asked.items()
        ]
        return FetchRequest(
            max_wait_ms=self.random.choice((0, 100, 1500)),
            min_bytes=self.random.choice((0, 1, 1, 500)),
            max_bytes=self.random.choice((1, 2000, 1 << 20)),
            session_id=session_id,
            session_epoch=epoch,
            topics=topics,
        )

    async def _start_over(self, partition: Partition) -> None:
        """The position is no longer there: from the start, wherever that is now."""
        topic = self._members[partition]
        start = await log_end(self, topic, partition.number, EARLIEST)
        if start is not None:
            self._positions[partition] = start

    def _received(self, partition: Partition, data: PartitionData, begun: int, era: int) -> bool:
        """Note it; true when the position was out of range."""
        code = ErrorCode(data.error_code)
        if code in (ErrorCode.UNKNOWN_TOPIC_ID, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION):
            self._gone()
            self._session = (0, 0 if self._sessions else -1)
            return False
        if code not in (ErrorCode.NONE, ErrorCode.OFFSET_OUT_OF_RANGE):
            return False
        asked = self._asked[partition]
        records, _ = parse(data.records or b"")
        history = self.run.history
        read = Read(
            self.name,
            partition,
            begun,
            history.tick(),
            era,
            asked,
            data.high_watermark,
            data.last_stable_offset,
            data.log_start_offset,
            [each for each in records if each[0] >= asked],
            out_of_range=code != ErrorCode.NONE,
        )
        history.reads.append(read)
        if read.records:
            self._positions[partition] = read.records[-1][0] + 1
        return read.out_of_range

    def _gone(self) -> None:
        self.ids.clear()
        self._members.clear()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def log_end(client: Client, topic: str, index: int, timestamp: int) -> int | None:
    """The offset that ListOffsets gives for a special timestamp; None: not now."""
    wanted = ListOffsetsPartition(index, timestamp=timestamp)
    request = ListOffsetsRequest(-1, 0, [ListOffsetsTopic(topic, [wanted])], 5_000)
    found = (await client.ask(request, ListOffsetsResponse)).topics[0].partitions[0]
    return found.offset if found.error_code == ErrorCode.NONE else None


def parse(data: Buffer) -> tuple[list[tuple[int, bytes]], list[BatchSpan]]:
    """Records and headers of whole batches."""
    records: list[tuple[int, bytes]] = []
    batches = []
    for position, header in iter_batches(data):
        found = read_records(data, position, limit=INFLATED)
        records += [(record.offset, record.value or b"") for record in found]
        batches.append(
            BatchSpan(
                header.producer_id,
                header.producer_epoch,
                header.base_sequence,
                header.base_offset,
                len(found),
            )
        )
    return records, batches
