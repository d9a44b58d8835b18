"""DescribeConfigs: the entries of a topic, a broker, the cluster, a group, a metrics subscription.

Same names, values, types, sources and synonyms as Apache Kafka 4.3.1 answers, sorted by name (Kafka
keeps no order).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from . import definitions, dynamic, own, topics
from .broker import BrokerConfig
from .keys import ConfigKey
from .values import ConfigError, read, to_text, trim


class Source(IntEnum):
    """Where a value comes from, as on the wire."""

    UNKNOWN = 0
    TOPIC = 1
    DYNAMIC_BROKER = 2
    DYNAMIC_DEFAULT_BROKER = 3
    STATIC_BROKER = 4
    DEFAULT = 5
    DYNAMIC_BROKER_LOGGER = 6
    CLIENT_METRICS = 7
    GROUP = 8


TYPE_IDS: Final[Mapping[str, int]] = {
    "boolean": 1,
    "string": 2,
    "int": 3,
    "short": 4,
    "long": 5,
    "double": 6,
    "list": 7,
    "class": 8,
    "password": 9,
}
"""Numbers of the types on the wire; 0 is an unknown type."""


class Synonym(NamedTuple):
    """One place that gives an entry a value; the first one of an entry wins."""

    name: str
    value: str | None
    source: Source


class Entry(NamedTuple):
    """One described config. `value` is None when it is unset or sensitive."""

    name: str
    value: str | None
    source: Source
    type_id: int
    sensitive: bool
    read_only: bool
    synonyms: tuple[Synonym, ...]


def describe_topic(
    config: BrokerConfig, overrides: Mapping[str, str], names: Sequence[str] | None = None
) -> list[Entry]:
    """The configs of a topic with `overrides` of its own; `names` None or empty = all."""
    shown = [key.name for key in definitions.TOPIC.values() if not key.hidden]
    return [_topic_entry(config, overrides, name) for name in _select(shown, overrides, names)]


def _topic_entry(config: BrokerConfig, overrides: Mapping[str, str], name: str) -> Entry:
    key = topics.key_of(name)
    value = None if key is None else _topic_value(config, overrides, key)
    primary = definitions.TOPIC_SYNONYMS.get(name)
    behind = () if primary is None else _broker_synonyms(config, primary[0][0])
    return _entry(name, key, value, overrides, Source.TOPIC, behind)


def _topic_value(config: BrokerConfig, overrides: Mapping[str, str], key: ConfigKey) -> str | None:
    try:
        return to_text(topics.effective(config, overrides, key.name))
    except ConfigError:  # an override of another release
        return to_text(topics.node_value(config, key.name))


def _entry(
    name: str,
    key: ConfigKey | None,
    value: str | None,
    overrides: Mapping[str, str],
    source: Source,
    behind: Iterable[Synonym],
) -> Entry:
    """An entry of a resource whose own values go before the synonyms `behind`."""
    sensitive = key is None or key.sensitive
    shown = None if sensitive else value
    first = (Synonym(name, shown, source),) if name in overrides else ()
    synonyms = (*first, *behind)
    return Entry(
        name=name,
        value=shown,
        source=synonyms[0].source if synonyms else Source.DEFAULT,
        type_id=0 if key is None else TYPE_IDS[key.type],
        sensitive=sensitive,
        read_only=False,
        synonyms=synonyms,
    )


def _select(known: Iterable[str], also: Iterable[str], names: Sequence[str] | None) -> list[str]:
    """The names to describe: what always shows and what is set, if asked for."""
    everything = {*known, *also}
    return sorted(everything.intersection(names) if names else everything)


def describe_broker(config: BrokerConfig, names: Sequence[str] | None = None) -> list[Entry]:
    """The configs of this broker; `names` None or empty = all."""
    shown = [k.name for k in definitions.BROKER.values() if not k.hidden and k.dynamic != "D"]
    return [
        _broker_entry(config, name, _broker_synonyms(config, name))
        for name in _select(shown, config.originals, names)
    ]


def describe_cluster(config: BrokerConfig, names: Sequence[str] | None = None) -> list[Entry]:
    """The dynamic configs that hold for all brokers; `names` None or empty = all."""
    entries = []
    for name in _select((), config.cluster, names):
        synonyms = tuple(
            synonym
            for synonym in _broker_synonyms(config, name)
            if synonym.source is Source.DYNAMIC_DEFAULT_BROKER
        )
        entry = _broker_entry(config, name, synonyms)
        value = None if entry.sensitive else config.cluster[name]
        entries.append(entry._replace(value=value))
    return entries


def _broker_entry(config: BrokerConfig, name: str, synonyms: tuple[Synonym, ...]) -> Entry:
    key = dynamic.key_of(name)
    sensitive = key is None or key.sensitive
    return Entry(
        name=name,
        value=None if sensitive else _broker_value(config, name),
        source=synonyms[0].source if synonyms else Source.DEFAULT,
        type_id=0 if key is None else TYPE_IDS[key.type],
        sensitive=sensitive,
        read_only=not dynamic.is_dynamic(name),
        synonyms=synonyms,
    )


def _broker_value(config: BrokerConfig, name: str) -> str | None:
    """The effective value; the text as given where Kafka does not parse it for this answer."""
    key = definitions.BROKER.get(name)
    if key is None or key.hidden or key.dynamic == "D":
        return config.originals.get(name)
    return to_text(config.value(name))


def _broker_synonyms(config: BrokerConfig, name: str) -> tuple[Synonym, ...]:
    """All places that give the broker config `name` a value, the one in force first.

    Those before the first of this very name are left out, as Kafka leaves them out.
    """
    key = dynamic.key_of(name)
    sensitive = key is None or key.sensitive
    found = [
        Synonym(each, None if sensitive else value, source)
        for source, level in (*_levels(config), (Source.DEFAULT, _DEFAULTS))
        for each in dynamic.synonyms(name)
        if (value := level.get(each)) is not None
    ]
    own_name = next((i for i, synonym in enumerate(found) if synonym.name == name), len(found))
    return tuple(found[own_name:])


class _Defaults(Mapping[str, str]):
    """Texts of the defaults of broker configs."""

    def __getitem__(self, name: str) -> str:
        key = definitions.BROKER.get(name) or own.BROKER.get(name)
        if key is None or key.default is None or key.dynamic == "D":
            raise KeyError(name)
        return key.default

    def __iter__(self) -> Iterator[str]:
        return (key.name for key in definitions.BROKER.values() if key.default is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


_DEFAULTS: Final = _Defaults()


def describe_group(
    config: BrokerConfig, overrides: Mapping[str, str], names: Sequence[str] | None = None
) -> list[Entry]:
    """The configs of a group with `overrides` of its own; `names` None or empty = all."""
    entries = []
    for name in _select(definitions.GROUP, overrides, names):
        key = definitions.GROUP.get(name)
        broker = definitions.GROUP_SYNONYMS.get(name)
        if broker is not None:
            behind = _broker_synonyms(config, broker)
        elif key is not None and key.default is not None:
            behind = (Synonym(name, key.default, Source.DEFAULT),)
        else:
            behind = ()
        value = None if key is None else _group_value(config, overrides, key, broker)
        entries.append(_entry(name, key, value, overrides, Source.GROUP, behind))
    return entries


def _group_value(
    config: BrokerConfig, overrides: Mapping[str, str], key: ConfigKey, broker: str | None
) -> str | None:
    otherwise = key.default if broker is None else to_text(config.value(broker))
    return _read_or(key, overrides.get(key.name), otherwise)


def _read_or(key: ConfigKey, text: str | None, otherwise: str | None) -> str | None:
    """The value of `text`; `otherwise` when it is not set, or not valid (of another release)."""
    if text is None:
        return otherwise
    try:
        return to_text(read(key, text))
    except ConfigError:
        return otherwise


def describe_client_metrics(
    overrides: Mapping[str, str], names: Sequence[str] | None = None
) -> list[Entry]:
    """The configs of a subscription to clients' metrics; `names` None or empty = all."""
    entries = []
    for name in _select(definitions.CLIENT_METRICS, overrides, names):
        key = definitions.CLIENT_METRICS.get(name)
        value = None if key is None else _read_or(key, overrides.get(name), key.default)
        entry = _entry(name, key, value, overrides, Source.CLIENT_METRICS, ())
        entries.append(entry._replace(sensitive=False))
    return entries


