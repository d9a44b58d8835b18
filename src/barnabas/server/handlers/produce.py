"""Produce (key 0), versions 3-13; broker listeners.

v5 log start offset; v7 zstd; v8 record errors; v9 flexible; v10 leader hints (KIP-951); v13 topic ids
(KIP-516). Per partition: UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, NOT_LEADER_OR_FOLLOWER,
TOPIC_AUTHORIZATION_FAILED, TRANSACTIONAL_ID_AUTHORIZATION_FAILED, INVALID_TOPIC_EXCEPTION (internal topics), INVALID_REQUIRED_ACKS,
NOT_ENOUGH_REPLICAS, REQUEST_TIMED_OUT, KAFKA_STORAGE_ERROR, and what `append` finds in the batch.
With acks=0 there is no answer; an error closes the connection.

The usual request (one partition that was produced to before, flexible version) takes the fast path:
the bytes that name topic and partition are looked up, not decoded.
"""

from __future__ import annotations

import asyncio
from struct import Struct
from typing import TYPE_CHECKING, Final

from barnabas.security.operations import Operation, ResourceType
from barnabas.server.append import Appended, append_batch, check_batch_off_loop
from barnabas.server.partitions import HostedPartition
from barnabas.server.pending_produce import (
    ACKS_ALL,
    ACKS_LEADER,
    ACKS_NONE,
    FLEXIBLE_FROM,
    Outcome,
    PendingProduce,
)
from barnabas.server.topics import INTERNAL_TOPICS
from barnabas.server.verification import ProducedTransaction, is_transactional
from barnabas.wire.errors import ErrorCode, ProtocolError
from barnabas.wire.messages.produce_request import ProduceRequest

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Payload, Request

IDS_FROM: Final = 13
ADMIN_CLIENT_ID: Final = "__admin_client"
#: Bytes of a topic's name whose length takes one byte.
FAST_NAME_MAX: Final = 126

_ACKS_TIMEOUT = Struct(">hi")
_INDEX = Struct(">i")
_CORRELATION = Struct(">ix")
_RESULT = Struct(">hqqq")
#: Behind the offsets of the only partition: no record errors, no message, tags of partition and
#: topic, throttle time, tags of the response.
_TAIL = Struct(">4six")
_FAST_TAIL = b"\x01\x00\x00\x00" + b"\x00\x00\x00\x00" + b"\x00"
_FAST_END = b"\x00\x00\x00"


class FastAcknowledgement:
    """A one-partition produce that waits for its offset."""

    __slots__ = ("appended", "deadline_ms", "head", "request", "throttle_ms")

    def __init__(
        self,
        request: Request,
        head: bytes,
        appended: Appended,
        deadline_ms: int,
        throttle_ms: int,
    ) -> None:
        self.throttle_ms = throttle_ms
        self.request = request
        self.head = head
        self.appended = appended
        self.deadline_ms = deadline_ms

    def reached(self, hosted: HostedPartition, error: ErrorCode) -> None:
        """Answer."""
        appended = Appended(error) if error else self.appended
        start = -1 if error else hosted.log.log_start_offset
        request = self.request
        payload = _fast_response(request, self.head, error, appended, start, self.throttle_ms)
        request.respond(payload)


def _fast_response(
    request: Request,
    head: bytes,
    error: int,
    appended: Appended,
    log_start_offset: int,
    throttle_ms: int,
) -> bytes:
    return (
        _CORRELATION.pack(request.correlation_id)
        + head
        + _RESULT.pack(error, appended.base_offset, appended.append_time, log_start_offset)
        + (_TAIL.pack(_FAST_TAIL, throttle_ms) if throttle_ms else _FAST_TAIL)
    )


def handle(broker: Broker, request: Request) -> Payload | None:
    """Append, then answer when the acknowledgement that was asked for is reached."""
    if request.api_version >= FLEXIBLE_FROM:
        frame, body = request.frame, request.body
        # null transactional id, one topic: 00 | acks 2 | timeout 4 | 02 | topic | 02 | index 4
        if len(frame) > body + 32 and frame[body] == 0 and frame[body + 7] == 2:
            if request.api_version >= IDS_FROM:
                end, known = body + 29, broker.partitions.produced_by_id
            else:
                end, known = body + 13 + frame[body + 8], broker.partitions.produced_by_name
            head = bytes(frame[body + 7 : end])
            hosted = known.get(head)
            if hosted is not None and not hosted.error():
                acks, timeout_ms = _ACKS_TIMEOUT.unpack_from(frame, body + 1)
                batch = _only_batch(request, end)
                if batch is not None and ACKS_ALL <= acks <= ACKS_LEADER:
                    return _fast(broker, request, hosted, head, acks, timeout_ms, batch)
    return _slow(broker, request)


