"""The group coordinator of this node: shards of groups, bound to its configuration and metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from barnabas.coordinator.effects import Effects, Now
from barnabas.groups.consumer.assignors import CLASS_NAMES
from barnabas.groups.consumer.group import Resolved
from barnabas.groups.context import RequestContext
from barnabas.groups.counters import GroupCounters
from barnabas.groups.record_types import GROUP_RECORDS
from barnabas.groups.settings import ConsumerGroupSettings, GroupSettings
from barnabas.groups.shard import GroupShard
from barnabas.metadata.features import GROUP_VERSION
from barnabas.security.operations import Operation
from barnabas.server.coordinators.internal_topics import CONSUMER_OFFSETS, partitions_wanted
from barnabas.server.coordinators.metadata_view import GroupConfigs, ImageTopics
from barnabas.server.coordinators.repeats import KnownRequests
from barnabas.server.coordinators.runtime import CoordinatorRuntime, Settings
from barnabas.server.coordinators.tickets import FutureTicket, RequestTicket

if TYPE_CHECKING:
    from barnabas.config.broker import BrokerConfig
    from barnabas.groups.state import Resolution
    from barnabas.metadata.delta import MetadataDelta
    from barnabas.metadata.image import MetadataImage
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

_MINUTE_MS = 60_000


class GroupCoordinator:
    """Groups and their offsets, as the handlers ask for them."""

    def __init__(self, broker: Broker, new_id: Callable[[], str]) -> None:
        self._broker = broker
        self._settings = group_settings(broker.config)
        topics, configs = ImageTopics(broker), GroupConfigs(broker)
        self.counters = GroupCounters()
        self.known = KnownRequests()
        self.runtime: CoordinatorRuntime[GroupShard] = CoordinatorRuntime(
            broker,
            CONSUMER_OFFSETS,
            GROUP_RECORDS,
            lambda _: GroupShard(self._settings, new_id, topics, configs, self.counters),
            Settings(
                partitions=lambda: partitions_wanted(broker, CONSUMER_OFFSETS),
                codec=broker.config.get_int("offsets.topic.compression.codec"),
                write_timeout_ms=broker.config.get_int("offsets.commit.timeout.ms"),
            ),
        )

    @property
    def serves_consumers(self) -> bool:
        """Whether the configuration allows consumer groups."""
        return self._settings.consumer.served

    def run(
        self, group_id: str, ticket: RequestTicket, decide: Callable[[GroupShard, Now], Effects]
    ) -> None:
        """Let the shard of a group decide; its effects answer the ticket."""
        self.runtime.run(group_id, self._and_resolve(group_id, decide), ticket)

    def _and_resolve(
        self, group_id: str, decide: Callable[[GroupShard, Now], Effects]
    ) -> Callable[[GroupShard, Now], Effects]:
        """The decision, and what it leaves behind to be looked up."""

        def both(shard: GroupShard, now: Now) -> Effects:
            effects = decide(shard, now)
            for resolution in shard.take_resolutions():
                number = self.runtime.partition_of(group_id)
                self._broker.spawn(self._resolve(number, resolution))
            return effects

        return both

    async def _resolve(self, number: int, resolution: Resolution) -> None:
        """Look up which topics match, a few milliseconds at a time, and tell the group."""
        from barnabas.groups.consumer.regex import resolve_slowly

        broker = self._broker
        version, begun_ms = broker.image.provenance.offset, broker.clock.wall_ms()
        found: dict[str, set[str]] = {}
        names = list(broker.image.topics.by_name)
        for _ in resolve_slowly(resolution.regexes, names, found):
            await broker.clock.sleep(0)
        may_describe = resolution.context.may_describe
        allowed = {name for name in set().union(*found.values()) if may_describe(name)}
        answer = {
            regex: Resolved(frozenset(matches & allowed), version, begun_ms)
            for regex, matches in found.items()
        }
        self.runtime.act(
            number,
            lambda shard, now: shard.regexes_resolved(resolution.group_id, answer, now),
        )

    async def ask(
        self, group_id: str, decide: Callable[[GroupShard, Now, FutureTicket], Effects]
    ) -> Any:
        """The same for one of several groups of a request. Raises `KafkaError`."""
        ticket = FutureTicket()
        self.runtime.run(group_id, lambda shard, now: decide(shard, now, ticket), ticket)
        return await ticket.future

    async def ask_partition(
        self, number: int, decide: Callable[[GroupShard, Now, FutureTicket], Effects]
    ) -> Any:
        """The same for a partition. Raises `KafkaError`."""
        ticket = FutureTicket()
        self.runtime.run_on(number, lambda shard, now: decide(shard, now, ticket), ticket)
        return await ticket.future

    def _configure(self) -> None:
        """The node's configuration may have changed."""
        self._settings = group_settings(self._broker.config)
        for number in self.runtime.loaded():
            shard = self.runtime.shard(number)
            if shard is not None:
                shard.state.settings = self._settings

    def publish(self, old: MetadataImage, new: MetadataImage, delta: MetadataDelta) -> None:
        """Topics have changed, or are gone: so are the offsets in them."""
        self.runtime.publish(old, new, delta)
        if delta.configs is not None:
            self._configure()
        if delta.topics is None:
            return
        changed = [new.topics.by_id[each].name for each in delta.topics.changed]
        changed += [topic.name for topic in delta.topics.deleted.values()]
        for number in self.runtime.loaded():
            shard = self.runtime.shard(number)
            if shard is not None:
                shard.topics_changed(changed, created=bool(delta.topics.created_names))
        if not delta.topics.deleted:
            return
        gone = [(topic.name, topic_id) for topic_id, topic in delta.topics.deleted.items()]
        for number in self.runtime.loaded():
            shard = self.runtime.shard(number)
            for effects in shard.topics_deleted(gone) if shard is not None else ():
                self._write(number, effects)

    def _write(self, number: int, effects: Effects) -> None:
        self.runtime.act(number, lambda _shard, _now: effects)


