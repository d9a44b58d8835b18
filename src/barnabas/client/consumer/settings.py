"""A caller's settings for a consumer: Kafka's names in a dict, or Python's spelling as keywords."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, Final

from barnabas.client.cluster import Address
from barnabas.client.config import ClientConfig
from barnabas.client.consumer.config import ConsumerConfig
from barnabas.client.consumer.running import Setup

DEFAULT_PORT: Final = 9092
_LISTS: Final = frozenset({"partition_assignment_strategy"})
_SHARED: Final = {"request_timeout_ms", "retry_backoff_ms", "metadata_max_age_ms"}
_CLIENT: Final = {
    "client_id": str,
    "socket_connection_setup_timeout_ms": int,
    "retry_backoff_max_ms": int,
}
_RENAMED: Final = {"default_api_timeout_ms": "api_timeout_ms"}
_BOOLEANS: Final = {"true": True, "false": False}


def topics_and_config(
    what: Sequence[str | re.Pattern[str] | Mapping[str, object]],
) -> tuple[list[str] | re.Pattern[str] | None, Mapping[str, object] | None]:
    """Positional arguments: topics, or one pattern; and a dict of settings."""
    topics = [each for each in what if isinstance(each, str)]
    patterns = [each for each in what if isinstance(each, re.Pattern)]
    configs = [each for each in what if isinstance(each, Mapping)]
    if len(configs) > 1 or len(patterns) > 1 or (patterns and topics):
        raise ValueError("give topics, or one pattern; and at most one dict of settings")
    return (patterns[0] if patterns else topics or None), (configs[0] if configs else None)


def consumer_settings(config: Mapping[str, object] | None, options: Mapping[str, object]) -> Setup:
    """What a consumer was given. Raises `ValueError`, for a name that there is not with the nearest."""
    kinds = {field.name: field.type for field in fields(ConsumerConfig)}
    known = {*kinds, *_CLIENT, *_RENAMED, "bootstrap_servers", "security_protocol"}
    given = _named(config, options, known)
    addresses = _addresses(given.pop("bootstrap_servers", "localhost:9092"))
    if str(given.pop("security_protocol", "PLAINTEXT")).upper() != "PLAINTEXT":
        raise ValueError("security.protocol: only PLAINTEXT is served")
    client: dict[str, Any] = {}
    consumer: dict[str, Any] = {}
    for name, value in given.items():
        if name in kinds:
            consumer[name] = _parsed(name, str(kinds[name]), value)
        if name in _SHARED:
            client[name] = consumer[name]
        if name in _CLIENT:
            client[name] = _parsed(name, _CLIENT[name].__name__, value)
        if name in _RENAMED:
            client[_RENAMED[name]] = _parsed(name, "int", value)
    return Setup(addresses, ClientConfig(**client), ConsumerConfig(**consumer))


def _parsed(name: str, kind: str, value: object) -> object:
    if name in _LISTS:
        parts: Iterable[object] = value.split(",") if isinstance(value, str) else _items(value)
        return tuple(str(part).strip() for part in parts)
    if kind == "int":
        return _number(name, value)
    if kind == "bool":
        text = str(value).lower()
        if text not in _BOOLEANS:
            raise ValueError(f"{_dotted(name)}: {value!r} is neither true nor false")
        return _BOOLEANS[text]
    if value is None and kind.endswith("None"):
        return None
    if not isinstance(value, str):
        raise ValueError(f"{_dotted(name)}: {value!r} is no text")
    return value


def _items(value: object) -> Iterable[object]:
    if not isinstance(value, Iterable):
        raise ValueError(f"{value!r} is no list")
    return value


def _number(name: str, value: object) -> int:
    try:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError
        number = int(value)
        if not 0 <= number < 1 << 31:
            raise ValueError
    except ValueError:
        raise ValueError(f"{_dotted(name)}: {value!r} is no number from 0 on") from None
    return number


def _dotted(name: str) -> str:
    return name.replace("_", ".")


def _named(
    config: Mapping[str, object] | None, options: Mapping[str, object], known: Iterable[str]
) -> dict[str, object]:
    """All settings, in Python's spelling."""
    dotted = {_dotted(name): name for name in known}
    found: dict[str, object] = {}
    for name, value in (config or {}).items():
        if name not in dotted:
            raise ValueError(_unknown(name, dotted))
        found[dotted[name]] = value
    names = set(dotted.values())
    for name, value in options.items():
        if name not in names:
            raise ValueError(_unknown(name, names))
        if name in found:
            raise ValueError(f"{_dotted(name)} is given twice")
        found[name] = value
    return found


def _unknown(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"unknown setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def _addresses(value: object) -> tuple[Address, ...]:
    parts = value.split(",") if isinstance(value, str) else _items(value)
    found = [_address(str(part).strip()) for part in parts if str(part).strip()]
    if not found:
        raise ValueError("bootstrap.servers is empty")
    return tuple(found)


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ValueError(f"{text!r} is no address: use HOST:PORT")
    return host, int(port)