def _only_batch(request: Request, pos: int) -> memoryview | None:
    """The records of a one-partition request at `pos`, if the frame ends as usual behind them."""
    frame = request.frame
    length = shift = 0
    while True:
        byte = frame[pos]
        pos += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 28 or pos >= len(frame):
            return None
    end = pos + length - 1
    if length < 2 or len(frame) != end + 3 or not frame.endswith(_FAST_END):
        return None
    return request.view[pos:end]


def _fast(
    broker: Broker,
    request: Request,
    hosted: HostedPartition,
    head: bytes,
    acks: int,
    timeout_ms: int,
    batch: memoryview,
) -> Payload | None:
    """`head`: topic and partition as the request names them, and as the response does."""
    if hosted.log.sync.busy and broker.writer.full:
        _hold_back(broker, request)
        return None
    if not broker.allowed.topic(request, Operation.WRITE, hosted.topic):
        return _slow(broker, request)
    appended = append_batch(broker, hosted, batch, request.api_version, acks)
    if appended is None:
        return _slow(broker, request)
    if appended.error:
        outcome = Outcome(hosted.topic, hosted.topic_id, hosted.index, batch)
        outcome.settle(hosted, appended)
        return _answer(PendingProduce(broker, request, [outcome], acks), request, acks, 0)
    throttle_ms = 0
    if broker.quotas.active:
        throttle_ms = broker.quotas.produced(request, answered=acks != ACKS_NONE)
    if acks == ACKS_NONE:
        request.settled = True
        return None
    log = hosted.log
    wait_for = appended.end_offset
    committed = acks == ACKS_ALL or hosted.syncs_each
    reached = hosted.replica.high_watermark if committed else log.written_offset
    if wait_for <= reached:
        start = log.log_start_offset
        return _fast_response(request, head, 0, appended, start, throttle_ms)
    deadline_ms = broker.coarse_ms + timeout_ms
    waiter = FastAcknowledgement(request, head, appended, deadline_ms, throttle_ms)
    if committed:
        hosted.wait_committed(wait_for, waiter)
    else:
        hosted.wait_written(wait_for, waiter)
    return None


def _hold_back(broker: Broker, request: Request) -> None:
    """The disk does not keep up: the request is appended when there is room, and what its client
    sends behind it waits, too. (Kafka's handler threads wait in the write.)"""
    request.exclusive = True
    broker.spawn(_when_room(broker, request), request)


async def _when_room(broker: Broker, request: Request) -> None:
    room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    broker.writer.when_room(lambda: None if room.done() else room.set_result(None))
    await room
    try:
        payload = handle(broker, request)
    except ProtocolError as error:
        request.close(str(error))
        return
    if payload is not None:
        request.respond(payload)
    elif request.settled:
        request.no_response()


