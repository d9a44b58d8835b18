"""A shard of consumer groups without a node: topics that change when told to, members by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from barnabas.coordinator.framing import CoordinatorRecord, decode_record
from barnabas.groups.consumer.group import ConsumerGroup, Resolved
from barnabas.groups.consumer.member import ConsumerMember
from barnabas.groups.consumer.topics import TopicFacts
from barnabas.groups.context import RequestContext
from barnabas.groups.record_types import GROUP_RECORDS
from barnabas.groups.settings import ConsumerGroupSettings
from barnabas.groups.shard import GroupShard
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.consumer_group_heartbeat_request import (
    ConsumerGroupHeartbeatRequest,
    TopicPartitions,
)
from barnabas.wire.messages.consumer_group_heartbeat_response import ConsumerGroupHeartbeatResponse
from tests.unit.groups.desk import Desk

Parts = Mapping[str, Iterable[int]]


class World:
    """Topics by name; their ids are their names."""

    def __init__(self, topics: Mapping[str, int]) -> None:
        self.version = 1
        self.topics = dict(topics)
        self.rack: dict[str, list[str]] = {}

    @staticmethod
    def id_of(name: str) -> bytes:
        """The id of a topic."""
        return name.encode().ljust(16, b"\0")

    def by_name(self, name: str) -> TopicFacts | None:
        """`Topics`."""
        count = self.topics.get(name)
        return None if count is None else TopicFacts(name, self.id_of(name), count)

    def by_id(self, topic_id: bytes) -> TopicFacts | None:
        """`Topics`."""
        return self.by_name(topic_id.rstrip(b"\0").decode())

    def names(self) -> Iterable[str]:
        """`Topics`."""
        return self.topics

    def racks(self, topic_id: bytes, partition: int) -> Sequence[str]:
        """`Topics`."""
        del partition
        return self.rack.get(topic_id.rstrip(b"\0").decode(), [])


class ConsumerDesk(Desk):
    """Members are known by their ids; the desk remembers their epochs and what they own."""

    def __init__(
        self,
        topics: Mapping[str, int] | None = None,
        consumer: ConsumerGroupSettings | None = None,
        **settings: int,
    ) -> None:
        self.world = World({"t": 6} if topics is None else topics)
        # No interval, unless a test is about it: a join is followed by its assignment.
        self.consumer = consumer or ConsumerGroupSettings(assignment_ms=0)
        self.configs: dict[str, dict[str, int]] = {}
        self.epochs: dict[str, int] = {}
        self.owned: dict[str, Parts] = {}
        super().__init__(**settings)

    def _new(self) -> GroupShard:
        self.settings = replace(self.settings, consumer=self.consumer)
        return GroupShard(
            self.settings,
            lambda: f"id{next(self._numbers)}",
            self.world,
            lambda group_id: self.configs.get(group_id, {}),
        )

    # -- requests --------------------------------------------------------------------------------

    def beat(self, member: str, epoch: int | None = None, **fields: Any) -> Any:
        """A heartbeat with exactly these fields; without an epoch in that of the last answer."""
        version = fields.pop("version", 1)
        client = fields.pop("client", "c")
        may_describe = fields.pop("may_describe", lambda _: True)
        owned: Parts | None = fields.pop("owned", None)
        request = ConsumerGroupHeartbeatRequest(
            group_id=fields.pop("group", "g"),
            member_id=member,
            member_epoch=self.epochs.get(member, 0) if epoch is None else epoch,
            topic_partitions=None if owned is None else self.partitions(owned),
            **fields,
        )
        context = RequestContext(client, "/127.0.0.1", version, may_describe)
        response = self.run(
            lambda paper: self.shard.consumer_group_heartbeat(context, request, paper, self.now)
        ).response
        if response is not None and not response.error_code and response.member_epoch >= 0:
            self.epochs[member] = response.member_epoch
        return response

    def start(self, member: str, topics: Sequence[str] | None = ("t",), **fields: Any) -> Any:
        """The first heartbeat of a member."""
        names = None if topics is None else list(topics)
        fields = {"rebalance_timeout_ms": 30_000, "owned": {}, **fields}
        return self.beat(member, 0, subscribed_topic_names=names, **fields)

    def live(self, *members: str, rounds: int = 4) -> None:
        """Members go on: each owns what it is told to, and says so."""
        for _ in range(rounds):
            for member in members:
                response = self.beat(member, owned=self.owned.get(member, {}))
                assert response.error_code == ErrorCode.NONE, response.error_message
                self.note(member, response)

    def note(self, member: str, response: ConsumerGroupHeartbeatResponse) -> None:
        """What a member was told to own."""
        if response.assignment is not None:
            self.owned[member] = self.named(response)

    def settle(self, *members: str, topics: Sequence[str] = ("t",), **fields: Any) -> None:
        """A group in which all members own what they should."""
        for member in members:
            response = self.start(member, topics, **fields)
            assert response.error_code == ErrorCode.NONE, response.error_message
            self.note(member, response)
        self.live(*members)

    def error(self, member: str, epoch: int | None = None, **fields: Any) -> ErrorCode:
        """The error of a heartbeat."""
        return ErrorCode(self.beat(member, epoch, **fields).error_code)

    # -- what is there ---------------------------------------------------------------------------

    def partitions(self, parts: Parts) -> list[TopicPartitions]:
        """As a request has them."""
        return [TopicPartitions(World.id_of(name), list(p)) for name, p in parts.items()]

    def named(self, response: ConsumerGroupHeartbeatResponse) -> dict[str, list[int]]:
        """The assignment in an answer."""
        assert response.assignment is not None
        found = {}
        for each in response.assignment.topic_partitions:
            found[each.topic_id.rstrip(b"\0").decode()] = list(each.partitions)
        return found

    def consumers(self, group_id: str = "g") -> ConsumerGroup:
        """A consumer group that is there."""
        found = self.shard.state.consumer(group_id)
        assert found is not None
        return found

    def member(self, member_id: str) -> ConsumerMember:
        """A member that is there."""
        found = self.consumers().member(member_id)
        assert found is not None
        return found

    def held(self, member_id: str, topic: str = "t") -> list[int]:
        """The partitions of a topic that a member owns."""
        return sorted(self.member(member_id).assigned.get(World.id_of(topic), ()))

    def records(self, since: int = 0) -> list[CoordinatorRecord]:
        """What was written."""
        found = []
        for key, value, _ in self.log[since:]:
            record = decode_record(GROUP_RECORDS, key, value)
            assert record is not None
            found.append(record)
        return found

    def written(self, since: int) -> list[str]:
        """The kinds of the records, in their order; tombstones with a minus."""
        return [
            ("-" if each.value is None else "") + type(each.key).__name__.removesuffix("Key")
            for each in self.records(since)
        ]

    # -- topics ----------------------------------------------------------------------------------

    def topic(self, name: str, partitions: int | None) -> None:
        """A topic is created, grows, or (None) is gone."""
        created = name not in self.world.topics
        self.world.version += 1
        if partitions is None:
            del self.world.topics[name]
        else:
            self.world.topics[name] = partitions
        self.shard.topics_changed([name], created=created and partitions is not None)

    def answer_regexes(self) -> int:
        """Look up what the shard has asked for; how many questions there were."""
        from barnabas.groups.consumer.regex import resolve_slowly

        questions = self.shard.take_resolutions()
        for each in questions:
            found: dict[str, set[str]] = {}
            for _ in resolve_slowly(each.regexes, self.world.names(), found):
                pass
            answer = {
                regex: Resolved(
                    frozenset(n for n in names if each.context.may_describe(n)),
                    self.world.version,
                    self.now.wall,
                )
                for regex, names in found.items()
            }
            self._do(self.shard.regexes_resolved(each.group_id, answer, self.now))
        return len(questions)
