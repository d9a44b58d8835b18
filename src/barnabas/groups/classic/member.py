"""One member of a classic group."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from barnabas.coordinator.effects import Ticket


class Protocol(NamedTuple):
    """An assignor that a member can work with, and what the member tells it."""

    name: str
    metadata: bytes


class ClassicMember:
    """A member; `instance_id` makes it a static one (KIP-345).

    `protocols` are in the member's order of preference. What memory alone knows: `joining` and
    `syncing` are its requests that wait, `is_new` is so until its first rebalance is over.
    """

    __slots__ = (
        "_joining",
        "_waiting",
        "assignment",
        "client_host",
        "client_id",
        "instance_id",
        "is_new",
        "member_id",
        "protocols",
        "rebalance_timeout_ms",
        "session_timeout_ms",
        "syncing",
    )

    def __init__(
        self,
        member_id: str,
        instance_id: str | None,
        client_id: str,
        client_host: str,
        rebalance_timeout_ms: int,
        session_timeout_ms: int,
        protocols: tuple[Protocol, ...],
        assignment: bytes = b"",
    ) -> None:
        self.member_id = member_id
        self.instance_id = instance_id
        self.client_id = client_id
        self.client_host = client_host
        self.rebalance_timeout_ms = rebalance_timeout_ms
        self.session_timeout_ms = session_timeout_ms
        self.protocols = protocols
        self.assignment = assignment
        self._joining: Ticket | None = None
        self._waiting: set[str] | None = None
        self.syncing: Ticket | None = None
        self.is_new = False

    @property
    def joining(self) -> Ticket | None:
        """Its JoinGroup that waits."""
        return self._joining

    @joining.setter
    def joining(self, ticket: Ticket | None) -> None:
        self._joining = ticket
        self._note()

    def enter(self, waiting: set[str]) -> None:
        """It belongs to a group, which knows by `waiting` whose JoinGroup waits."""
        self._waiting = waiting
        self._note()

    def quit(self) -> None:
        """It belongs to no group any more."""
        if self._waiting is not None:
            self._waiting.discard(self.member_id)
            self._waiting = None

    def _note(self) -> None:
        if self._waiting is None:
            return
        if self._joining is None:
            self._waiting.discard(self.member_id)
        else:
            self._waiting.add(self.member_id)

    @property
    def protocol_names(self) -> set[str]:
        """The protocols that it supports."""
        return {each.name for each in self.protocols}

    def metadata(self, protocol: str) -> bytes:
        """What it tells the assignor `protocol`; empty when it does not know that one."""
        return next((each.metadata for each in self.protocols if each.name == protocol), b"")

    def vote(self, candidates: set[str]) -> str:
        """The candidate that it likes best. Every member supports every candidate."""
        return next(each.name for each in self.protocols if each.name in candidates)

    @property
    def waits(self) -> bool:
        """Whether a request of it waits, which counts as a sign of life, but not of a new member:
        nobody would notice that its client is gone."""
        return not self.is_new and (self.joining is not None or self.syncing is not None)
