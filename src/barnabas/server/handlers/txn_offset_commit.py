"""TxnOffsetCommit (key 28), versions 0-5; broker listeners (KIP-98, KIP-447).

v2 leader epoch; v3 flexible, generation and member; v4 TRANSACTION_ABORTABLE; v5 the offsets join the
transaction by this very request (KIP-890). Errors, for each partition:
TRANSACTIONAL_ID_AUTHORIZATION_FAILED, GROUP_AUTHORIZATION_FAILED, TOPIC_AUTHORIZATION_FAILED,
UNKNOWN_TOPIC_OR_PARTITION, those of OffsetCommit, INVALID_PRODUCER_EPOCH, INVALID_PRODUCER_ID_MAPPING,
INVALID_TXN_STATE, TRANSACTION_ABORTABLE, CONCURRENT_TRANSACTIONS, and those of a coordinator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.groups.offsets.commit import refuse_txn_commit
from barnabas.records.batch import NO_SEQUENCE
from barnabas.security.operations import Operation, ResourceType
from barnabas.server.coordinators.internal_topics import CONSUMER_OFFSETS
from barnabas.server.coordinators.loading import client_error
from barnabas.server.verification import Producer, ask_coordinator
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.txn_offset_commit_request import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestTopic,
)
from barnabas.wire.messages.txn_offset_commit_response import (
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)

if TYPE_CHECKING:
    from barnabas.coordinator.effects import Effects, Now
    from barnabas.groups.shard import GroupShard
    from barnabas.partition.producer_entry import Verification
    from barnabas.server.broker import Broker
    from barnabas.server.coordinators.tickets import FutureTicket
    from barnabas.server.markers import Place
    from barnabas.server.request import Request

LOADING_FROM = 2
ABORTABLE_FROM = 4
ADDS_FROM = 5


async def handle(
    broker: Broker, request: Request, message: TxnOffsetCommitRequest
) -> TxnOffsetCommitResponse:
    """Offsets that count when the transaction is committed."""
    allowed = broker.allowed.resource
    if not allowed(
        request, Operation.WRITE, ResourceType.TRANSACTIONAL_ID, message.transactional_id
    ):
        return refuse_txn_commit(message, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    if not allowed(request, Operation.READ, ResourceType.GROUP, message.group_id):
        return refuse_txn_commit(message, ErrorCode.GROUP_AUTHORIZATION_FAILED)
    refused: list[TxnOffsetCommitResponseTopic] = []
    message.topics = [t for t in message.topics if _known(broker, request, t, refused)]
    if not message.topics:
        return TxnOffsetCommitResponse(topics=refused)
    try:
        response = await _commit(broker, request, message)
    except KafkaError as error:
        code = error.code
        if code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS and request.api_version < LOADING_FROM:
            code = ErrorCode.COORDINATOR_NOT_AVAILABLE
        response = refuse_txn_commit(message, code)
    for topic in refused:
        _merge(response, topic)
    return response


async def _commit(
    broker: Broker, request: Request, message: TxnOffsetCommitRequest
) -> TxnOffsetCommitResponse:
    """Verify the transaction, then commit. Raises `KafkaError`."""
    if not message.group_id:
        raise KafkaError(ErrorCode.INVALID_GROUP_ID)
    groups = broker.coordinators.groups
    place = (CONSUMER_OFFSETS, groups.runtime.partition_of(message.group_id))
    guard = await _verify(broker, request, message, place)

    def decide(shard: GroupShard, now: Now, ticket: FutureTicket) -> Effects:
        effects = shard.commit_in_transaction(message, ticket, now)
        effects.guard = guard
        return effects

    response: TxnOffsetCommitResponse = await groups.ask(message.group_id, decide)
    return response


async def _verify(
    broker: Broker, request: Request, message: TxnOffsetCommitRequest, place: Place
) -> Verification | None:
    """The guard with which the offsets may be written, once the coordinator has been asked."""
    adds = request.api_version >= ADDS_FROM
    if not adds and not broker.config.get_bool("transaction.partition.verification.enable"):
        return None
    hosted = await broker.partitions.open(*place)
    error = hosted if isinstance(hosted, ErrorCode) else hosted.error()
    if error or isinstance(hosted, ErrorCode):
        raise KafkaError(client_error(error))
    code, guard = hosted.log.producers.start_verification(
        message.producer_id, NO_SEQUENCE, message.producer_epoch, adds, broker.clock.wall_ms()
    )
    if code:
        raise KafkaError(ErrorCode(code))
    if guard is not None:
        errors = await ask_coordinator(
            broker,
            Producer(message.transactional_id, message.producer_id, message.producer_epoch),
            [place],
            add=adds,
            abortable=request.api_version >= ABORTABLE_FROM,
        )
        if errors[place] is ErrorCode.INVALID_PRODUCER_ID_MAPPING:
            hosted.log.producers.forget_verification(message.producer_id)
        if errors[place]:
            raise KafkaError(client_error(errors[place]))
    return guard


def _known(
    broker: Broker,
    request: Request,
    topic: TxnOffsetCommitRequestTopic,
    refused: list[TxnOffsetCommitResponseTopic],
) -> bool:
    """Keep the partitions of a topic that are there and allowed; the others are refused."""
    found = broker.image.topics.by_name.get(topic.name)
    there = () if found is None else found.partitions
    code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if not broker.allowed.topic(request, Operation.READ, topic.name):
        code, there = ErrorCode.TOPIC_AUTHORIZATION_FAILED, ()
    lost = [part for part in topic.partitions if part.partition_index not in there]
    topic.partitions = [part for part in topic.partitions if part.partition_index in there]
    if lost:
        answers = [TxnOffsetCommitResponsePartition(part.partition_index, code) for part in lost]
        refused.append(TxnOffsetCommitResponseTopic(topic.name, answers))
    return bool(topic.partitions)


def _merge(response: TxnOffsetCommitResponse, topic: TxnOffsetCommitResponseTopic) -> None:
    """One entry for each topic, also when only some of its partitions are there."""
    for there in response.topics:
        if there.name == topic.name:
            there.partitions += topic.partitions
            return
    response.topics.append(topic)
