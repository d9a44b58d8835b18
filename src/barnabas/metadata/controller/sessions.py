"""Soft state of the active controller: when each broker was last heard, and how far it is.

It is not in the log: a new active controller starts with the registrations of its image and gives
every unfenced broker a fresh session.
"""

from __future__ import annotations

from barnabas.metadata.delta import MetadataDelta
from barnabas.metadata.image import MetadataImage

UNKNOWN_OFFSET = (1 << 63) - 1


class _Session:
    __slots__ = ("contact_ms", "epoch", "metadata_offset", "registered_at", "shutdown_at")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.contact_ms: int | None = None
        self.metadata_offset = -1
        self.registered_at = UNKNOWN_OFFSET
        self.shutdown_at = -1


class BrokerSessions:
    """Heartbeats by broker id. `timeout_ms` is broker.session.timeout.ms; times are monotonic."""

    __slots__ = ("_sessions", "timeout_ms")

    def __init__(self, timeout_ms: int) -> None:
        self.timeout_ms = timeout_ms
        self._sessions: dict[int, _Session] = {}

    def activate(
        self, image: MetadataImage, now_ms: int, *, own_broker_id: int | None = None
    ) -> None:
        """This node became the active controller on `image`.

        `own_broker_id`: the broker in this very process, which has not registered yet. Whoever
        bore its id before is dead, or its directories would still be locked; so it gets no
        session that the new process would have to wait out (Kafka waits).
        """
        self._sessions.clear()
        for broker in image.cluster.brokers.values():
            session = self._sessions[broker.id] = _Session(broker.epoch)
            session.registered_at = image.provenance.offset
            if not broker.fenced and broker.id != own_broker_id:
                session.contact_ms = now_ms

    def committed(self, new: MetadataImage, delta: MetadataDelta) -> None:
        """Follow committed registrations: the offsets that brokers must have applied."""
        if delta.cluster is None:
            return
        offset = new.provenance.offset
        for broker_id, broker in delta.cluster.brokers.changes.items():
            if broker is None:
                self._sessions.pop(broker_id, None)
                continue
            before = delta.image.cluster.brokers.get(broker_id)
            session = self._sessions.get(broker_id)
            if session is None or session.epoch != broker.epoch:
                session = self._sessions[broker_id] = _Session(broker.epoch)
            # id, epoch, incarnation, endpoints, features, rack: only a registration sets them.
            if before is None or before[:6] != broker[:6]:
                session.registered_at = offset
            if broker.fenced or not broker.in_controlled_shutdown:
                session.shutdown_at = -1
            elif session.shutdown_at < 0:
                session.shutdown_at = offset

    def touch(self, broker_id: int, epoch: int, metadata_offset: int, now_ms: int) -> None:
        """A heartbeat came."""
        session = self._sessions.get(broker_id)
        if session is None or session.epoch != epoch:
            session = self._sessions[broker_id] = _Session(epoch)
        session.contact_ms = now_ms
        session.metadata_offset = metadata_offset

    def end(self, broker_id: int) -> None:
        """Forget when a broker was last heard: it was fenced, or is gone."""
        session = self._sessions.get(broker_id)
        if session is not None:
            session.contact_ms = None

    def valid(self, broker_id: int, epoch: int, now_ms: int) -> bool:
        """Whether a broker was heard in this epoch within the session timeout."""
        session = self._sessions.get(broker_id)
        return (
            session is not None
            and session.epoch == epoch
            and session.contact_ms is not None
            and now_ms - session.contact_ms < self.timeout_ms
        )

    def registered_at(self, broker_id: int) -> int:
        """Offset at which the registration is certainly applied; huge until it is committed."""
        session = self._sessions.get(broker_id)
        return UNKNOWN_OFFSET if session is None else session.registered_at

    def shutdown_at(self, broker_id: int) -> int:
        """Offset that every active broker must reach before this one may stop."""
        session = self._sessions.get(broker_id)
        if session is None or session.shutdown_at < 0:
            return UNKNOWN_OFFSET
        return session.shutdown_at

    def lowest_active_offset(self, image: MetadataImage) -> int:
        """The least metadata offset of the active brokers; huge when there are none."""
        offsets = [
            session.metadata_offset
            for broker_id, session in self._sessions.items()
            if image.cluster.active(broker_id)
        ]
        return min(offsets, default=UNKNOWN_OFFSET)

    def expired(self, now_ms: int) -> list[int]:
        """Brokers whose session ran out, in order of their ids."""
        return sorted(
            broker_id
            for broker_id, session in self._sessions.items()
            if session.contact_ms is not None and now_ms - session.contact_ms >= self.timeout_ms
        )
