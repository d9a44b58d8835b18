"""A caller's settings: Kafka's names in a dict, or Python's spelling as keyword arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from barnabas.client.addresses import parse_addresses
from barnabas.client.config import ClientConfig, ProducerConfig
from barnabas.client.partitioner import HASHES
from barnabas.records.compression import Codec

_MAX_INT: Final = 0x7FFFFFFF


class ProducerSettings(NamedTuple):
    """What a producer was told."""

    addresses: tuple[tuple[str, int], ...]
    client: ClientConfig
    producer: ProducerConfig


class _Setting(NamedTuple):
    """Where a setting goes (`client` or `producer`), the field there, and what it takes."""

    owner: str
    field: str
    parse: Callable[[str, object], object]


def _number(low: int, high: int = _MAX_INT) -> Callable[[str, object], int]:
    def parse(name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError(f"{name}: {value!r} is no number")
        try:
            number = int(value)
        except ValueError:
            raise ValueError(f"{name}: {value!r} is no number") from None
        if not low <= number <= high:
            raise ValueError(f"{name}: {number} is not between {low} and {high}")
        return number

    return parse


def _choice(known: Mapping[str, object]) -> Callable[[str, object], object]:
    def parse(name: str, value: object) -> object:
        text = str(value).lower()
        if text not in known:
            raise ValueError(f"{name}: {value!r} is none of {', '.join(known)}")
        return known[text]

    return parse


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name}: {value!r} is no text")
    return value


_BOOLEANS: Final = {"true": True, "false": False}
_ACKS: Final = {"all": -1, "-1": -1, "0": 0, "1": 1}
_CODECS: Final = {codec.name.lower(): codec for codec in Codec}
_NATURAL: Final = _number(0)
_POSITIVE: Final = _number(1)
_BOOLEAN: Final = _choice(_BOOLEANS)

CLIENT: Final = {
    "client.id": _Setting("client", "client_id", _text),
    "request.timeout.ms": _Setting("client", "request_timeout_ms", _POSITIVE),
    "socket.connection.setup.timeout.ms": _Setting(
        "client", "socket_connection_setup_timeout_ms", _POSITIVE
    ),
    "retry.backoff.ms": _Setting("client", "retry_backoff_ms", _NATURAL),
    "retry.backoff.max.ms": _Setting("client", "retry_backoff_max_ms", _NATURAL),
    "metadata.max.age.ms": _Setting("client", "metadata_max_age_ms", _NATURAL),
    "metadata.recovery.strategy": _Setting(
        "client", "rebootstrap", _choice({"rebootstrap": True, "none": False})
    ),
    "default.api.timeout.ms": _Setting("client", "api_timeout_ms", _NATURAL),
    "security.protocol": _Setting("", "", _choice({"plaintext": "PLAINTEXT"})),
}
PRODUCER: Final = {
    "acks": _Setting("producer", "acks", _choice(_ACKS)),
    "enable.idempotence": _Setting("producer", "enable_idempotence", _BOOLEAN),
    "batch.size": _Setting("producer", "batch_size", _NATURAL),
    "linger.ms": _Setting("producer", "linger_ms", _NATURAL),
    "compression.type": _Setting("producer", "compression", _choice(_CODECS)),
    "compression.gzip.level": _Setting("level", "gzip", _number(-1, 9)),
    "compression.lz4.level": _Setting("level", "lz4", _number(1, 17)),
    "compression.zstd.level": _Setting("level", "zstd", _number(-131_072, 22)),
    "delivery.timeout.ms": _Setting("producer", "delivery_timeout_ms", _NATURAL),
    "max.in.flight.requests.per.connection": _Setting("producer", "max_in_flight", _POSITIVE),
    "max.request.size": _Setting("producer", "max_request_size", _NATURAL),
    "buffer.memory": _Setting("producer", "buffer_memory", _number(0, 1 << 62)),
    "max.block.ms": _Setting("producer", "max_block_ms", _NATURAL),
    "transactional.id": _Setting("producer", "transactional_id", _text),
    "transaction.timeout.ms": _Setting("producer", "transaction_timeout_ms", _POSITIVE),
    "retries": _Setting("producer", "retries", _NATURAL),
    "partitioner": _Setting("producer", "partitioner", _choice({name: name for name in HASHES})),
    "partitioner.ignore.keys": _Setting("producer", "partitioner_ignore_keys", _BOOLEAN),
    "partitioner.adaptive.partitioning.enable": _Setting(
        "producer", "partitioner_adaptive_partitioning_enable", _BOOLEAN
    ),
}
_DEFAULTS: Final = ProducerConfig()
_CLIENT_DEFAULTS: Final = ClientConfig()
_BOOTSTRAP: Final = "bootstrap.servers"


def producer_settings(
    config: Mapping[str, object] | None, options: Mapping[str, object]
) -> ProducerSettings:
    """What `Producer` was given. Raises `ValueError`, for a name that there is not with the nearest.

    As in Kafka, a producer that says nothing of idempotence is idempotent unless its `acks`,
    `retries` or requests in flight forbid it.
    """
    given = named(config, options, (*CLIENT, *PRODUCER, _BOOTSTRAP))
    addresses = parse_addresses(given.pop(_BOOTSTRAP, None) or "localhost:9092")
    client: dict[str, Any] = {}
    producer: dict[str, Any] = {}
    levels: dict[str, Any] = {}
    owners = {"client": client, "producer": producer, "level": levels, "": {}}
    for name, value in given.items():
        setting = CLIENT.get(name) or PRODUCER[name]
        owners[setting.owner][setting.field] = setting.parse(name, value)
    for field in ("retry_backoff_ms", "retry_backoff_max_ms"):
        if field in client:
            producer[field] = client[field]
    producer["compression_level"] = levels.get(producer.get("compression", Codec.NONE).name.lower())
    producer.setdefault(
        "enable_idempotence",
        producer.get("acks", -1) == -1
        and producer.get("retries", 1) > 0
        and producer.get("max_in_flight", 1) <= 5,
    )
    _reconcile_times(client, producer)
    return ProducerSettings(addresses, ClientConfig(**client), ProducerConfig(**producer))


def _reconcile_times(client: dict[str, Any], producer: dict[str, Any]) -> None:
    """A delivery takes at least as long as a batch lingers and a request may take."""
    least = producer.get("linger_ms", _DEFAULTS.linger_ms) + client.get(
        "request_timeout_ms", _CLIENT_DEFAULTS.request_timeout_ms
    )
    if producer.get("delivery_timeout_ms", least) < least:
        raise ValueError(
            f"delivery.timeout.ms is less than linger.ms + request.timeout.ms ({least})"
        )
    producer.setdefault("delivery_timeout_ms", max(_DEFAULTS.delivery_timeout_ms, least))


def named(
    config: Mapping[str, object] | None, options: Mapping[str, object], known: Iterable[str]
) -> dict[str, object]:
    """All settings under Kafka's names. Raises `ValueError` for one that is not `known`."""
    names = {name.replace(".", "_"): name for name in known}
    dotted = set(names.values())
    found: dict[str, object] = {}
    for name, value in (config or {}).items():
        if name not in dotted:
            raise ValueError(_unknown(name, dotted))
        found[name] = value
    for option, value in options.items():
        if option not in names:
            raise ValueError(_unknown(option, names))
        if names[option] in found:
            raise ValueError(f"{names[option]} is given twice")
        found[names[option]] = value
    return found


def _unknown(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"unknown setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