def _slow(broker: Broker, request: Request) -> Payload | None:
    """Any number of partitions, any version."""
    message: ProduceRequest = request.decode(ProduceRequest)
    outcomes = [
        Outcome(topic.name, topic.topic_id, part.index, part.records)
        for topic in message.topic_data
        for part in topic.partition_data
    ]
    closed = [o for o in outcomes if _resolve(broker, request, message, o)]
    if any(o.hosted and o.hosted.log.sync.busy for o in outcomes) and broker.writer.full:
        _hold_back(broker, request)
        return None
    transaction = None
    if any(is_transactional(outcome.records) for outcome in outcomes):
        if not _may_write(broker, request, message.transactional_id):
            for outcome in outcomes:
                outcome.refuse(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
            return _complete(broker, request, message, outcomes)
        transaction = ProducedTransaction(broker, request, message, outcomes)
    if not closed and (transaction is None or not transaction.begin()):
        unread = _append_all(broker, request, message, outcomes)
        if not unread:
            return _complete(broker, request, message, outcomes)
        transaction = None
    # Later produce requests of this producer wait, so that sequences stay in order.
    request.exclusive = True
    broker.spawn(_later(broker, request, message, outcomes, closed, transaction), request)
    return None


def _may_write(broker: Broker, request: Request, transactional_id: str | None) -> bool:
    return transactional_id is not None and broker.allowed.resource(
        request, Operation.WRITE, ResourceType.TRANSACTIONAL_ID, transactional_id
    )


async def _later(
    broker: Broker,
    request: Request,
    message: ProduceRequest,
    outcomes: list[Outcome],
    closed: list[Outcome],
    transaction: ProducedTransaction | None,
) -> None:
    """Open partitions that are used for the first time; have their transaction verified; read
    compressed records off the loop."""
    for outcome in closed:
        await broker.partitions.open(outcome.topic, outcome.index)
        if _resolve(broker, request, message, outcome):
            outcome.appended = Appended(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    if transaction is not None:
        await transaction.verify()
    if closed or transaction is not None:
        _append_all(broker, request, message, outcomes)
    for outcome in outcomes:
        if outcome.unread and outcome.hosted is not None:
            appended = await check_batch_off_loop(
                broker,
                outcome.hosted,
                memoryview(outcome.records or b""),
                request.api_version,
                message.acks,
                outcome.within,
            )
            outcome.settle(outcome.hosted, appended)
    payload = _complete(broker, request, message, outcomes)
    if payload is not None:
        request.respond(payload)


def _append_all(
    broker: Broker, request: Request, message: ProduceRequest, outcomes: list[Outcome]
) -> bool:
    """Append what can be; true when the records of some have to be read off the loop first."""
    unread = False
    for outcome in outcomes:
        if outcome.hosted is None:
            continue
        error = outcome.hosted.error()
        if error:  # since it was found, another partition had to be opened
            outcome.appended = Appended(error)
            continue
        batch = memoryview(outcome.records if outcome.records is not None else b"")
        appended = append_batch(
            broker, outcome.hosted, batch, request.api_version, message.acks, outcome.within
        )
        if appended is None:
            outcome.unread = unread = True
        else:
            outcome.settle(outcome.hosted, appended)
    if len(outcomes) == 1 and outcomes[0].hosted is not None:
        _remember(broker, request, outcomes[0])
    return unread


def _complete(
    broker: Broker, request: Request, message: ProduceRequest, outcomes: list[Outcome]
) -> Payload | None:
    pending = PendingProduce(broker, request, outcomes, message.acks)
    return _answer(pending, request, message.acks, message.timeout_ms)


def _answer(
    pending: PendingProduce, request: Request, acks: int, timeout_ms: int
) -> Payload | None:
    """Now, later, or never: with acks=0 all that a client can be told of a failure is the end."""
    if acks == ACKS_NONE:
        if pending.failed():
            request.close("a partition of a produce request with acks=0 failed")
        else:
            request.no_response()
        return None
    return None if pending.wait(acks, timeout_ms) else pending.answer()


def _resolve(broker: Broker, request: Request, message: ProduceRequest, outcome: Outcome) -> bool:
    """Find the partition and ask the authorizer, or note the error; true: it must be opened."""
    name = outcome.topic
    topics = broker.image.topics
    if request.api_version >= IDS_FROM:
        topic = topics.by_id.get(outcome.topic_id)
        if topic is None:
            outcome.appended = Appended(ErrorCode.UNKNOWN_TOPIC_ID)
            return False
        name = outcome.topic = topic.name
    if not broker.allowed.topic(request, Operation.WRITE, name):
        outcome.appended = Appended(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    elif message.acks not in (ACKS_NONE, ACKS_LEADER, ACKS_ALL):
        outcome.appended = Appended(ErrorCode.INVALID_REQUIRED_ACKS)
    elif name not in topics.by_name:
        outcome.appended = Appended(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    elif name in INTERNAL_TOPICS and request.client_id != ADMIN_CLIENT_ID:
        outcome.appended = Appended(
            ErrorCode.INVALID_TOPIC_EXCEPTION, message=f"{name} is an internal topic"
        )
    else:
        hosted = broker.partitions.get(name, outcome.index)
        if hosted is None:
            return True
        error = hosted if isinstance(hosted, ErrorCode) else hosted.error()
        if error or isinstance(hosted, ErrorCode):
            outcome.appended = Appended(error)
        else:
            outcome.hosted = hosted
    return False


def _remember(broker: Broker, request: Request, outcome: Outcome) -> None:
    """Let the next request that names the same partition in the same way take the fast path.

    Not for internal topics: who may write there depends on more than the partition.
    """
    hosted = outcome.hosted
    if request.api_version < FLEXIBLE_FROM or hosted is None or hosted.topic in INTERNAL_TOPICS:
        return
    by_id = request.api_version >= IDS_FROM
    name = hosted.topic.encode()
    if not by_id and len(name) > FAST_NAME_MAX:
        return
    topic = hosted.topic_id if by_id else bytes([len(name) + 1]) + name
    head = b"\x02" + topic + b"\x02" + _INDEX.pack(hosted.index)
    broker.partitions.remember_produced(hosted, head, by_id=by_id)
