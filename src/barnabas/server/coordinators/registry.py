"""`Coordinators`: those of this node, each made when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from barnabas.server.coordinators.internal_topics import CONSUMER_OFFSETS, TRANSACTION_STATE
from barnabas.server.coordinators.turns import Turns

if TYPE_CHECKING:
    from barnabas.metadata.delta import MetadataDelta
    from barnabas.metadata.image import MetadataImage
    from barnabas.server.broker import Broker
    from barnabas.server.coordinators.groups import GroupCoordinator
    from barnabas.server.coordinators.runtime import CoordinatorRuntime
    from barnabas.server.coordinators.transactions import TransactionCoordinator


class Coordinators:
    """Their modules are imported with the first group or transactional id: a node without any
    starts faster."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._groups: GroupCoordinator | None = None
        self._transactions: TransactionCoordinator | None = None
        self._stopped = False
        self.turns = Turns(broker.clock)
        """Of all shards that are being loaded."""

    @property
    def groups(self) -> GroupCoordinator:
        """The group coordinator."""
        if self._groups is None:
            from barnabas.server.coordinators.groups import GroupCoordinator

            self._groups = GroupCoordinator(self._broker, self._broker.new_uuid_text)
            if self._stopped:
                self._groups.runtime.stop()
        return self._groups

    @property
    def transactions(self) -> TransactionCoordinator:
        """The transaction coordinator."""
        if self._transactions is None:
            from barnabas.server.coordinators.transactions import TransactionCoordinator

            self._transactions = TransactionCoordinator(self._broker)
            if self._stopped:
                self._transactions.runtime.stop()
        return self._transactions

    @property
    def used_groups(self) -> GroupCoordinator | None:
        """The group coordinator, if anybody has needed it."""
        return self._groups

    def runtimes(self) -> list[tuple[str, CoordinatorRuntime[Any]]]:
        """Those in use, with the names of their kinds."""
        found: list[tuple[str, CoordinatorRuntime[Any]]] = []
        if self._groups is not None:
            found.append(("group", self._groups.runtime))
        if self._transactions is not None:
            found.append(("transaction", self._transactions.runtime))
        return found

    def start(self) -> None:
        """Load what former lives of the node have left: sessions and transactions go on."""
        topics = self._broker.image.topics.by_name
        if CONSUMER_OFFSETS in topics:
            self.groups.runtime.load_all()
        if TRANSACTION_STATE in topics:
            self.transactions.runtime.load_all()

    def publish(self, old: MetadataImage, new: MetadataImage, delta: MetadataDelta) -> None:
        """Metadata changed."""
        if self._groups is not None:
            self._groups.publish(old, new, delta)
        if self._transactions is not None:
            self._transactions.runtime.publish(old, new, delta)

    def marker(self, number: int, producer_id: int, producer_epoch: int, *, commit: bool) -> None:
        """A transaction marker was appended to a partition of __consumer_offsets."""
        if self._groups is not None:
            self._groups.runtime.marker(number, producer_id, producer_epoch, commit=commit)

    def expire(self, now_ms: int) -> None:
        """Send away who waits too long."""
        if self._groups is not None:
            self._groups.runtime.expire(now_ms)
        if self._transactions is not None:
            self._transactions.runtime.expire(now_ms)

    def stop(self) -> None:
        """The node stops."""
        self._stopped = True
        if self._groups is not None:
            self._groups.runtime.stop()
        if self._transactions is not None:
            self._transactions.runtime.stop()
