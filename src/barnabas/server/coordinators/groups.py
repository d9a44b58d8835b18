"""The group coordinator of this node: shards of groups, bound to its configuration and metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from barnabas.coordinator.effects import Effects, Now
from barnabas.groups.context import RequestContext
from barnabas.groups.record_types import GROUP_RECORDS
from barnabas.groups.settings import GroupSettings
from barnabas.groups.shard import GroupShard
from barnabas.server.coordinators.internal_topics import CONSUMER_OFFSETS, partitions_wanted
from barnabas.server.coordinators.runtime import CoordinatorRuntime, Settings
from barnabas.server.coordinators.tickets import FutureTicket, RequestTicket

if TYPE_CHECKING:
    from barnabas.config.broker import BrokerConfig
    from barnabas.metadata.delta import MetadataDelta
    from barnabas.metadata.image import MetadataImage
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

#: "offset.metadata.max.bytes" and the like are read once: they are not dynamic.
_MINUTE_MS = 60_000


class GroupCoordinator:
    """Groups and their offsets, as the handlers ask for them."""

    def __init__(self, broker: Broker, new_id: Callable[[], str]) -> None:
        self._settings = group_settings(broker.config)
        self.runtime: CoordinatorRuntime[GroupShard] = CoordinatorRuntime(
            broker,
            CONSUMER_OFFSETS,
            GROUP_RECORDS,
            lambda _: GroupShard(self._settings, new_id),
            Settings(
                partitions=lambda: partitions_wanted(broker, CONSUMER_OFFSETS),
                codec=broker.config.get_int("offsets.topic.compression.codec"),
                write_timeout_ms=broker.config.get_int("offsets.commit.timeout.ms"),
            ),
        )

    def run(
        self, group_id: str, ticket: RequestTicket, decide: Callable[[GroupShard, Now], Effects]
    ) -> None:
        """Let the shard of a group decide; its effects answer the ticket."""
        self.runtime.run(group_id, decide, ticket)

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

    def publish(self, old: MetadataImage, new: MetadataImage, delta: MetadataDelta) -> None:
        """Topics are gone: so are the offsets in them."""
        self.runtime.publish(old, new, delta)
        if delta.topics is None or not delta.topics.deleted:
            return
        gone = [(topic.name, topic_id) for topic_id, topic in delta.topics.deleted.items()]
        for number in self.runtime.loaded():
            shard = self.runtime.shard(number)
            for effects in shard.topics_deleted(gone) if shard is not None else ():
                self._write(number, effects)

    def _write(self, number: int, effects: Effects) -> None:
        self.runtime.act(number, lambda _shard, _now: effects)


def context_of(request: Request) -> RequestContext:
    """The client behind a request; Kafka shows its host with a slash before it."""
    host = request.connection.peer[0]
    return RequestContext(request.client_id, f"/{host}", request.api_version)


def group_settings(config: BrokerConfig) -> GroupSettings:
    """What the node's configuration says about groups."""
    return GroupSettings(
        min_session_ms=config.get_int("group.min.session.timeout.ms"),
        max_session_ms=config.get_int("group.max.session.timeout.ms"),
        max_size=config.get_int("group.max.size"),
        initial_rebalance_delay_ms=config.get_int("group.initial.rebalance.delay.ms"),
        offset_metadata_max_bytes=config.get_int("offset.metadata.max.bytes"),
        offsets_retention_ms=config.get_int("offsets.retention.minutes") * _MINUTE_MS,
        offsets_check_ms=config.get_int("offsets.retention.check.interval.ms"),
    )
