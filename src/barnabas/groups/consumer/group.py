"""One consumer group: its members, the target assignment, and who holds what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from enum import Enum
from typing import Final, NamedTuple, TypeVar

from barnabas.coordinator.effects import Effects
from barnabas.groups.consumer.member import ConsumerMember, Partitions, Subscription
from barnabas.groups.consumer.records import write_group_tombstones
from barnabas.groups.consumer.targets import Targets
from barnabas.wire.errors import ErrorCode

T = TypeVar("T")

CONSUMER: Final = "consumer"
"""The type of these groups in ListGroups, and their protocol type."""
FIRST_EPOCH: Final = 1
"""Epoch of a group, and of its assignment, that nothing has happened to."""
NO_PARTITIONS: Final[Partitions] = {}

#: How long the hash of the metadata counts when no topic changes (Kafka's): 24 days.
METADATA_REFRESH_MS: Final = (1 << 31) - 1


class GroupState(Enum):
    """The states of a consumer group, by the names that clients see."""

    EMPTY = "Empty"
    ASSIGNING = "Assigning"
    RECONCILING = "Reconciling"
    STABLE = "Stable"


class Resolved(NamedTuple):
    """The topics that match a regular expression, as of a version of the metadata and a wall time."""

    topics: frozenset[str]
    version: int
    at_ms: int


class ConsumerGroup:
    """The state of one group. What the log knows is changed by replay only.

    `subscribers` counts the members with a subscription, `names` counts the members that subscribe to a topic by its name, `by_regex` the regular
    expressions that match it, `regexes` the members behind a regular expression.

    Memory alone knows `refresh_at` (wall ms; until then the hash of the metadata need not be
    computed, unless the group falls back below `refresh_epoch`) and `joins_awaited` (classic members
    that were told to join again).
    """

    __slots__ = (
        "_holders",
        "assignment_epoch",
        "assignment_ms",
        "assignors",
        "by_regex",
        "classic_protocols",
        "classics",
        "epoch",
        "group_id",
        "has_partition_metadata",
        "joins_awaited",
        "members",
        "metadata_hash",
        "names",
        "refresh_at",
        "refresh_epoch",
        "regexes",
        "resolved",
        "static_ids",
        "subscribers",
        "targets",
    )

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.epoch = FIRST_EPOCH
        self.metadata_hash = 0
        self.assignment_epoch = FIRST_EPOCH
        self.assignment_ms = 0
        """Wall time of the last assignment; 0 when unknown."""
        self.members: dict[str, ConsumerMember] = {}
        self.static_ids: dict[str, str] = {}
        """Instance id -> member id."""
        self.targets = Targets()
        self._holders: dict[bytes, dict[int, int]] = {}
        """Topic id -> partition -> epoch of the member that holds it."""
        self.subscribers: Counter[Subscription] = Counter()
        self.names: Counter[str] = Counter()
        self.by_regex: Counter[str] = Counter()
        self.regexes: Counter[str] = Counter()
        self.resolved: dict[str, Resolved] = {}
        self.assignors: Counter[str] = Counter()
        self.classics = 0
        """Members that speak the classic protocol."""
        self.classic_protocols: Counter[str] = Counter()
        self.has_partition_metadata = False
        """The log holds a record of this group that only Kafka before 4.1 wrote."""
        self.refresh_at = 0
        self.refresh_epoch = 0
        self.joins_awaited: dict[str, None] = {}

    # -- members ---------------------------------------------------------------------------------

    def member(self, member_id: str) -> ConsumerMember | None:
        """A member by its id."""
        return self.members.get(member_id)

    def static_member(self, instance_id: str | None) -> ConsumerMember | None:
        """A static member by its instance id."""
        return self.members.get(self.static_ids.get(instance_id or "", ""))

    def put(self, member: ConsumerMember) -> None:
        """A member is there, or has changed."""
        old = self.members.get(member.member_id)
        self.members[member.member_id] = member
        if old is not None:
            self._release(old)
        self._hold(member)
        if old is not None and _same_subscription(old, member):
            return
        if old is not None:
            self._uncount(old)
        self._count(member)
        if member.instance_id is not None:
            self.static_ids[member.instance_id] = member.member_id

    def remove(self, member_id: str) -> None:
        """A member is gone."""
        member = self.members.pop(member_id, None)
        self.joins_awaited.pop(member_id, None)
        if member is None:
            return
        self._release(member)
        self._uncount(member)
        if self.static_ids.get(member.instance_id or "") == member_id:
            del self.static_ids[member.instance_id or ""]

    def _count(self, member: ConsumerMember) -> None:
        self.subscribers[member.subscription] += 1
        self.names.update(member.names)
        self.regexes.update(_regex_of(member))
        self.assignors.update(_assignor_of(member))
        if member.classic is not None:
            self.classics += 1
            self.classic_protocols.update(p.name for p in member.classic.protocols)

    def _uncount(self, member: ConsumerMember) -> None:
        _take(self.subscribers, (member.subscription,))
        _take(self.names, member.names)
        _take(self.regexes, _regex_of(member))
        _take(self.assignors, _assignor_of(member))
        if member.classic is not None:
            self.classics -= 1
            _take(self.classic_protocols, (p.name for p in member.classic.protocols))

    def _hold(self, member: ConsumerMember) -> None:
        for held in (member.assigned, member.revoking):
            for topic, partitions in held.items():
                holders = self._holders.setdefault(topic, {})
                for partition in partitions:
                    holders[partition] = max(member.epoch, holders.get(partition, member.epoch))

    def _release(self, member: ConsumerMember) -> None:
        for held in (member.assigned, member.revoking):
            for topic, partitions in held.items():
                holders = self._holders.get(topic)
                if holders is None:
                    continue
                for partition in partitions:
                    # Not one that another member has meanwhile, in a later epoch.
                    if holders.get(partition) == member.epoch:
                        del holders[partition]
                if not holders:
                    del self._holders[topic]

    def held(self, topic_id: bytes) -> Container[int]:
        """The partitions of a topic that a member holds."""
        return self._holders.get(topic_id, ())

    def is_free(self, topic_id: bytes, partition: int) -> bool:
        """Whether no member holds a partition."""
        return partition not in self._holders.get(topic_id, ())

    # -- subscriptions ---------------------------------------------------------------------------

    def resolve(self, regex: str, resolved: Resolved | None) -> None:
        """The topics of a regular expression are known, or nobody asks for them any more."""
        old = self.resolved.pop(regex, None)
        if old is not None:
            _take(self.by_regex, old.topics)
        if resolved is not None:
            self.resolved[regex] = resolved
            self.by_regex.update(resolved.topics)

    @property
    def topics(self) -> set[str]:
        """Everything that the group reads."""
        return self.names.keys() | self.by_regex.keys()

    def topics_with(self, old: ConsumerMember, new: ConsumerMember) -> set[str]:
        """What the group would read with `new` in the place of `old`."""
        dropped = () if old.regex == new.regex else self.regexes_only_of([old])
        return self.topics_without([old], dropped) | new.names

    def regexes_only_of(self, members: Iterable[ConsumerMember]) -> list[str]:
        """The regular expressions that nobody but these members asks for."""
        counts = Counter(regex for member in members for regex in _regex_of(member))
        return [regex for regex, count in counts.items() if self.regexes[regex] == count]

    def topics_without(self, members: Iterable[ConsumerMember], regexes: Iterable[str]) -> set[str]:
        """What the group would read without these members and these regular expressions."""
        names, by_regex = Counter(self.names), Counter(self.by_regex)
        for member in members:
            _take(names, member.names)
        for regex in regexes:
            resolved = self.resolved.get(regex)
            if resolved is not None:
                _take(by_regex, resolved.topics)
        return names.keys() | by_regex.keys()

    def subscriptions(self, member: ConsumerMember) -> frozenset[str]:
        """What a member reads: by name, and by its regular expression as far as it is resolved."""
        resolved = self.resolved.get(member.regex or "")
        return member.names if resolved is None else member.names | resolved.topics

    # -- assignment ------------------------------------------------------------------------------

    def target_of(self, member_id: str) -> Partitions:
        """What a member is to own."""
        return self.targets.of.get(member_id, NO_PARTITIONS)

    def preferred_assignor(
        self, old: ConsumerMember | None = None, new: ConsumerMember | None = None
    ) -> str | None:
        """What most members ask for, with `new` in the place of `old`; None when nobody asks."""
        counts = Counter(self.assignors)
        if old is not None:
            _take(counts, _assignor_of(old))
        if new is not None:
            counts.update(_assignor_of(new))
        return max(counts, key=lambda name: (counts[name], name), default=None)

    @property
    def state(self) -> GroupState:
        """Where the group stands."""
        if not self.members:
            return GroupState.EMPTY
        if self.epoch > self.assignment_epoch:
            return GroupState.ASSIGNING
        epoch = self.assignment_epoch
        if all(member.reconciled_to(epoch) for member in self.members.values()):
            return GroupState.STABLE
        return GroupState.RECONCILING

    def must_refresh(self, now_ms: int) -> bool:
        """Whether the metadata hash has to be computed again."""
        return now_ms >= self.refresh_at or self.epoch < self.refresh_epoch

    def refreshed(self, now_ms: int, epoch: int) -> None:
        """The hash is that of the topics as they are; `epoch` is what the group then has."""
        self.refresh_at, self.refresh_epoch = now_ms + METADATA_REFRESH_MS, epoch

    def metadata_changed(self) -> None:
        """Topics that the group reads have changed."""
        self.refresh_at, self.refresh_epoch = 0, 0

    def only_classics_without(self, leaving: Iterable[ConsumerMember]) -> bool:
        """Whether the others all speak the classic protocol."""
        gone = list(leaving)
        classics = self.classics - sum(member.classic is not None for member in gone)
        return classics == len(self.members) - len(gone)

    def supports_classic(self, protocol_type: str, names: Iterable[str]) -> bool:
        """Whether somebody with these protocols can be a member beside the classic ones."""
        return protocol_type == CONSUMER and any(
            self.classic_protocols[name] == self.classics for name in names
        )

    # -- its offsets, and its end ----------------------------------------------------------------

    @property
    def kind(self) -> str:
        """Its type in ListGroups."""
        return CONSUMER

    @property
    def protocol_type(self) -> str:
        """What its classic members agree in."""
        return CONSUMER

    @property
    def may_expire(self) -> bool:
        """Whether it can go once its offsets are gone."""
        return not self.members

    @property
    def check_delete(self) -> ErrorCode:
        """Whether DeleteGroups may take it."""
        return ErrorCode.NON_EMPTY_GROUP if self.members else ErrorCode.NONE

    @property
    def offsets_deletable(self) -> bool:
        """Whether OffsetDelete may touch its offsets at all."""
        return True

    def is_subscribed(self, topic: str) -> bool:
        """Whether a member reads it."""
        return topic in self.names or topic in self.by_regex

    def offset_age_begins(self, commit_ms: int) -> int | None:
        """Since when an offset counts as unused."""
        return commit_ms

    def write_tombstones(self, effects: Effects) -> None:
        """The group is gone."""
        write_group_tombstones(effects, self.group_id, self.members, self.resolved)


def _same_subscription(old: ConsumerMember, new: ConsumerMember) -> bool:
    """Whether only what the member owns has changed."""
    return (
        old.names is new.names
        and old.regex == new.regex
        and old.assignor == new.assignor
        and old.classic is new.classic
        and old.instance_id == new.instance_id
    )


def _regex_of(member: ConsumerMember) -> tuple[str, ...]:
    return (member.regex,) if member.regex else ()


def _assignor_of(member: ConsumerMember) -> tuple[str, ...]:
    return () if member.assignor is None else (member.assignor,)


def _take(counts: Counter[T], names: Iterable[T]) -> None:
    """Each of `names` once less."""
    for name in names:
        if counts[name] <= 1:
            counts.pop(name, None)
        else:
            counts[name] -= 1
