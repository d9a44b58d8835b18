"""Rules between configs that must hold at a start, and after a change at run time.

Each returns sentences; none means that all is well. The rules are `KafkaConfig.validateValues` and
those of the coordinators' configs in Kafka 4.3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from .endpoints import ANY_ADDRESS
from .values import ConfigError, voter

if TYPE_CHECKING:
    from .broker import BrokerConfig

_MIB = 1 << 20

# Smallest, chosen and largest value; the middle one lies between the two others.
_BETWEEN: Final = (
    *(
        (f"group.{kind}.min.{what}", f"group.{kind}.{what}", f"group.{kind}.max.{what}")
        for kind in ("consumer", "share", "streams")
        for what in ("session.timeout.ms", "heartbeat.interval.ms", "assignment.interval.ms")
    ),
    *(
        (f"group.share.min.{what}", f"group.share.{what}", f"group.share.max.{what}")
        for what in (
            "delivery.count.limit",
            "record.lock.duration.ms",
            "partition.max.record.locks",
        )
    ),
)
_AT_MOST: Final = (
    ("replica.fetch.wait.max.ms", "replica.socket.timeout.ms"),
    ("replica.fetch.wait.max.ms", "replica.lag.time.max.ms"),
    ("group.share.max.size", "group.share.max.share.sessions"),
    ("group.streams.num.standby.replicas", "group.streams.max.standby.replicas"),
)
_BELOW: Final = tuple(
    (f"group.{kind}.heartbeat.interval.ms", f"group.{kind}.session.timeout.ms")
    for kind in ("consumer", "share", "streams")
)


def problems(config: BrokerConfig) -> list[str]:
    """A sentence for each rule that `config` breaks."""
    rules: tuple[Callable[[BrokerConfig], Iterator[str]], ...] = (
        _ids_and_quorum,
        _listeners,
        _advertised,
        _inter_broker,
        _log,
        _limits,
        _orders,
        _groups,
    )
    return [sentence for rule in rules for sentence in rule(config)]


def start_problems(config: BrokerConfig) -> list[str]:
    """A sentence for each rule that Kafka checks at a start only, never for a dynamic change."""
    name = "log.cleaner.{}.compaction.lag.ms"
    if config.get_int(name.format("min")) > config.get_int(name.format("max")):
        return [f"{name.format('min')} must be at most {name.format('max')}."]
    return []


def _ids_and_quorum(config: BrokerConfig) -> Iterator[str]:
    if config.is_set("broker.id") and config.get_int("broker.id") != config.node_id:
        yield "node.id and broker.id must be the same number."
    voters = {voter(entry)[0] for entry in config.get_list("controller.quorum.voters")}
    if not voters and not config.get_list("controller.quorum.bootstrap.servers"):
        yield (
            "Set controller.quorum.bootstrap.servers (or controller.quorum.voters) "
            "to the addresses of the controllers."
        )
    if "controller" in config.process_roles:
        if voters and config.node_id not in voters:
            yield f"controller.quorum.voters must contain node {config.node_id}, a controller."
        return
    if config.node_id in voters:
        yield f"controller.quorum.voters must not contain node {config.node_id}, a broker only."
    if config.get_bool("controller.quorum.auto.join.enable"):
        yield "controller.quorum.auto.join.enable=true needs the role controller."


def _listeners(config: BrokerConfig) -> Iterator[str]:
    open_names = {endpoint.name for endpoint in config.listeners}
    controller_names = set(config.controller_listener_names)
    if "controller" not in config.process_roles:
        if open_names & controller_names:
            yield "controller.listener.names must not name a listener of a node that is broker only."
        unmapped = sorted(controller_names - set(config.protocols))
        if unmapped:
            yield f"listener.security.protocol.map must name controller listener {unmapped[0]}."
    elif not controller_names <= open_names:
        yield "controller.listener.names must only contain names that are in listeners."
    elif config.process_roles == {"controller"} and open_names != controller_names:
        yield "listeners must only contain controller listeners when the only role is controller."
    early = {name.strip().upper() for name in config.get_list("early.start.listeners")}
    for name in sorted(early - open_names - controller_names):
        yield f"early.start.listeners names {name}, which is not a listener."


def _advertised(config: BrokerConfig) -> Iterator[str]:
    if any(endpoint.host == ANY_ADDRESS for endpoint in config.advertised_listeners or ()):
        yield "advertised.listeners must not contain 0.0.0.0, which no client can reach."
    if "broker" not in config.process_roles:
        return
    advertised = {endpoint.name for endpoint in config.advertised_broker_listeners}
    if not advertised:
        yield "listeners must contain one that is not in controller.listener.names, for clients."
    unopened = sorted(advertised - {endpoint.name for endpoint in config.listeners})
    if unopened:
        yield f"advertised.listeners names {unopened[0]}, which is not in listeners."


def _inter_broker(config: BrokerConfig) -> Iterator[str]:
    name = config.inter_broker_listener_name
    if config.get_str_or_none("inter.broker.listener.name") is not None:
        if config.is_set("security.inter.broker.protocol"):
            yield (
                "Only one of inter.broker.listener.name and security.inter.broker.protocol "
                "may be set."
            )
        if name not in config.protocols:
            yield f"inter.broker.listener.name={name} is not in listener.security.protocol.map."
        if config.process_roles == {"controller"} and name in config.controller_listener_names:
            yield "controller.listener.names must not contain inter.broker.listener.name."
    if "broker" in config.process_roles:
        advertised = {endpoint.name for endpoint in config.advertised_broker_listeners}
        if advertised and name not in advertised:
            yield (
                f"inter.broker.listener.name is {name}, which is not an advertised listener "
                f"({', '.join(sorted(advertised))})."
            )


def _log(config: BrokerConfig) -> Iterator[str]:
    if config.log_roll_ms < 1:
        yield "log.roll.ms must be at least 1."
    if config.log_roll_jitter_ms < 0:
        yield "log.roll.jitter.ms must not be negative."
    if config.log_retention_ms == 0:
        yield "log.retention.ms must be at least 1, or -1 for no limit."
    threads = config.get_int("log.cleaner.threads")
    if threads == 0 or config.get_int("log.cleaner.dedupe.buffer.size") // threads <= _MIB:
        yield "log.cleaner.dedupe.buffer.size must be more than 1 MiB for each cleaner thread."
    cordoned = config.get_list("cordoned.log.dirs")
    if "*" in cordoned:
        if len(cordoned) > 1:
            yield "cordoned.log.dirs must have no other entry beside *."
    elif "broker" in config.process_roles and not set(cordoned) <= set(config.log_dirs):
        yield "Each entry of cordoned.log.dirs must be one of log.dirs."


def _limits(config: BrokerConfig) -> Iterator[str]:
    queued = config.get_int("queued.max.request.bytes")
    if 0 < queued < config.get_int("socket.request.max.bytes"):
        yield "queued.max.request.bytes must be at least socket.request.max.bytes."
    try:
        overrides = connection_overrides(config.get_str("max.connections.per.ip.overrides"))
    except ConfigError as error:
        yield str(error)
        overrides = {"": 0}
    if config.get_int("max.connections.per.ip") == 0 and not overrides:
        yield "max.connections.per.ip=0 needs max.connections.per.ip.overrides."
    idle = config.get_int("connections.max.idle.ms")
    if 0 <= idle <= config.get_int("connection.failed.authentication.delay.ms"):
        yield "connection.failed.authentication.delay.ms must be less than connections.max.idle.ms."


def connection_overrides(text: str) -> dict[str, int]:
    """Host to its limit of connections, from `max.connections.per.ip.overrides`.

    Raises:
        ConfigError: an entry is not host:count.
    """
    result: dict[str, int] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        host, colon, count = entry.rpartition(":")
        valid_host = host.isascii() and all(c.isalnum() or c in "-%._:" for c in host.strip())
        if not colon or not valid_host or not count.strip().isdecimal():
            raise ConfigError(f"max.connections.per.ip.overrides: {entry} is not host:count.")
        result[host.strip()] = int(count)
    return result


def _orders(config: BrokerConfig) -> Iterator[str]:
    for lowest, chosen, highest in _BETWEEN:
        value = config.get_int(chosen)
        if value < config.get_int(lowest):
            yield f"{chosen} must be at least {lowest}."
        if value > config.get_int(highest):
            yield f"{chosen} must be at most {highest}."
    for smaller, larger in _AT_MOST:
        if config.get_int(smaller) > config.get_int(larger):
            yield f"{smaller} must be at most {larger}."
    for smaller, larger in _BELOW:
        if config.get_int(smaller) >= config.get_int(larger):
            yield f"{smaller} must be less than {larger}."


def _groups(config: BrokerConfig) -> Iterator[str]:
    if "classic" not in config.get_list("group.coordinator.rebalance.protocols"):
        yield "group.coordinator.rebalance.protocols must contain classic."
    if len(config.get_list("group.share.assignors")) != 1:
        yield "group.share.assignors must have exactly one entry."
