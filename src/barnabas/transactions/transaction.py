"""One transactional id: its producer, and the transaction that it is in or was in last."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from barnabas.transactions.records.transaction_log_value import (
    PartitionsSchema,
    TransactionLogValue,
)

NO_PRODUCER_ID: Final = -1
NO_EPOCH: Final = -1
MAX_EPOCH: Final = 0x7FFF
UNLIMITED_MS: Final = (1 << 31) - 1
"""Time-out of a two-phase commit, whose outcome somebody else decides (KIP-939)."""

#: transaction.version from which each transaction has an epoch of its own (KIP-890).
EPOCH_PER_TRANSACTION: Final = 2

Place: TypeAlias = tuple[str, int]
"""Topic and partition."""


class State(IntEnum):
    """What the log says of a transactional id, by Kafka's numbers."""

    EMPTY = 0
    ONGOING = 1
    PREPARE_COMMIT = 2
    PREPARE_ABORT = 3
    COMPLETE_COMMIT = 4
    COMPLETE_ABORT = 5
    DEAD = 6
    PREPARE_EPOCH_FENCE = 7


STATE_NAMES: Final = {
    State.EMPTY: "Empty",
    State.ONGOING: "Ongoing",
    State.PREPARE_COMMIT: "PrepareCommit",
    State.PREPARE_ABORT: "PrepareAbort",
    State.COMPLETE_COMMIT: "CompleteCommit",
    State.COMPLETE_ABORT: "CompleteAbort",
    State.DEAD: "Dead",
    State.PREPARE_EPOCH_FENCE: "PrepareEpochFence",
}
"""As ListTransactions and DescribeTransactions write them."""

PREPARED: Final = (State.PREPARE_COMMIT, State.PREPARE_ABORT)
COMPLETE: Final = (State.COMPLETE_COMMIT, State.COMPLETE_ABORT)
AT_REST: Final = (State.EMPTY, *COMPLETE)


class SendMarkers(NamedTuple):
    """What is to be done once a Prepare record is committed: tell the partitions how it ended."""

    transactional_id: str
    producer_id: int
    producer_epoch: int
    commit: bool
    transaction_version: int
    partitions: tuple[Place, ...]


class Unsaid(NamedTuple):
    """What version 0 of a record has no fields for."""

    previous_producer_id: int
    next_producer_id: int
    client_version: int


class Transaction:
    """What is known of a transactional id. All but `last_epoch` comes from its newest record.

    `last_epoch` is the epoch before the last bump that the producer asked for itself: a repeated
    request that still names it is answered, not fenced. Only memory knows it; after a load it is -1.
    `handover` is what `last_epoch` becomes with the next record.
    """

    __slots__ = (
        "client_version",
        "epoch",
        "handover",
        "last_epoch",
        "next_producer_id",
        "partitions",
        "previous_producer_id",
        "producer_id",
        "start_ms",
        "state",
        "timeout_ms",
        "transactional_id",
        "updated_ms",
    )

    def __init__(self, transactional_id: str) -> None:
        self.transactional_id = transactional_id
        self.producer_id = NO_PRODUCER_ID
        self.previous_producer_id = NO_PRODUCER_ID
        self.next_producer_id = NO_PRODUCER_ID
        self.epoch = NO_EPOCH
        self.last_epoch = NO_EPOCH
        self.handover = NO_EPOCH
        self.timeout_ms = 0
        self.state = State.EMPTY
        #: In the order in which they were added.
        self.partitions: dict[Place, None] = {}
        self.start_ms = -1
        self.updated_ms = -1
        self.client_version = 0

    @property
    def exhausted(self) -> bool:
        """Whether the epoch is as high as a producer may have it: a new producer id is due."""
        return is_exhausted(self.epoch)

    def adopt(self, value: TransactionLogValue, unsaid: Unsaid | None = None) -> None:
        """A record of this transactional id was appended or loaded."""
        self.producer_id = value.producer_id
        self.previous_producer_id, self.next_producer_id, self.client_version = unsaid or (
            value.previous_producer_id,
            value.next_producer_id,
            value.client_transaction_version,
        )
        self.epoch = value.producer_epoch
        self.last_epoch = self.handover
        self.timeout_ms = value.transaction_timeout_ms
        self.state = State(value.transaction_status)
        self.partitions = {
            (schema.topic, partition): None
            for schema in value.transaction_partitions or ()
            for partition in schema.partition_ids
        }
        self.start_ms = value.transaction_start_timestamp_ms
        self.updated_ms = value.transaction_last_update_timestamp_ms

    @property
    def markers(self) -> SendMarkers:
        """What its partitions have to be told once more, after a load. It is prepared."""
        return SendMarkers(
            self.transactional_id,
            self.producer_id,
            self.epoch,
            self.state is State.PREPARE_COMMIT,
            self.client_version,
            tuple(self.partitions),
        )

    def value(self, state: State, now_ms: int) -> TransactionLogValue:
        """The next record: in `state`, everything else as it is."""
        self.handover = self.last_epoch
        return TransactionLogValue(
            producer_id=self.producer_id,
            previous_producer_id=self.producer_id,
            next_producer_id=self.next_producer_id,
            producer_epoch=self.epoch,
            transaction_timeout_ms=self.timeout_ms,
            transaction_status=state,
            transaction_partitions=None if state is State.EMPTY else partitions_of(self.partitions),
            transaction_last_update_timestamp_ms=now_ms,
            transaction_start_timestamp_ms=self.start_ms,
            client_transaction_version=self.client_version,
        )


def is_exhausted(epoch: int) -> bool:
    """Whether no producer may get a higher epoch; the highest is kept for fencing."""
    return epoch >= MAX_EPOCH - 1


def partitions_of(places: dict[Place, None]) -> list[PartitionsSchema]:
    """Partitions by topic, as a record has them."""
    topics: dict[str, list[int]] = {}
    for topic, partition in places:
        topics.setdefault(topic, []).append(partition)
    return [PartitionsSchema(topic, indexes) for topic, indexes in topics.items()]


def markers(transactional_id: str, value: TransactionLogValue) -> SendMarkers:
    """What the partitions of a Prepare record have to be told."""
    return SendMarkers(
        transactional_id,
        value.producer_id,
        value.producer_epoch,
        value.transaction_status == State.PREPARE_COMMIT,
        value.client_transaction_version,
        tuple(
            (schema.topic, partition)
            for schema in value.transaction_partitions or ()
            for partition in schema.partition_ids
        ),
    )
