"""What all decisions about transactions share: the transactional ids of one shard, settings, new ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects
from barnabas.transactions.records.transaction_log_key import TransactionLogKey
from barnabas.transactions.transaction import NO_PRODUCER_ID, Transaction

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

    def write(self, effects: Effects, transactional_id: str, value: TransactionLogValue) -> None:
        """Append a record, in the version of values that the cluster is ready for."""
        version = 1 if self.version() >= 1 else 0
        if version == 0:
            value.previous_producer_id = value.next_producer_id = NO_PRODUCER_ID
            value.client_transaction_version = 0
        effects.write(TransactionLogKey(transactional_id), value, version)
