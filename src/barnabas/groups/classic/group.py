"""One classic group: its members, its generation, and where in a rebalance it is."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import Final

from barnabas.coordinator.effects import Effects
from barnabas.groups.classic.member import ClassicMember, Protocol
from barnabas.groups.classic.subscriptions import CONSUMER, subscribed_topics
from barnabas.groups.records.group_metadata_key import GroupMetadataKey
from barnabas.wire.errors import ErrorCode


class State(Enum):
    """The states of a classic group, by the names that clients see."""

    EMPTY = "Empty"
    PREPARING = "PreparingRebalance"
    COMPLETING = "CompletingRebalance"
    STABLE = "Stable"


CLASSIC: Final = "classic"
"""The type of these groups in ListGroups."""


class ClassicGroup:
    """The state of one group. `members` are in the order in which they joined.

    The log knows the last finished generation: protocol, leader, members, assignments. Memory alone
    knows `joined_ids` (ids that were given out and not used yet) and `unsynced` (members of a new
    generation that have not asked for their assignment).
    """

    __slots__ = (
        "_supporters",
        "_waiting",
        "generation",
        "group_id",
        "initial",
        "leader_id",
        "members",
        "newcomers",
        "patience_ms",
        "pending_ids",
        "protocol",
        "protocol_type",
        "state",
        "state_ms",
        "static_ids",
        "subscribed",
        "unsynced",
    )

    def __init__(self, group_id: str, now_ms: int) -> None:
        self.group_id = group_id
        self.state = State.EMPTY
        self.state_ms = now_ms
        """Wall time of the last change of state; -1 when the log does not say (before Kafka 2.1)."""
        self.generation = 0
        self.protocol_type: str | None = None
        self.protocol: str | None = None
        self.leader_id: str | None = None
        self.members: dict[str, ClassicMember] = {}
        self._waiting: set[str] = set()
        """Members whose JoinGroup waits: asked for with each of them."""
        self._supporters: Counter[str] = Counter()
        """How many members support a protocol."""
        self.static_ids: dict[str, str] = {}
        """Instance id -> member id."""
        self.pending_ids: dict[str, None] = {}
        """Ids that were given out with MEMBER_ID_REQUIRED."""
        self.subscribed: frozenset[str] | None = None
        """The topics that its consumers read; None when it has no consumers, or nobody knows."""
        self.unsynced: dict[str, None] = {}
        self.initial = False
        """The rebalance under way is the first one of an empty group: it waits for others."""
        self.newcomers = False
        """Members came since that wait was last prolonged."""
        self.patience_ms = 0
        """How much longer that wait may become."""

    def move_to(self, state: State, now_ms: int) -> None:
        """Change the state."""
        self.state = state
        self.state_ms = now_ms

    # -- members ---------------------------------------------------------------------------------

    def add(self, member: ClassicMember) -> None:
        """A member joins; the first one leads until somebody is elected."""
        if member.instance_id is not None:
            self.static_ids[member.instance_id] = member.member_id
        self.members[member.member_id] = member
        member.enter(self._waiting)
        self._supporters.update(member.protocol_names)
        self.leader_id = self.leader_id or member.member_id
        self.pending_ids.pop(member.member_id, None)

    def remove(self, member_id: str) -> None:
        """A member is gone, or an id that was given out."""
        member = self.members.pop(member_id, None)
        if member is not None:
            member.quit()
            self._supporters.subtract(member.protocol_names)
            if self.static_ids.get(member.instance_id or "") == member_id:
                del self.static_ids[member.instance_id or ""]
        if self.leader_id == member_id:
            self.leader_id = next(iter(self.members), None)
        self.pending_ids.pop(member_id, None)
        self.unsynced.pop(member_id, None)

    def set_protocols(self, member: ClassicMember, protocols: tuple[Protocol, ...]) -> None:
        """A member joins again with other protocols, or the same."""
        self._supporters.subtract(member.protocol_names)
        member.protocols = protocols
        self._supporters.update(member.protocol_names)

    def replace_static(self, instance_id: str, new_id: str) -> ClassicMember:
        """A static member came back under a new id: the new member takes the place of the old."""
        old = self.members.pop(self.static_ids[instance_id])
        new = ClassicMember(
            new_id,
            instance_id,
            old.client_id,
            old.client_host,
            old.rebalance_timeout_ms,
            old.session_timeout_ms,
            old.protocols,
            old.assignment,
        )
        old.quit()
        self.members[new_id] = new
        new.enter(self._waiting)
        if self.leader_id == old.member_id:
            self.leader_id = new_id
        self.static_ids[instance_id] = new_id
        return new

    def undo_replacement(self, new: ClassicMember, old: ClassicMember) -> None:
        """The log does not know the new member: the old one is back in its place."""
        self.set_protocols(new, old.protocols)
        del self.members[new.member_id]
        new.quit()
        self.members[old.member_id] = old
        old.joining = old.syncing = None
        old.enter(self._waiting)
        if self.leader_id == new.member_id:
            self.leader_id = old.member_id
        self.static_ids[new.instance_id or ""] = old.member_id

    def check_member(self, member_id: str, instance_id: str | None) -> ErrorCode:
        """Whether a request may speak for this member."""
        if instance_id is not None:
            current = self.static_ids.get(instance_id)
            if current is None:
                return ErrorCode.UNKNOWN_MEMBER_ID
            if current != member_id:
                return ErrorCode.FENCED_INSTANCE_ID
        return ErrorCode.NONE if member_id in self.members else ErrorCode.UNKNOWN_MEMBER_ID

    @property
    def rebalance_timeout_ms(self) -> int:
        """The longest that a member asks for."""
        return max((m.rebalance_timeout_ms for m in self.members.values()), default=0)

    # -- the rebalance ---------------------------------------------------------------------------

    @property
    def joined(self) -> int:
        """Members whose JoinGroup waits."""
        return len(self._waiting)

    @property
    def all_joined(self) -> bool:
        """Whether nobody is missing, nor on the way."""
        return not self.pending_ids and self.joined == len(self.members)

    def supports(self, protocol_type: str, names: list[str]) -> bool:
        """Whether somebody with these protocols can be a member: one must be common to all."""
        if self.state is State.EMPTY:
            return bool(protocol_type and names)
        return protocol_type == self.protocol_type and any(
            self._supporters[name] == len(self.members) for name in names
        )

    def select_protocol(self) -> str:
        """Every member votes for what it likes best of what all support; the earliest of equals."""
        everybody = len(self.members)
        common = {name for name, count in self._supporters.items() if count == everybody}
        votes = Counter(member.vote(common) for member in self.members.values())
        return votes.most_common(1)[0][0]

    def elect_leader(self) -> bool:
        """Keep a leader that has rejoined, or take the first who has; false when nobody has."""
        leader = self.members.get(self.leader_id or "")
        if leader is None:
            return False
        if leader.joining is None:
            joined = next((m for m in self.members.values() if m.joining is not None), None)
            if joined is None:
                return False
            self.leader_id = joined.member_id
        return True

    def next_generation(self, now_ms: int) -> None:
        """Everybody has joined, or nobody is left."""
        self.generation += 1
        self.unsynced.clear()
        if self.members:
            self.protocol = self.select_protocol()
            self.move_to(State.COMPLETING, now_ms)
        else:
            self.protocol = None
            self.move_to(State.EMPTY, now_ms)
        self.note_subscriptions()

    def note_subscriptions(self) -> None:
        """The members of a generation are known: read what they subscribe to."""
        self.subscribed = None
        if self.protocol_type == CONSUMER:
            metadata = [each.metadata(self.protocol or "") for each in self.members.values()]
            self.subscribed = subscribed_topics(metadata)

    # -- its offsets, and its end ----------------------------------------------------------------

    @property
    def kind(self) -> str:
        """Its type in ListGroups."""
        return CLASSIC

    @property
    def may_expire(self) -> bool:
        """Whether it can go once its offsets are gone."""
        return self.state is State.EMPTY

    @property
    def check_delete(self) -> ErrorCode:
        """Whether DeleteGroups may take it."""
        return ErrorCode.NONE if self.state is State.EMPTY else ErrorCode.NON_EMPTY_GROUP

    @property
    def offsets_deletable(self) -> bool:
        """Whether OffsetDelete may touch its offsets at all."""
        return self.state is State.EMPTY or self.protocol_type == CONSUMER

    def is_subscribed(self, topic: str) -> bool:
        """Whether a member reads it; of consumers whose subscriptions are unknown, every topic."""
        if self.subscribed is None:
            return self.protocol_type == CONSUMER
        return topic in self.subscribed

    def offset_age_begins(self, commit_ms: int) -> int | None:
        """Since when an offset counts as unused; None while it does not."""
        if self.protocol_type is None:
            return commit_ms
        if self.state is State.EMPTY:
            return commit_ms if self.state_ms < 0 else self.state_ms
        if self.state is State.STABLE and self.subscribed is not None:
            return commit_ms
        return None

    def write_tombstones(self, effects: Effects) -> None:
        """The group is gone."""
        effects.write(GroupMetadataKey(self.group_id), None)
