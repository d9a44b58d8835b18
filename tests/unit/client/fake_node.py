"""A node that is just good enough for a client: topics in memory, sequences checked, faults on call.

It keeps Kafka's promises about order and idempotence, so that a test can count what arrived.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from struct import Struct

from barnabas.ports import Listener, Ports, Transport
from barnabas.records.batch import assign, read_header
from barnabas.records.record import Record, read_records
from barnabas.wire.apis import API
from barnabas.wire.codec import decode
from barnabas.wire.errors import ErrorCode
from barnabas.wire.headers import parse_request_header, response_frame
from barnabas.wire.message import Message
from barnabas.wire.messages.api_versions_request import ApiVersionsRequest
from barnabas.wire.messages.api_versions_response import ApiVersion, ApiVersionsResponse
from barnabas.wire.messages.fetch_request import FetchRequest
from barnabas.wire.messages.fetch_response import (
    FetchableTopicResponse,
    FetchResponse,
    PartitionData,
)
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.list_offsets_request import ListOffsetsRequest
from barnabas.wire.messages.list_offsets_response import (
    ListOffsetsPartitionResponse,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import (
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from barnabas.wire.messages.produce_request import ProduceRequest
from barnabas.wire.messages.produce_response import (
    PartitionProduceResponse,
    ProduceResponse,
    TopicProduceResponse,
)

PORT = 9092
_SIZE = Struct(">i")
TOPIC_ID = bytes(15) + b"\x09"

Fault = Callable[["FakeConnection", Message], bool]
"""Does something about a request; True when the request was dealt with."""


class FakeNode:
    """A node with one topic `t`. `faults` are taken one per Produce or Fetch request, in order."""

    def __init__(self, host: str, partitions: int) -> None:
        self.host = host
        self.partitions = partitions
        self.logs: dict[int, list[bytes]] = defaultdict(list)
        self.sequences: dict[tuple[int, int, int], deque[tuple[int, int, int]]] = {}
        self.faults: deque[Fault] = deque()
        self.seen: list[str] = []
        self.producer_ids = 0
        self.mute = False
        self.api_versions_max = 4
        self._listener: Listener | None = None
        self._connections: list[FakeConnection] = []

    async def start(self, ports: Ports) -> None:
        self._listener = await ports.network.listen(
            self.host, PORT, lambda: FakeConnection(self, self._connections)
        )

    def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for connection in self._connections:
            connection.transport.abort()

    def records(self, partition: int) -> list[Record]:
        return [r for data in self.logs[partition] for r in read_records(data, limit=1 << 20)]

    def end(self, partition: int) -> int:
        log = self.logs[partition]
        return read_header(log[-1]).next_offset if log else 0

    # -- APIs --

    def answer(self, request: Message) -> Message:
        match request:
            case MetadataRequest():
                return self._metadata()
            case InitProducerIdRequest():
                self.producer_ids += 1
                return InitProducerIdResponse(producer_id=self.producer_ids, producer_epoch=0)
            case ProduceRequest():
                return self.produce(request)
            case FetchRequest():
                return self.fetch(request)
            case ListOffsetsRequest():
                return self._list_offsets(request)
        raise AssertionError(f"no answer to {request.NAME}")

    def api_versions(self, version: int) -> ApiVersionsResponse:
        keys = [
            ApiVersion(
                api_key=key, min_version=API[key].min_version, max_version=API[key].max_version
            )
            for key in (0, 1, 2, 3, 22)
        ]
        keys.append(ApiVersion(api_key=18, min_version=0, max_version=self.api_versions_max))
        refused = version > self.api_versions_max
        return ApiVersionsResponse(error_code=35 if refused else 0, api_keys=keys)

    def _metadata(self) -> MetadataResponse:
        partitions = [
            MetadataResponsePartition(partition_index=i, leader_id=1, leader_epoch=0)
            for i in range(self.partitions)
        ]
        topic = MetadataResponseTopic(name="t", topic_id=TOPIC_ID, partitions=partitions)
        broker = MetadataResponseBroker(node_id=1, host=self.host, port=PORT)
        return MetadataResponse(brokers=[broker], cluster_id="c", topics=[topic])

    def produce(self, request: ProduceRequest) -> ProduceResponse:
        answers = [
            self._append(partition.index, bytes(partition.records or b""))
            for topic in request.topic_data
            for partition in topic.partition_data
        ]
        topic = TopicProduceResponse(name="t", topic_id=TOPIC_ID, partition_responses=answers)
        return ProduceResponse(responses=[topic])

    def _append(self, partition: int, data: bytes) -> PartitionProduceResponse:
        header = read_header(data)
        base = self.end(partition)
        if header.producer_id >= 0:
            producer = (header.producer_id, header.producer_epoch, partition)
            recent = self.sequences.setdefault(producer, deque(maxlen=5))
            first, last = header.base_sequence, header.last_sequence
            for known in recent:
                if known[:2] == (first, last):
                    return PartitionProduceResponse(index=partition, base_offset=known[2])
            if first != (recent[-1][1] + 1 if recent else 0):
                return PartitionProduceResponse(
                    index=partition, error_code=ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
                )
            recent.append((first, last, base))
        stored = bytearray(data)
        assign(stored, 0, base, 0)
        self.logs[partition].append(bytes(stored))
        return PartitionProduceResponse(index=partition, base_offset=base)

    def fetch(self, request: FetchRequest) -> FetchResponse:
        parts = []
        for topic in request.topics:
            for asked in topic.partitions:
                data = b"".join(
                    stored
                    for stored in self.logs[asked.partition]
                    if read_header(stored).last_offset >= asked.fetch_offset
                )
                parts.append(
                    PartitionData(
                        partition_index=asked.partition,
                        high_watermark=self.end(asked.partition),
                        records=memoryview(data),
                    )
                )
        return FetchResponse(
            responses=[FetchableTopicResponse(topic="t", topic_id=TOPIC_ID, partitions=parts)]
        )

    def _list_offsets(self, request: ListOffsetsRequest) -> ListOffsetsResponse:
        answers = [
            ListOffsetsPartitionResponse(
                partition_index=asked.partition_index,
                offset=self.end(asked.partition_index) if asked.timestamp == -1 else 0,
            )
            for topic in request.topics
            for asked in topic.partitions
        ]
        return ListOffsetsResponse(topics=[ListOffsetsTopicResponse(name="t", partitions=answers)])


class FakeConnection:
    """The node's side of a connection (`ports.StreamProtocol`)."""

    def __init__(self, node: FakeNode, peers: list[FakeConnection]) -> None:
        self.node = node
        self.transport: Transport
        self.mute = False
        self._peers = peers
        self._buffer = memoryview(bytearray(65_536))
        self._rest = b""
        self._version = 0
        self._correlation = 0

    def connection_made(self, transport: Transport) -> None:
        self.transport = transport
        self._peers.append(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        assert sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._rest += bytes(self._buffer[:nbytes])
        while len(self._rest) >= 4:
            end = 4 + int(_SIZE.unpack_from(self._rest)[0])
            if len(self._rest) < end:
                return
            frame, self._rest = self._rest[4:end], self._rest[end:]
            self._request(frame)

    def _request(self, frame: bytes) -> None:
        header = parse_request_header(frame)
        self._version, self._correlation = header.api_version, header.correlation_id
        self.node.seen.append(API[header.api_key].name)
        if self.node.mute or self.mute:
            return
        if header.api_key == ApiVersionsRequest.API_KEY:
            versions = self.node.api_versions(header.api_version)
            self.send(versions, 0 if versions.error_code else header.api_version)
            return
        request = decode(API[header.api_key].request, header.api_version, frame, header.end)
        faulty = isinstance(request, ProduceRequest | FetchRequest) and bool(self.node.faults)
        if faulty and self.node.faults.popleft()(self, request):
            return
        response = self.node.answer(request)
        if not (isinstance(request, ProduceRequest) and request.acks == 0):
            self.send(response, header.api_version)

    def send(self, response: Message, version: int | None = None) -> None:
        number = self._version if version is None else version
        self.transport.write(response_frame(response, number, self._correlation))

    def eof_received(self) -> None: ...
    def connection_lost(self, error: BaseException | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


def serve(_connection: FakeConnection, _request: Message) -> bool:
    """No fault."""
    return False


def cut_before(connection: FakeConnection, _request: Message) -> bool:
    """The connection dies before the request is executed."""
    connection.transport.abort()
    return True


def cut_after(connection: FakeConnection, request: Message) -> bool:
    """The request is executed, its answer lost."""
    connection.node.answer(request)
    connection.transport.abort()
    return True


def silence(connection: FakeConnection, _request: Message) -> bool:
    """No answer, ever, and none to what comes behind it."""
    connection.mute = True
    return True


def refuse(code: ErrorCode) -> Fault:
    """Every partition of a produce or fetch request is answered with an error."""

    def fault(connection: FakeConnection, request: Message) -> bool:
        if isinstance(request, ProduceRequest):
            parts = [
                PartitionProduceResponse(index=p.index, error_code=code)
                for t in request.topic_data
                for p in t.partition_data
            ]
            topic = TopicProduceResponse(name="t", topic_id=TOPIC_ID, partition_responses=parts)
            connection.send(ProduceResponse(responses=[topic]))
        elif isinstance(request, FetchRequest):
            data = [
                PartitionData(partition_index=p.partition, error_code=code)
                for t in request.topics
                for p in t.partitions
            ]
            connection.send(
                FetchResponse(
                    responses=[
                        FetchableTopicResponse(topic="t", topic_id=TOPIC_ID, partitions=data)
                    ]
                )
            )
        return True

    return fault


def throttle(ms: int) -> Fault:
    """The answer comes at once, and asks the client to be silent for so long."""

    def fault(connection: FakeConnection, request: Message) -> bool:
        response = connection.node.answer(request)
        assert isinstance(response, ProduceResponse | FetchResponse)
        response.throttle_time_ms = ms
        if not (isinstance(request, ProduceRequest) and request.acks == 0):
            connection.send(response)
        return True

    return fault