def describe_loggers(levels: Mapping[str, str], names: Sequence[str] | None = None) -> list[Entry]:
    """The level of each logger; `names` None or empty = all."""
    return [
        Entry(
            name=name,
            value=levels[name],
            source=Source.DYNAMIC_BROKER_LOGGER,
            type_id=0,
            sensitive=False,
            read_only=False,
            synonyms=(),
        )
        for name in _select(levels, (), names)
    ]


def describe_created_topic(config: BrokerConfig, overrides: Mapping[str, str]) -> list[Entry]:
    """The configs that CreateTopics answers with, as the controller resolves them (KIP-525).

    Other than `describe_topic` it gives texts as they were set, and names the level that a value
    comes from whichever of several broker configs gives it.
    """
    names = {key.name for key in definitions.TOPIC.values() if not key.hidden} | set(overrides)
    return [_created_entry(config, overrides, name) for name in sorted(names)]


def _created_entry(config: BrokerConfig, overrides: Mapping[str, str], name: str) -> Entry:
    key = topics.key_of(name)
    value, source = _resolve(config, overrides, name)
    return Entry(
        name=name,
        value=value,
        source=source,
        type_id=0 if key is None else TYPE_IDS[key.type],
        sensitive=False,
        read_only=False,
        synonyms=(),
    )


def _resolve(
    config: BrokerConfig, overrides: Mapping[str, str], name: str
) -> tuple[str | None, Source]:
    if name in overrides:
        return overrides[name], Source.TOPIC
    for source, level in _levels(config):
        for broker_name, factor in definitions.TOPIC_SYNONYMS.get(name, ()):
            if broker_name in level:
                text = level[broker_name]
                return (text if factor == 1 else str(int(trim(text)) * factor)), source
    key = topics.key_of(name)
    return (None if key is None else key.default), Source.DEFAULT


def _levels(config: BrokerConfig) -> tuple[tuple[Source, Mapping[str, str]], ...]:
    return (
        (Source.DYNAMIC_BROKER, config.broker),
        (Source.DYNAMIC_DEFAULT_BROKER, config.cluster),
        (Source.STATIC_BROKER, config.static),
    )
