"""Fetch (key 1), versions 4-18; broker listeners, and the metadata log on controller listeners.

v5 log start offset; v7 sessions (KIP-227); v9 leader epochs (KIP-320); v11 rack; v12 flexible,
diverging epochs (KIP-595); v13 topic ids (KIP-516); v15 replica state; v16 leader hints (KIP-951);
v18 high watermark (KIP-1166). Per partition: OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_OR_PARTITION,
UNKNOWN_TOPIC_ID, NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH,
KAFKA_STORAGE_ERROR, TOPIC_AUTHORIZATION_FAILED. Top level: FETCH_SESSION_ID_NOT_FOUND,
INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from barnabas.security.operations import Operation
from barnabas.server.fetch_response import FetchResult, encode
from barnabas.server.fetch_sessions import (
    FINAL_EPOCH,
    INITIAL_EPOCH,
    NO_SESSION,
    FetchPartition,
    FetchSession,
    PartitionKey,
)
from barnabas.server.fetching import READ_COMMITTED, READ_UNCOMMITTED, FetchOperation
from barnabas.server.limits import SESSION_PARTITIONS
from barnabas.server.metadata_fetch import fetch_metadata
from barnabas.wire import uuids
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.fetch_request import FetchRequest

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Payload, Request

IDS_FROM: Final = 13
SESSIONS_FROM: Final = 7
REPLICA_STATE_FROM: Final = 15
ISOLATION_LEVELS: Final = (READ_UNCOMMITTED, READ_COMMITTED)
NO_LEADER_EPOCH: Final = -1
SESSION_IDS: Final = (2**31 - 1) // 8 * 8
"""Kafka's ids are below, an eighth for each shard of its cache."""


def handle(broker: Broker, request: Request) -> Payload | None:
    """Find or make the session, apply what the request changes, read or wait."""
    message: FetchRequest = request.decode(FetchRequest)
    version = request.api_version
    replica_id = message.replica_id
    if version >= REPLICA_STATE_FROM:
        replica_id = message.replica_state.replica_id
    if request.connection.on_controller:
        broker.spawn(fetch_metadata(broker, request, message, replica_id), request)
        return None
    reads = message.topics or message.session_epoch > INITIAL_EPOCH
    if (message.isolation_level not in ISOLATION_LEVELS and reads) or not (
        -SESSION_IDS // 8 < message.session_id < SESSION_IDS
    ):
        return _refuse(request, message, ErrorCode.UNKNOWN_SERVER_ERROR)
    if replica_id >= 0 and not broker.allowed.cluster(request, Operation.CLUSTER_ACTION):
        return _refuse_follower(request, message)
    found = _session(broker, version, message)
    if isinstance(found, ErrorCode):
        throttle_ms = broker.quotas.fetched(request, 0) if broker.quotas.active else 0
        return encode(
            version, request.correlation_id, NO_SESSION, found, (), throttle_ms=throttle_ms
        )
    session, session_id, full = found
    operation = FetchOperation(
        broker,
        request,
        session,
        session_id=session_id,
        full=full,
        max_bytes=message.max_bytes,
        min_bytes=message.min_bytes,
        isolation_level=message.isolation_level,
        replica_id=replica_id,
    )
    return operation.start(message.max_wait_ms)


def _session(
    broker: Broker, version: int, message: FetchRequest
) -> tuple[FetchSession, int, bool] | ErrorCode:
    """(session, the id the client is told, whether the answer lists every partition)."""
    uses_ids = version >= IDS_FROM
    now_ms = broker.clock.monotonic_ms()
    epoch = message.session_epoch
    if version >= SESSIONS_FROM and epoch not in (FINAL_EPOCH, INITIAL_EPOCH):
        used = broker.sessions.use(message.session_id, epoch, uses_ids, now_ms)
        if isinstance(used, ErrorCode):
            return used
        for forgotten in message.forgotten_topics_data:
            for index in forgotten.partitions:
                used.forget((forgotten.topic_id if uses_ids else forgotten.topic, index))
        before = len(used.partitions)
        _put(used, message, uses_ids)
        if len(used.partitions) > before and broker.sessions.partitions > SESSION_PARTITIONS:
            broker.sessions.remove(used.id)
            return ErrorCode.FETCH_SESSION_ID_NOT_FOUND  # the client begins anew
        if used.partitions:
            return used, used.id, False
        broker.sessions.remove(used.id)
        return FetchSession(NO_SESSION, uses_ids, now_ms), NO_SESSION, True
    if message.session_id != NO_SESSION:
        broker.sessions.remove(message.session_id)
    session: FetchSession | None = None
    if version >= SESSIONS_FROM and epoch == INITIAL_EPOCH:
        size = sum(len(topic.partitions) for topic in message.topics)
        session = broker.sessions.create(size, uses_ids, now_ms)
    if session is None:
        session = FetchSession(NO_SESSION, uses_ids, now_ms)
    _put(session, message, uses_ids)
    return session, session.id, True


def _put(session: FetchSession, message: FetchRequest, uses_ids: bool) -> None:
    """Add and update the partitions that the request lists."""
    for topic in message.topics:
        for wanted in topic.partitions:
            key: PartitionKey = (topic.topic_id if uses_ids else topic.topic, wanted.partition)
            partition = session.partitions.get(key)
            if partition is None:
                partition = (
                    FetchPartition(None, topic.topic_id, wanted.partition)
                    if uses_ids
                    else FetchPartition(topic.topic, uuids.ZERO, wanted.partition)
                )
            partition.offset = wanted.fetch_offset
            partition.max_bytes = wanted.partition_max_bytes
            epoch = wanted.current_leader_epoch
            partition.leader_epoch = epoch if epoch >= 0 else NO_LEADER_EPOCH
            partition.last_fetched_epoch = wanted.last_fetched_epoch
            session.put(key, partition)


def _refuse_follower(request: Request, message: FetchRequest) -> Payload:
    """A follower without ClusterAction: every partition is refused (facts/replication 3.1)."""
    results = _all(request, message, ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    return encode(request.api_version, request.correlation_id, NO_SESSION, ErrorCode.NONE, results)


def _refuse(request: Request, message: FetchRequest, error: ErrorCode) -> Payload:
    """The request as a whole; before topic ids every partition is told as well."""
    version = request.api_version
    results = _all(request, message, error) if version < IDS_FROM else []
    return encode(version, request.correlation_id, message.session_id, error, results)


def _all(request: Request, message: FetchRequest, error: ErrorCode) -> list[FetchResult]:
    uses_ids = request.api_version >= IDS_FROM
    return [
        FetchResult(
            FetchPartition(None if uses_ids else topic.topic, topic.topic_id, wanted.partition),
            error,
            aborted=(),
        )
        for topic in message.topics
        for wanted in topic.partitions
    ]
