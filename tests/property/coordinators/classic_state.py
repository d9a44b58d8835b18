"""What the model of classic groups keeps of a group and its members."""

from __future__ import annotations

from dataclasses import dataclass, field

EMPTY, PREPARING, COMPLETING, STABLE = (
    "Empty",
    "PreparingRebalance",
    "CompletingRebalance",
    "Stable",
)
OK, ILLEGAL_GENERATION, INCONSISTENT, UNKNOWN_MEMBER, REBALANCING = 0, 22, 23, 25, 27
NON_EMPTY, GROUP_NOT_FOUND, ID_REQUIRED, FULL, FENCED = 68, 69, 79, 81, 82
NEW_MEMBER_JOIN_MS = 300_000

Answer = tuple[object, ...]
"""("join", error, generation, protocol, leader, member id, ids of members, skip) or
("sync", error, assignment)."""


@dataclass
class Member:
    """A member; `joining` and `syncing` are numbers of requests that wait."""

    id: str
    instance: str | None
    protocols: tuple[tuple[str, bytes], ...]
    session_ms: int
    rebalance_ms: int
    session_ends: int
    assignment: bytes = b""
    joining: int | None = None
    syncing: int | None = None
    new: bool = True

    def names(self) -> list[str]:
        """Names of its protocols, the best first."""
        return [name for name, _ in self.protocols]


@dataclass
class Group:
    """A group."""

    state: str = EMPTY
    generation: int = 0
    kind: str | None = None
    protocol: str | None = None
    leader: str | None = None
    members: list[Member] = field(default_factory=list)
    pending: dict[str, int] = field(default_factory=dict)
    """Id that was given out -> when it ends."""
    join_ends: int | None = None
    sync_ends: int | None = None
    unsynced: set[str] = field(default_factory=set)
    """Ids that have not asked for their assignment; a static member's stays when it is replaced."""
    initial: bool = False
    newcomers: bool = False
    patience_ms: int = 0

    def member(self, member_id: str) -> Member | None:
        """By id."""
        return next((each for each in self.members if each.id == member_id), None)

    def common(self) -> set[str]:
        """Protocols that everybody supports."""
        found = [set(each.names()) for each in self.members]
        return set.intersection(*found) if found else set()

    def elected_protocol(self) -> str:
        """Each votes for what it likes best of what is common; first of equals."""
        votes = [next(n for n in each.names() if n in self.common()) for each in self.members]
        return max(votes, key=lambda name: (votes.count(name), -votes.index(name)))

    def rebalance_ms(self) -> int:
        """The longest that a member wants to be given."""
        return max((each.rebalance_ms for each in self.members), default=0)

    def all_joined(self) -> bool:
        """Nobody is missing."""
        return not self.pending and all(each.joining is not None for each in self.members)

    def drop(self, member: Member) -> None:
        """Out."""
        self.members.remove(member)
        self.unsynced.discard(member.id)
        if self.leader == member.id:
            self.leader = self.members[0].id if self.members else None

    def durable(self) -> Group:
        """What a record of this generation gives back."""
        members = [
            Member(
                each.id,
                each.instance,
                ((self.protocol or "", dict(each.protocols).get(self.protocol or "", b"")),),
                each.session_ms,
                each.rebalance_ms,
                0,
                each.assignment,
                new=False,
            )
            for each in self.members
        ]
        return Group(
            STABLE if members else EMPTY,
            self.generation,
            self.kind,
            self.protocol,
            self.leader,
            members,
        )
