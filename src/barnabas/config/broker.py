"""`BrokerConfig`: the configuration of one node, parsed, checked, with typed access."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from . import definitions, dynamic, own
from .checks import problems, start_problems
from .endpoints import Endpoint, parse_endpoints, protocol_map
from .keys import ConfigKey
from .values import ConfigError, Value, default, listen_address, read, voter

_REQUIRED = tuple(key.name for key in definitions.BROKER.values() if key.required)
_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS


class BrokerConfig:
    """All configs of a node at one moment. Immutable; `with_dynamic` makes the next one.

    The three levels stay apart for DescribeConfigs: `static` (the file), `cluster` (dynamic, for
    all brokers) and `broker` (dynamic, for this one). `originals` is what is set at all, the
    levels laid over each other; the `get_*` methods give the effective, typed value.
    """

    __slots__ = (
        "_values",
        "advertised_listeners",
        "broker",
        "cluster",
        "controller_listener_names",
        "listeners",
        "node_id",
        "originals",
        "process_roles",
        "protocols",
        "static",
    )

    def __init__(
        self, static: Mapping[str, str], cluster: Mapping[str, str], broker: Mapping[str, str]
    ) -> None:
        """Use `from_properties` or `with_dynamic`.

        Raises:
            ConfigError: with a sentence for everything that cannot stand.
        """
        self.static = static
        self.cluster = cluster
        self.broker = broker
        originals = dict(static)
        dynamic.override(originals, cluster)
        dynamic.override(originals, broker)
        if cluster or broker:
            dynamic.clamp(originals)
        self.originals: Mapping[str, str] = originals
        self._values: dict[str, Value] = _read_all(originals)
        self.node_id: int = self.get_int("node.id")
        self.process_roles: frozenset[str] = frozenset(self.get_list("process.roles"))
        self.controller_listener_names: tuple[str, ...] = tuple(
            name.upper() for name in self.get_list("controller.listener.names")
        )
        self._resolve_listeners()
        wrong = problems(self)
        if wrong:
            raise ConfigError(*wrong)

    @classmethod
    def from_properties(
        cls, properties: Mapping[str, str], *, known_only: bool = False
    ) -> BrokerConfig:
        """The configuration that a `server.properties` file gives.

        Unknown names are kept, as Kafka keeps them, unless `known_only`.

        Raises:
            ConfigError: with a sentence for everything that cannot stand.
        """
        if known_only:
            unknown = sorted(name for name in properties if dynamic.key_of(name) is None)
            if unknown:
                raise ConfigError(*(f"{name} is not a known config." for name in unknown))
        static = dict(properties)
        if "node.id" in static:
            static.setdefault("broker.id", static["node.id"])
        elif "broker.id" in static:
            static["node.id"] = static["broker.id"]
        config = cls(static, {}, {})
        wrong = start_problems(config)
        if wrong:
            raise ConfigError(*wrong)
        return config

    def with_dynamic(self, cluster: Mapping[str, str], broker: Mapping[str, str]) -> BrokerConfig:
        """This node's static configs under the dynamic ones of the metadata image.

        What may not be set at its level is left out, as Kafka does (`dynamic.applicable`).

        Raises:
            ConfigError: the configs contradict each other; Kafka then keeps the previous ones.
        """
        return BrokerConfig(
            self.static,
            dynamic.applicable(cluster, per_broker=False),
            dynamic.applicable(broker, per_broker=True),
        )

    def _resolve_listeners(self) -> None:
        entries = self.get_list("listeners")
        explicit = self.originals.get("listener.security.protocol.map")
        self.protocols: Mapping[str, str] = protocol_map(
            explicit, entries, self.controller_listener_names
        )
        self.listeners: tuple[Endpoint, ...] = parse_endpoints(
            "listeners", entries, self.protocols, distinct_ports=True
        )
        advertised = self._value("advertised.listeners")
        self.advertised_listeners: tuple[Endpoint, ...] | None = (
            None
            if advertised is None
            else parse_endpoints(
                "advertised.listeners",
                cast("tuple[str, ...]", advertised),
                self.protocols,
                distinct_ports=False,
            )
        )

    def _value(self, name: str) -> Value:
        if name in self._values:
            return self._values[name]
        key = dynamic.key_of(name)
        if key is None:
            raise KeyError(name)
        return default(key)

    def value(self, name: str) -> Value:
        """The effective value of a known config: set, or default (None = unset).

        Raises:
            KeyError: no such config.
        """
        return self._value(name)

    def is_set(self, name: str) -> bool:
        """Whether the config has a value of its own at any level."""
        return name in self.originals

    def get_int(self, name: str) -> int:
        """An int, short or long that has a value."""
        return cast(int, self._typed(name, int))

    def get_int_or_none(self, name: str) -> int | None:
        """An int, short or long that may be unset."""
        return None if self._value(name) is None else self.get_int(name)

    def get_float(self, name: str) -> float:
        """A double that has a value."""
        return cast(float, self._typed(name, float))

    def get_bool(self, name: str) -> bool:
        """A boolean that has a value."""
        return cast(bool, self._typed(name, bool))

    def get_str(self, name: str) -> str:
        """A string or class name that has a value."""
        return cast(str, self._typed(name, str))

    def get_str_or_none(self, name: str) -> str | None:
        """A string or class name that may be unset."""
        return None if self._value(name) is None else self.get_str(name)

    def get_list(self, name: str) -> tuple[str, ...]:
        """A list; without entries when it is unset."""
        if self._value(name) is None:
            return ()
        return cast("tuple[str, ...]", self._typed(name, tuple))

    def _typed(self, name: str, kind: type) -> Value:
        value = self._value(name)
        if type(value) is not kind:
            raise TypeError(f"{name} is {type(value).__name__}, not {kind.__name__}")
        return value

    # What several parts of the node ask for, with the rules between configs applied.

    @property
    def log_dirs(self) -> tuple[str, ...]:
        """Data directories: `log.dirs`, else `log.dir`."""
        return self.get_list("log.dirs") or self.get_list("log.dir")

    @property
    def cordoned_log_dirs(self) -> frozenset[str]:
        """Data directories that get no new partitions: `cordoned.log.dirs`, where * is all."""
        named = self.get_list("cordoned.log.dirs")
        return frozenset(self.log_dirs if "*" in named else named)

    @property
    def metadata_log_dir(self) -> str:
        """Where `__cluster_metadata-0` is: `metadata.log.dir`, else the first data directory."""
        return self.get_str_or_none("metadata.log.dir") or self.log_dirs[0]

    @property
    def broker_listeners(self) -> tuple[Endpoint, ...]:
        """Listeners for clients and other brokers."""
        names = self.controller_listener_names
        return tuple(endpoint for endpoint in self.listeners if endpoint.name not in names)

    @property
    def controller_listeners(self) -> tuple[Endpoint, ...]:
        """Listeners of the controller."""
        names = self.controller_listener_names
        return tuple(endpoint for endpoint in self.listeners if endpoint.name in names)

    @property
    def advertised_broker_listeners(self) -> tuple[Endpoint, ...]:
        """What brokers tell clients: `advertised.listeners` if set, else the listeners.

        An endpoint without host stands for the local address of the socket that a client reached.
        """
        names = self.controller_listener_names
        advertised = (
            self.listeners if self.advertised_listeners is None else self.advertised_listeners
        )
        return tuple(endpoint for endpoint in advertised if endpoint.name not in names)

    @property
    def inter_broker_listener_name(self) -> str:
        """`inter.broker.listener.name`, else the name of `security.inter.broker.protocol`."""
        name = self.get_str_or_none("inter.broker.listener.name")
        return (name or self.get_str("security.inter.broker.protocol")).upper()

    @property
    def quorum_voters(self) -> dict[int, tuple[str, int]]:
        """Static voters: id to (host, port); empty with a dynamic quorum."""
        found = map(voter, self.get_list("controller.quorum.voters"))
        return {number: (host, port) for number, host, port in found}

    @property
    def ack_mode(self) -> str:
        """`barnabas.ack.mode`: "synced" or "page-cache"."""
        return self.get_str(own.ACK_MODE)

    @property
    def validation(self) -> str:
        """`barnabas.validation`: "header" or "full"."""
        return self.get_str(own.VALIDATION)

    @property
    def metrics_listener(self) -> tuple[str, int] | None:
        """`barnabas.metrics.listener` as host (empty: every address) and port; None when unset."""
        text = self.get_str(own.METRICS_LISTENER)
        return listen_address(text) if text else None

    @property
    def slow_request_ms(self) -> int:
        """`barnabas.slow.request.ms`; -1: never tell."""
        return self.get_int(own.SLOW_REQUEST_MS)

    @property
    def log_roll_ms(self) -> int:
        """`log.roll.ms`, else `log.roll.hours`."""
        return self._first("log.roll.ms", self.get_int("log.roll.hours") * _HOUR_MS)

    @property
    def log_roll_jitter_ms(self) -> int:
        """`log.roll.jitter.ms`, else `log.roll.jitter.hours`."""
        return self._first("log.roll.jitter.ms", self.get_int("log.roll.jitter.hours") * _HOUR_MS)

    @property
    def log_retention_ms(self) -> int:
        """`log.retention.ms`, else `.minutes`, else `.hours`; every negative value is -1."""
        minutes = self.get_int_or_none("log.retention.minutes")
        if minutes is None:
            coarse = self.get_int("log.retention.hours") * _HOUR_MS
        else:
            coarse = minutes * _MINUTE_MS
        return max(-1, self._first("log.retention.ms", coarse))

    @property
    def log_flush_interval_ms(self) -> int:
        """`log.flush.interval.ms`, else `log.flush.scheduler.interval.ms`."""
        scheduled = self.get_int("log.flush.scheduler.interval.ms")
        return self._first("log.flush.interval.ms", scheduled)

    def _first(self, name: str, otherwise: int) -> int:
        value = self.get_int_or_none(name)
        return otherwise if value is None else value


def _read_all(originals: Mapping[str, str]) -> dict[str, Value]:
    """The typed values of all known configs that are set.

    Raises:
        ConfigError: with a sentence for each value that is not valid or missing.
    """
    values: dict[str, Value] = {}
    errors: list[str] = []
    for name, text in originals.items():
        key: ConfigKey | None = dynamic.key_of(name)
        if key is None:
            continue
        try:
            values[name] = read(key, text)
        except ConfigError as error:
            errors.append(f"{error}".replace(key.name, name, 1))
    errors += [f"{name} is missing." for name in _REQUIRED if name not in originals]
    if errors:
        raise ConfigError(*errors)
    return values


def default_properties(
    data_dir: str, *, host: str = "localhost", port: int = 9092, controller_port: int = 9093
) -> dict[str, str]:
    """The properties of a node that starts without a file: broker and controller in one.

    `host` is an address or name to listen on, loopback unless told; ports may be 0 (any free one).
    """
    literal = f"[{host}]" if ":" in host else host
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://{literal}:{port},CONTROLLER://{literal}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.bootstrap.servers": f"{literal}:{controller_port}",
        "log.dirs": data_dir,
    }
