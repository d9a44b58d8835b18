"""`Coordinators`: those of this node, each made when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.server.coordinators.internal_topics import CONSUMER_OFFSETS

if TYPE_CHECKING:
    from barnabas.metadata.delta import MetadataDelta
    from barnabas.metadata.image import MetadataImage
    from barnabas.server.broker import Broker
    from barnabas.server.coordinators.groups import GroupCoordinator


class Coordinators:
    """Their modules are imported with the first group: a node without any starts faster."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._groups: GroupCoordinator | None = None
        self._stopped = False

    @property
    def groups(self) -> GroupCoordinator:
        """The group coordinator."""
        if self._groups is None:
            from barnabas.server.coordinators.groups import GroupCoordinator

            self._groups = GroupCoordinator(self._broker, self._broker.new_uuid_text)
            if self._stopped:
                self._groups.runtime.stop()
        return self._groups

    def start(self) -> None:
        """Load what former lives of the node have left: sessions and transactions go on."""
        if CONSUMER_OFFSETS in self._broker.image.topics.by_name:
            self.groups.runtime.load_all()

    def publish(self, old: MetadataImage, new: MetadataImage, delta: MetadataDelta) -> None:
        """Metadata changed."""
        if self._groups is not None:
            self._groups.publish(old, new, delta)

    def expire(self, now_ms: int) -> None:
        """Send away who waits too long."""
        if self._groups is not None:
            self._groups.runtime.expire(now_ms)

    def stop(self) -> None:
        """The node stops."""
        self._stopped = True
        if self._groups is not None:
            self._groups.runtime.stop()
