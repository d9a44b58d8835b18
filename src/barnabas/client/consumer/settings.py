"""A caller's settings for a consumer: Kafka's names in a dict, or Python's spelling as keywords."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from barnabas.client.addresses import parse_addresses
from barnabas.client.config import ClientConfig
from barnabas.client.consumer.config import ConsumerConfig
from barnabas.client.consumer.running import Setup
from barnabas.client.settings import CLIENT, named

_LISTS: Final = frozenset({"partition.assignment.strategy"})
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
    kinds = {_dotted(field.name): field for field in fields(ConsumerConfig)}
    given = named(config, options, (*kinds, *CLIENT, "bootstrap.servers"))
    addresses = parse_addresses(given.pop("bootstrap.servers", None) or "localhost:9092")
    client: dict[str, Any] = {}
    consumer: dict[str, Any] = {}
    for name, value in given.items():
        if name in kinds:
            field = kinds[name]
            consumer[field.name] = _parsed(name, str(field.type), value)
        if name in CLIENT:
            setting = CLIENT[name]
            parsed = setting.parse(name, value)
            if setting.owner == "client":
                client[setting.field] = parsed
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
            raise ValueError(f"{name}: {value!r} is neither true nor false")
        return _BOOLEANS[text]
    if value is None and kind.endswith("None"):
        return None
    if not isinstance(value, str):
        raise ValueError(f"{name}: {value!r} is no text")
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
        raise ValueError(f"{name}: {value!r} is no number from 0 on") from None
    return number


def _dotted(name: str) -> str:
    return name.replace("_", ".")
