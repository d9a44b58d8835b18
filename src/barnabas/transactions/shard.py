"""`TransactionShard`: the transactional ids of one partition of __transaction_state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from barnabas.coordinator.effects import Effects, Now, Origin, Ticket, TimerKey
from barnabas.coordinator.framing import AnyRecord, DamagedRecord
from barnabas.transactions import administration, end, partitions, producers
from barnabas.transactions.records.transaction_log_key import TransactionLogKey
from barnabas.transactions.records.transaction_log_value import TransactionLogValue
from barnabas.transactions.settings import TransactionSettings
from barnabas.transactions.state import TransactionsState
from barnabas.transactions.transaction import (
    AT_REST,
    PREPARED,
    STATE_NAMES,
    UNLIMITED_MS,
    SendMarkers,
    State,
    Transaction,
)
from barnabas.wire.errors import KafkaError

if TYPE_CHECKING:
    from barnabas.wire.messages.add_partitions_to_txn_request import AddPartitionsToTxnTransaction
    from barnabas.wire.messages.describe_transactions_response import (
        TransactionState as Described,
    )
    from barnabas.wire.messages.end_txn_request import EndTxnRequest
    from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
    from barnabas.wire.messages.list_transactions_response import TransactionState as Listed

ABORT: Final = "abort"
"""The timer of the look for transactions that take too long."""
EXPIRE: Final = "expire"
"""The timer of the look for transactional ids that nobody uses."""

ABORTED_AT_ONCE: Final = 100
"""So many late transactions are aborted in a millisecond."""
TOMBSTONES_AT_ONCE: Final = 1_000
"""One decision writes about so many."""


class AbortTimer(NamedTuple):
    """Abort a transaction that a look has found to be late."""

    transactional_id: str


class TransactionShard:
    """See `coordinator.effects.Shard` for the contract.

    Its orders are `SendMarkers`; who has carried one out calls `markers_written`.
    """

    def __init__(
        self,
        settings: TransactionSettings,
        new_producer_id: Callable[[], int],
        version: Callable[[], int],
    ) -> None:
        self.state = TransactionsState(settings, new_producer_id, version)

    def init_producer_id(self, request: InitProducerIdRequest, ticket: Ticket, now: Now) -> Effects:
        """InitProducerId with a transactional id."""
        return producers.init_producer_id(self.state, request, ticket, now)

    def add_partitions(
        self, request: AddPartitionsToTxnTransaction, client_version: int, ticket: Ticket, now: Now
    ) -> Effects:
        """AddPartitionsToTxn of one transaction; answered with an AddPartitionsToTxnResult."""
        return partitions.add_partitions(self.state, request, client_version, ticket, now)

    def end_transaction(
        self, request: EndTxnRequest, client_version: int, ticket: Ticket, now: Now
    ) -> Effects:
        """EndTxn."""
        return end.end_transaction(self.state, request, client_version, ticket, now)

    def markers_written(self, done: SendMarkers, now: Now) -> Effects:
        """All partitions of an order have their markers."""
        return end.complete(self.state, done, now)

    def describe(self, transactional_id: str) -> Described:
        """DescribeTransactions of one transactional id."""
        return administration.describe(self.state, transactional_id)

    def list_transactions(self, filters: administration.Filters, now: Now) -> list[Listed]:
        """ListTransactions."""
        return administration.list_transactions(self.state, filters, now)

    # -- the log ---------------------------------------------------------------------------------

    def replay(self, record: AnyRecord, origin: Origin) -> None:
        """Take over what the log says. Raises `DamagedRecord` for a state that is none."""
        del origin
        key, value = record.key, record.value
        assert isinstance(key, TransactionLogKey)
        transactions = self.state.transactions
        if value is None:
            transactions.pop(key.transactional_id, None)
            return
        assert isinstance(value, TransactionLogValue)
        if value.transaction_status not in STATE_NAMES:
            raise DamagedRecord(f"a transaction in state {value.transaction_status}")
        transaction = transactions.get(key.transactional_id)
        if transaction is None:
            transaction = transactions[key.transactional_id] = Transaction(key.transactional_id)
        transaction.adopt(value, self.state.unsaid.pop(key.transactional_id, None))

    def replay_marker(self, producer_id: int, producer_epoch: int, *, commit: bool) -> None:
        """No transaction ever covers __transaction_state."""
        del producer_id, producer_epoch, commit

    def activate(self, now: Now) -> Effects:
        """What is prepared has its markers sent; they may be there already, which does no harm."""
        effects = Effects()
        effects.set_timer(ABORT, now.monotonic + self.state.settings.abort_interval_ms)
        effects.set_timer(EXPIRE, now.monotonic + self.state.settings.expire_interval_ms)
        effects.orders += [
            each.markers for each in self.state.transactions.values() if each.state in PREPARED
        ]
        return effects

    def timer(self, key: TimerKey, now: Now) -> Effects:
        """One of the looks, what it has found, or a Complete record that the log refused."""
        if isinstance(key, end.CompleteTimer):
            return end.complete(self.state, key.done, now)
        if isinstance(key, AbortTimer):
            return self._abort_one(key.transactional_id, now)
        return self._abort(now) if key == ABORT else self._expire(now)

    def _abort(self, now: Now) -> Effects:
        """Look for what is open for longer than its producer allowed.

        Each is aborted by a decision of its own: one that the log refuses holds up no other.
        """
        effects = Effects()
        ongoing, transactions = State.ONGOING, self.state.transactions
        late = [n for n, each in transactions.items() if each.state is ongoing and _late(each, now)]
        for number, name in enumerate(late):
            effects.set_timer(AbortTimer(name), now.monotonic + number // ABORTED_AT_ONCE)
        effects.set_timer(ABORT, now.monotonic + self.state.settings.abort_interval_ms)
        return effects

    def _abort_one(self, transactional_id: str, now: Now) -> Effects:
        """Unless it has ended meanwhile. Where that can't be done now, the next look tries again."""
        transaction = self.state.transactions.get(transactional_id)
        if transaction is None or not _late(transaction, now):
            return Effects()
        try:
            return end.abort(self.state, transaction, now)
        except KafkaError:
            return Effects()  # no producer id at hand

    def _expire(self, now: Now) -> Effects:
        """Forget transactional ids that have been at rest for too long."""
        effects = Effects()
        effects.divisible = True
        settings = self.state.settings
        wait = settings.expire_interval_ms
        oldest = now.wall - settings.id_expiration_ms
        for name, each in self.state.transactions.items():
            if each.state not in AT_REST or each.updated_ms > oldest:
                continue
            if len(effects.records) == TOMBSTONES_AT_ONCE:
                wait = 1
                break
            effects.write(TransactionLogKey(name), None)
        effects.set_timer(EXPIRE, now.monotonic + wait)
        effects.refused = lambda _: self._expire_later(now)
        return effects

    def _expire_later(self, now: Now) -> Effects:
        effects = Effects()
        effects.set_timer(EXPIRE, now.monotonic + self.state.settings.expire_interval_ms)
        return effects

    def unload(self) -> list[Ticket]:
        """Nobody waits in a shard of transactions."""
        return []


def _late(transaction: Transaction, now: Now) -> bool:
    return (
        transaction.state is State.ONGOING
        and transaction.timeout_ms != UNLIMITED_MS
        and transaction.start_ms + transaction.timeout_ms < now.wall
    )
