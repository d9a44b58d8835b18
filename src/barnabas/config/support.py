"""What this node does with each config that Kafka knows, and whether a file can be started with.

A known name whose value is not built yet stops the start with a sentence; nothing is silently
weaker than the file asks for. What has no effect here by design, or belongs to a part that comes
later and promises nothing until then, is taken without a word: a stock `server.properties` starts
without noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias, cast

from barnabas.quotas.addresses import canonical_address

from . import definitions, dynamic, own, support_table
from .broker import BrokerConfig
from .checks import connection_overrides
from .endpoints import PLAINTEXT
from .values import ConfigError, Value, default, read

Status: TypeAlias = Literal["works", "no effect", "warns", "refused"]


class Support(NamedTuple):
    """What the node does with one config; `note` says why, where it does not simply work."""

    status: Status
    note: str = ""


class Report(NamedTuple):
    """The verdict on a file: with errors the node does not start, warnings are only told."""

    errors: list[str]
    warnings: list[str]


def support_of(name: str) -> Support:
    """What the node does with a known broker config.

    Raises:
        KeyError: no such config.
    """
    if name in own.BROKER or name in support_table.WORKS:
        return Support("works")
    if name in _REFUSED:
        return Support("refused", _REFUSED[name][1])
    if name in _WARNED:
        return Support("warns", _WARNED[name][1])
    if name in definitions.BROKER:
        return Support("no effect", support_table.quiet_reason(name))
    raise KeyError(name)


def topic_support_of(name: str) -> Support:
    """What the node does with a known topic config.

    Raises:
        KeyError: no such config.
    """
    if name not in definitions.TOPIC and name not in own.TOPIC:
        raise KeyError(name)
    status, note = support_table.TOPIC.get(name, ("works", ""))
    return Support(cast(Status, status), note)


_Rule: TypeAlias = tuple[Callable[[Value], bool], str]


def _is(value: Value) -> Callable[[Value], bool]:
    return lambda given: given == value


def _not(*values: Value) -> Callable[[Value], bool]:
    return lambda given: given not in values


def _several(value: Value) -> bool:
    return len(cast("tuple[str, ...]", value)) > 1


def _names_hosts(overrides: Value) -> bool:
    try:
        hosts = connection_overrides(cast(str, overrides))
    except ConfigError:
        return False  # told by the reading of the file
    return any(canonical_address(host) is None for host in hosts)


_JAVA_CLASS = "Java classes cannot be loaded here"

_ASSIGNOR_CLASSES: Final = "org.apache.kafka.coordinator.group.assignor."
_ASSIGNORS: Final = {
    "range",
    "uniform",
    f"{_ASSIGNOR_CLASSES}RangeAssignor",
    f"{_ASSIGNOR_CLASSES}UniformAssignor",
}

# A value for which the first part holds stops the start; the second part says why.
_REFUSED: Final[Mapping[str, _Rule]] = {
    "alter.config.policy.class.name": (_not(None, ""), f"{_JAVA_CLASS}, so no policy can run."),
    "authorizer.class.name": (_not(""), "authorization is not built yet: everybody may do all."),
    "client.quota.callback.class": (_not(None, ""), f"{_JAVA_CLASS}."),
    "config.providers": (_not(()), f"{_JAVA_CLASS}, so ${{…}} would stay unresolved."),
    "controller.quorum.auto.join.enable": (_is(True), "a quorum of several is not built yet."),
    "controller.quorum.bootstrap.servers": (_several, "a quorum of several is not built yet."),
    "controller.quorum.voters": (_several, "a quorum of several voters is not built yet."),
    "create.topic.policy.class.name": (_not(None, ""), f"{_JAVA_CLASS}, so no policy can run."),
    "delegation.token.secret.key": (_not(None), "delegation tokens are not built yet."),
    "group.consumer.assignors": (
        lambda names: not set(cast("tuple[str, ...]", names)) <= _ASSIGNORS,
        f"{_JAVA_CLASS}; there are uniform and range.",
    ),
    "kafka.metrics.reporters": (_not(()), f"{_JAVA_CLASS}."),
    "max.connections.per.ip.overrides": (
        _names_hosts,
        "host names are not looked up; write their addresses.",
    ),
    "metric.reporters": (
        _not((), ("org.apache.kafka.common.metrics.JmxReporter",)),
        f"{_JAVA_CLASS}.",
    ),
    "principal.builder.class": (
        _not(default(definitions.BROKER["principal.builder.class"])),
        f"{_JAVA_CLASS}.",
    ),
    "process.roles": (
        lambda roles: set(cast("tuple[str, ...]", roles)) != {"broker", "controller"},
        "a node with one role alone is not built yet; use broker,controller.",
    ),
    "remote.log.storage.system.enable": (_is(True), "tiered storage is not built yet."),
    "replica.selector.class": (
        _not(None, "", "org.apache.kafka.common.replica.RackAwareReplicaSelector"),
        f"{_JAVA_CLASS}.",
    ),
    "security.inter.broker.protocol": (_not(PLAINTEXT), "TLS and SASL are not built yet."),
}

# A value for which the first part holds is taken, and the second part told.
_WARNED: Final[Mapping[str, _Rule]] = {
    "default.replication.factor": (
        lambda factor: cast(int, factor) > 1,
        "one node holds one replica; topics that are created automatically will fail.",
    ),
    "log.preallocate": (_is(True), "segments are not preallocated."),
    "transaction.two.phase.commit.enable": (
        _is(True),
        "the request that asks for it (KIP-939) is unstable.",
    ),
    "unstable.api.versions.enable": (_is(True), "there are no unstable versions here."),
    "unstable.feature.versions.enable": (_is(True), "there are no unstable versions here."),
}


def refusal(name: str, text: str) -> str | None:
    """Why a node cannot run with `name`=`text`, as a sentence; None when it can."""
    return _sentence(_REFUSED, name, text)


def _sentence(rules: Mapping[str, _Rule], name: str, text: str) -> str | None:
    base = dynamic.listener_base(name) or name
    key = definitions.BROKER.get(base)
    if key is None or base not in rules:
        return None
    applies, reason = rules[base]
    try:
        value = read(key, text)
    except ConfigError:
        return None  # told by the reading of the file
    shown = "" if key.sensitive else f"={text}"
    return f"{name}{shown}: {reason}" if applies(value) else None


def check(properties: Mapping[str, str]) -> Report:
    """Say whether a node can start with `properties`, and what to tell its operator."""
    errors: list[str] = []
    warnings: list[str] = []
    config: BrokerConfig | None = None
    try:
        config = BrokerConfig.from_properties(properties)
    except ConfigError as error:
        errors += error.errors
    for name, text in properties.items():
        refused = refusal(name, text)
        if refused is not None:
            errors.append(refused)
        warned = _sentence(_WARNED, name, text)
        if warned is not None:
            warnings.append(warned)
        if dynamic.key_of(name) is None:
            (errors if name.startswith(own.PREFIX) else warnings).extend(_unknown(name))
    if config is not None:
        errors += secure_listeners(config)
        warnings += _timing(config)
    return Report(errors, warnings)


def dynamic_refusals(config: BrokerConfig) -> list[str]:
    """Why the node cannot run with the dynamic configs that its metadata log holds.

    A directory that Apache Kafka wrote may ask at run time for what is not built here; like the
    same line in a file, that stops the start.
    """
    levels = {**config.cluster, **config.broker}
    sentences = (refusal(name, text) for name, text in sorted(levels.items()))
    return [sentence for sentence in sentences if sentence is not None] + list(
        secure_listeners(config)
    )


def secure_listeners(config: BrokerConfig) -> Iterator[str]:
    """A sentence for each listener of a protocol that is not built."""
    for endpoint in config.listeners:
        if endpoint.protocol != PLAINTEXT:
            yield (
                f"Listener {endpoint.name} uses {endpoint.protocol}: TLS and SASL are not built "
                "yet; this node can only open PLAINTEXT listeners."
            )


def _timing(config: BrokerConfig) -> Iterator[str]:
    if config.get_int("broker.heartbeat.interval.ms") * 2 > config.get_int(
        "broker.session.timeout.ms"
    ):
        yield "broker.heartbeat.interval.ms is more than half of broker.session.timeout.ms."


def _unknown(name: str) -> Iterator[str]:
    """A sentence for a name that is nobody's; none for what Kafka's own plug-ins read."""
    removed = support_table.removed_in(name)
    if removed is not None:
        yield f"{name} is ignored: it was removed in Apache Kafka {removed}."
        return
    if support_table.belongs_to_plugin(name):
        return
    nearest = nearest_name(name)
    hint = f" Did you mean {nearest}?" if nearest else ""
    verb = "is not valid" if name.startswith(own.PREFIX) else "is ignored"
    yield f"{name} {verb}: no config has this name.{hint}"


def nearest_name(name: str) -> str | None:
    """The known broker config whose name is most like `name`; None when none is."""
    # Costs milliseconds to import, and is needed only for a name that is wrong.
    from difflib import get_close_matches

    known = [*own.BROKER, *definitions.BROKER]
    return next(iter(get_close_matches(name, known, n=1, cutoff=0.75)), None)
