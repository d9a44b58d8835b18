"""From the options of `barnabas start` to a node's properties. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from barnabas.cli.options import DEFAULT_PORT, format_address, parse_address
from barnabas.config.broker import default_properties
from barnabas.config.own import METRICS_LISTENER

DEFAULT_HOST = "localhost"
DEFAULT_DATA = "./data"
_EVERYWHERE = frozenset({"0.0.0.0", "::", "*"})


class StartOptions(NamedTuple):
    """What the command line says; None where it says nothing. `data` is absolute."""

    data: str | None
    host: str | None
    port: int | None
    advertise: str | None
    metrics_port: int | None
    overrides: Mapping[str, str]


def node_properties(
    file: Mapping[str, str] | None, options: StartOptions, default_data: str
) -> dict[str, str]:
    """The properties of the node: the file (or defaults), then options, then overrides."""
    if file is None:
        port = DEFAULT_PORT if options.port is None else options.port
        # The controller stays on loopback, whatever host the clients are offered.
        properties = default_properties(
            default_data, host=DEFAULT_HOST, port=port, controller_port=port + 1 if port else 0
        )
    else:
        properties = dict(file)
    if options.data is not None:
        properties.pop("log.dir", None)
        properties["log.dirs"] = options.data
    if options.host is not None or options.port is not None:
        properties["listeners"] = _moved(properties, options)
    if options.advertise is not None:
        name = _client_listener(properties)
        host, port = parse_address(options.advertise)
        properties["advertised.listeners"] = f"{name}://{format_address(host, port)}"
    if options.metrics_port is not None:
        host = DEFAULT_HOST if options.host is None else options.host
        properties[METRICS_LISTENER] = f"{_literal(host)}:{options.metrics_port}"
    properties.update(options.overrides)
    return properties


def everywhere(options: StartOptions) -> StartOptions:
    """For a container about which nothing is said: listen on every address, and tell clients that
    they reach the mapped port on localhost, as Kafka's image does."""
    port = DEFAULT_PORT if options.port is None else options.port
    return options._replace(
        host=options.host or "0.0.0.0",
        advertise=options.advertise or (f"localhost:{port}" if port else None),
    )


def _entries(properties: Mapping[str, str]) -> list[str]:
    listeners = properties.get("listeners", f"PLAINTEXT://:{DEFAULT_PORT}")
    return [entry.strip() for entry in listeners.split(",") if entry.strip()]


def _client_listener(properties: Mapping[str, str]) -> str:
    """The name of the first listener that is for clients."""
    controllers = properties.get("controller.listener.names", "").upper().split(",")
    names = [entry.partition("://")[0].upper() for entry in _entries(properties)]
    ours = [name for name in names if name not in {c.strip() for c in controllers}]
    return ours[0] if ours else "PLAINTEXT"


def _literal(host: str) -> str:
    """A host as listeners spell it; empty for every address of the machine.

    Kafka would have clients told 0.0.0.0; an empty host has them told the address they reached.
    """
    if host in _EVERYWHERE:
        return ""
    return f"[{host}]" if ":" in host else host


def _moved(properties: Mapping[str, str], options: StartOptions) -> str:
    """The listeners of a file, the first one for clients moved to the host and port asked for."""
    name = _client_listener(properties)
    moved: list[str] = []
    for entry in _entries(properties):
        label, _, address = entry.partition("://")
        if label.upper() == name:
            host, _, port = address.rpartition(":")
            if options.host is not None:
                host = _literal(options.host)
            entry = f"{label}://{host}:{port if options.port is None else options.port}"
        moved.append(entry)
    return ",".join(moved)
