"""Broker configs that change at run time: which may, where, and what they override.

Order of precedence: set for one broker, set for all brokers, static file, default.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Final, cast

from . import definitions, own
from .keys import ConfigKey
from .values import ConfigError, read

_HOURS: Final = ("log.roll.ms", "log.roll.hours")
_JITTER: Final = ("log.roll.jitter.ms", "log.roll.jitter.hours")
_RETENTION: Final = ("log.retention.ms", "log.retention.minutes", "log.retention.hours")
_FLUSH: Final = ("log.flush.interval.ms", "log.flush.scheduler.interval.ms")
_LISTENER: Final = "listener.name."


def key_of(name: str) -> ConfigKey | None:
    """The definition of a broker config, Kafka's or ours; None for an unknown name.

    `listener.name.L.C` and `listener.name.L.MECHANISM.C` have the definition of C.
    """
    found = definitions.BROKER.get(name) or own.BROKER.get(name)
    if found is not None:
        return found
    base = listener_base(name)
    return None if base is None else definitions.BROKER.get(base)


def listener_base(name: str) -> str | None:
    """The config C of `listener.name.L.C` or `listener.name.L.MECHANISM.C`, else None."""
    if not name.startswith(_LISTENER):
        return None
    _, dot, base = name[len(_LISTENER) :].partition(".")
    if not dot:
        return None
    return next((c for c in sorted(definitions.LISTENER_MECHANISM) if base.endswith(c)), base)


def synonyms(name: str, *, listeners: bool = True) -> tuple[str, ...]:
    """The broker configs that give a value to `name`, in the order in which they win.

    `listeners`: whether a listener's config has the config without prefix as a synonym.
    """
    if name in _HOURS:
        return _HOURS
    if name in _JITTER:
        return _JITTER
    if name in _RETENTION:
        return _RETENTION
    if name == _FLUSH[0]:
        return _FLUSH
    base = listener_base(name) if listeners else None
    return (name,) if base is None else (name, base)


def override(properties: MutableMapping[str, str], changes: Mapping[str, str]) -> None:
    """Lay `changes` over `properties`.

    Synonyms of what is set now go away, so that a config of a higher level wins over one of a
    lower level even when its name comes later in the order of synonyms.
    """
    for name, value in changes.items():
        for synonym in synonyms(name, listeners=False):
            properties.pop(synonym, None)
        properties[name] = value


def applicable(stored: Mapping[str, str], *, per_broker: bool) -> dict[str, str]:
    """What of the dynamic configs in the metadata log takes effect; the rest is left out.

    Values that do not parse, static names, and names at the wrong level can stand in a log of
    another release; Kafka ignores them likewise.
    """
    return {
        name: value
        for name, value in stored.items()
        if problem(name, value, per_broker=per_broker) is None
    }


def problem(name: str, value: str, *, per_broker: bool) -> str | None:
    """Why `name`=`value` may not be set at run time, as a sentence; None when it may.

    Unknown names may be set, as with Kafka: plug-ins read them.
    """
    base = listener_base(name)
    own_key = own.BROKER.get(name)
    exact = definitions.BROKER.get(name)
    if own_key is not None or (exact is not None and exact.dynamic == "R"):
        return f"{name} cannot change at run time; set it in the file and start the node again."
    if exact is not None and exact.dynamic == "L":
        return f"{name} can change at run time only with a listener's prefix, listener.name.NAME."
    if not per_broker and _is_per_broker(exact, base):
        return f"{name} can be set for one broker only, not for the whole cluster."
    key = exact if base is None else definitions.BROKER.get(base)
    if key is None or (key.dynamic == "R" and base is not None):
        return None  # Kafka leaves listener configs outside the dynamic set unparsed here
    try:
        read(key, value)
    except ConfigError as error:
        return str(error)
    return None


def _is_per_broker(exact: ConfigKey | None, base: str | None) -> bool:
    if base is not None:
        return base not in definitions.CLUSTER_LEVEL_LISTENER
    return exact is not None and exact.dynamic == "B"


def is_dynamic(name: str) -> bool:
    """Whether DescribeConfigs calls the broker config changeable (not read-only)."""
    key = definitions.BROKER.get(name)
    return key is not None and key.dynamic != "R"


_CLAMPED: Final = tuple(
    (
        f"group.{kind}.assignment.interval.ms",
        f"group.{kind}.min.assignment.interval.ms",
        f"group.{kind}.max.assignment.interval.ms",
    )
    for kind in ("consumer", "share", "streams")
)


def clamp(originals: MutableMapping[str, str]) -> None:
    """Bring assignment intervals that were set at run time back between their static limits."""
    for name, lowest, highest in _CLAMPED:
        if name in originals:
            low, value, high = (_int(originals, each) for each in (lowest, name, highest))
            originals[name] = str(max(low, min(high, value)))


def _int(originals: Mapping[str, str], name: str) -> int:
    key = definitions.BROKER[name]
    text = originals.get(name, key.default)
    return cast(int, read(key, cast(str, text)))
