"""What all decisions about transactions share: the transactional ids of one shard, settings, new ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects
from barnabas.transactions.records.transaction_log_key import TransactionLogKey
from barnabas.transactions.transaction import NO_PRODUCER_ID, Transaction, Unsaid

if TYPE_CHECKING:
    from barnabas.transactions.records.transaction_log_value import TransactionLogValue
    from barnabas.transactions.settings import TransactionSettings


class TransactionsState:
    """The transactional ids of one partition of __transaction_state.

    `new_producer_id()` gives one that nobody has; it raises `KafkaError` COORDINATOR_LOAD_IN_PROGRESS
    while none is at hand. `version()` is the finalized transaction.version.
    """

    def __init__(
        self,
        settings: TransactionSettings,
        new_producer_id: Callable[[], int],
        version: Callable[[], int],
    ) -> None:
        self.settings = settings
        self.new_producer_id = new_producer_id
        self.version = version
        self.transactions: dict[str, Transaction] = {}
        #: What the last record of a transactional id could not say, until it is replayed.
        self.unsaid: dict[str, Unsaid] = {}

    def write(self, effects: Effects, transactional_id: str, value: TransactionLogValue) -> None:
        """Append a record, in the version of values that the cluster is ready for.

        What version 0 has no fields for is kept in memory, so that a producer that was told its next
        id has it.
        """
        version = 1 if self.version() >= 1 else 0
        self.unsaid.pop(transactional_id, None)
        if version == 0:
            self.unsaid[transactional_id] = Unsaid(
                value.previous_producer_id, value.next_producer_id, value.client_transaction_version
            )
            value.previous_producer_id = value.next_producer_id = NO_PRODUCER_ID
            value.client_transaction_version = 0
        effects.write(TransactionLogKey(transactional_id), value, version)