def context_of(broker: Broker, request: Request) -> RequestContext:
    """The client behind a request; Kafka shows its host with a slash before it."""
    host = request.connection.peer[0]
    return RequestContext(
        request.client_id,
        f"/{host}",
        request.api_version,
        lambda name: broker.allowed.topic(request, Operation.DESCRIBE, name),
    )


def consumer_groups_enabled(broker: Broker) -> bool:
    """Whether the node's configuration and the cluster's features allow consumer groups."""
    served = broker.coordinators.groups.serves_consumers
    return served and broker.image.features.level(GROUP_VERSION) >= 1


def group_settings(config: BrokerConfig) -> GroupSettings:
    """What the node's configuration says about groups."""
    policy = config.get_str("group.consumer.migration.policy").lower()
    return GroupSettings(
        min_session_ms=config.get_int("group.min.session.timeout.ms"),
        max_session_ms=config.get_int("group.max.session.timeout.ms"),
        max_size=config.get_int("group.max.size"),
        initial_rebalance_delay_ms=config.get_int("group.initial.rebalance.delay.ms"),
        offset_metadata_max_bytes=config.get_int("offset.metadata.max.bytes"),
        offsets_retention_ms=config.get_int("offsets.retention.minutes") * _MINUTE_MS,
        offsets_check_ms=config.get_int("offsets.retention.check.interval.ms"),
        consumer=ConsumerGroupSettings(
            assignors=tuple(
                CLASS_NAMES.get(name, name) for name in config.get_list("group.consumer.assignors")
            ),
            max_size=config.get_int("group.consumer.max.size"),
            upgrade=policy in ("bidirectional", "upgrade"),
            downgrade=policy in ("bidirectional", "downgrade"),
            mixed=policy != "disabled",
            session_ms=config.get_int("group.consumer.session.timeout.ms"),
            heartbeat_ms=config.get_int("group.consumer.heartbeat.interval.ms"),
            assignment_ms=config.get_int("group.consumer.assignment.interval.ms"),
            regex_refresh_ms=config.get_int("group.consumer.regex.refresh.interval.ms"),
            served="consumer" in config.get_list("group.coordinator.rebalance.protocols"),
        ),
    )
