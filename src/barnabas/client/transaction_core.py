"""A producer's transaction without sockets: what may be done when, and what an error leaves possible.

Rules (KIP-98, KIP-360, KIP-890): records go out inside a transaction only; the coordinator must know
a partition before its first batch leaves, unless the cluster adds it by itself (transaction.version
2); after an error the transaction can only be aborted; after a fatal one the producer is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from barnabas.wire.errors import ErrorCode, KafkaError

Name = tuple[str, int]

FATAL: Final = frozenset(
    {
        ErrorCode.PRODUCER_FENCED,
        ErrorCode.INVALID_TXN_STATE,
        ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
"""Answers to batches after which not even an abort helps."""

FATAL_OF_COORDINATOR: Final = FATAL | {
    ErrorCode.INVALID_PRODUCER_EPOCH,
    ErrorCode.INVALID_PRODUCER_ID_MAPPING,
    ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
}
"""The same for what the transaction coordinator answers: another producer took over the id."""


class State(Enum):
    """Where the producer stands."""

    NEW = "is not initialised: call init_transactions()"
    READY = "is in no transaction: call begin_transaction()"
    OPEN = "is in a transaction"
    ENDING = "is ending a transaction"
    FAILED = "has a transaction that can only be aborted"
    DEAD = "can't go on"


class TransactionCore:
    """One transactional producer's state."""

    def __init__(self) -> None:
        self.state = State.NEW
        self.error: Exception | None = None
        self.implicit = False
        """The cluster adds partitions by itself and gives each transaction an epoch of its own."""
        self.started = False
        """The coordinator may know of this transaction."""
        self.aborting = False
        self._known: set[Name] = set()
        self._asked: set[Name] = set()

    # -- the caller --

    def require(self, *states: State) -> None:
        """Raises `RuntimeError` in another state, and what made the transaction fail."""
        if self.state in states:
            return
        if self.error is not None:
            raise self.error
        raise RuntimeError(f"the producer {self.state.value}")

    def ready(self) -> None:
        """The producer has its id, or a transaction is over."""
        self.state = State.READY
        self.error = None
        self.started = self.aborting = False
        self._known.clear()
        self._asked.clear()

    def begin(self, *, implicit: bool) -> None:
        """A transaction begins; `implicit` is transaction.version 2. Raises as `require`."""
        self.require(State.READY)
        self.state = State.OPEN
        self.implicit = implicit

    def commit(self) -> None:
        """It shall be committed. Raises as `require`."""
        self.require(State.OPEN)
        self.state = State.ENDING

    def abort(self) -> None:
        """It shall be aborted. Raises as `require`."""
        self.require(State.OPEN, State.FAILED)
        self.state = State.ENDING
        self.aborting = True
        self.error = None

    def interrupted(self, error: Exception) -> None:
        """Nobody waits for the end any more, and its outcome is not known."""
        if self.state is State.ENDING:
            self.state = State.FAILED
            self.error = error
            self.aborting = False
            self._asked.clear()

    # -- partitions --

    def may_send(self, name: Name) -> bool:
        """Whether a batch for this partition may leave; if not, `asked` has the partition."""
        if self.aborting or self.state not in (State.OPEN, State.ENDING):
            return False
        if self.implicit:
            self.started = True
            return True
        if name in self._known:
            return True
        self._asked.add(name)
        return False

    @property
    def asked(self) -> frozenset[Name]:
        """Partitions that the coordinator must hear of."""
        return frozenset(self._asked)

    def knows(self, names: Iterable[Name]) -> None:
        """The coordinator knows these partitions."""
        self._known.update(names)
        self._asked.difference_update(names)

    # -- errors --

    def failed(self, error: Exception, fatal: frozenset[ErrorCode] = FATAL) -> None:
        """A batch or a request of this transaction failed for good."""
        if isinstance(error, KafkaError) and error.code in fatal:
            self.state, self.error = State.DEAD, error
        elif self.state is State.OPEN or (self.state is State.ENDING and not self.aborting):
            self.state, self.error = State.FAILED, error
            self._asked.clear()
