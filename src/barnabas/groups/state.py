"""What all decisions about groups share: the groups of one shard, their offsets, settings, new ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from barnabas.groups.classic.group import ClassicGroup
from barnabas.groups.consumer.group import ConsumerGroup
from barnabas.groups.consumer.topics import NoTopics, TopicHashes, Topics
from barnabas.groups.offsets.table import OffsetTable

if TYPE_CHECKING:
    from barnabas.groups.context import RequestContext
    from barnabas.groups.settings import GroupSettings
    from barnabas.wire.message import Message

AnyGroup: TypeAlias = ClassicGroup | ConsumerGroup
"""A group of any kind: what offsets and administration need of one."""

#: Configs that a group may have for itself.
SESSION_MS: Final = "consumer.session.timeout.ms"
HEARTBEAT_MS: Final = "consumer.heartbeat.interval.ms"
ASSIGNMENT_MS: Final = "consumer.assignment.interval.ms"


class Resolution(NamedTuple):
    """A question that takes longer than a decision may: which topics match these expressions.

    The answer goes to `GroupShard.regexes_resolved`. `context` is that of the member that made it
    necessary: only topics that it may describe count.
    """

    group_id: str
    regexes: tuple[str, ...]
    context: RequestContext


def _no_configs(group_id: str) -> Mapping[str, int]:
    del group_id
    return {}


class GroupsState:
    """The groups of one partition of __consumer_offsets, by id.

    `settings` may be replaced at any time. `new_id()` gives text that was never given before.
    `configs(group id)` are the group's own configs, as far as they are numbers.
    """

    def __init__(
        self,
        settings: GroupSettings,
        new_id: Callable[[], str],
        topics: Topics | None = None,
        configs: Callable[[str], Mapping[str, int]] | None = None,
    ) -> None:
        self.settings = settings
        self.new_id = new_id
        self.groups: dict[str, AnyGroup] = {}
        self.offsets = OffsetTable()
        self.topics: Topics = NoTopics() if topics is None else topics
        self.hashes = TopicHashes(self.topics)
        self.configs = configs or _no_configs
        self.last_new_topics = self.topics.version
        """The version of the metadata in which topics were last created."""
        self.resolutions: list[Resolution] = []
        """What decisions have asked for since it was last looked at."""
        self.downgraded: tuple[Message | None, ClassicGroup] | None = None
        """The last consumer group that was written as a classic one: that very value, and the group
        that is there once it is replayed. Nobody takes what the log refused."""
        self.resolving: dict[str, None] = {}
        """Groups whose regular expressions are being looked up."""

    def classic(self, group_id: str) -> ClassicGroup | None:
        """The classic group of this id, if it is one."""
        group = self.groups.get(group_id)
        return group if isinstance(group, ClassicGroup) else None

    def consumer(self, group_id: str) -> ConsumerGroup | None:
        """The consumer group of this id, if it is one."""
        group = self.groups.get(group_id)
        return group if isinstance(group, ConsumerGroup) else None

    def take_downgraded(self, value: Message) -> ClassicGroup | None:
        """The group that a decision has just written as `value`."""
        written, group = self.downgraded or (None, None)
        self.downgraded = None
        return group if written is value else None

    def ask(self, group_id: str, regexes: tuple[str, ...], context: RequestContext) -> None:
        """Have somebody look up which topics match these expressions."""
        self.resolving[group_id] = None
        self.resolutions.append(Resolution(group_id, regexes, context))

    def session_ms(self, group_id: str) -> int:
        """How long a member of a consumer group may be silent."""
        return self.configs(group_id).get(SESSION_MS, self.settings.consumer.session_ms)

    def heartbeat_ms(self, group_id: str) -> int:
        """How often a member of a consumer group has to call."""
        return self.configs(group_id).get(HEARTBEAT_MS, self.settings.consumer.heartbeat_ms)

    def assignment_ms(self, group_id: str) -> int:
        """How long a consumer group keeps a target at least."""
        return self.configs(group_id).get(ASSIGNMENT_MS, self.settings.consumer.assignment_ms)
