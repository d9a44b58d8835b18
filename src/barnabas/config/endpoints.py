"""Listeners: what `listeners`, `advertised.listeners` and the maps around them mean together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from .values import ConfigError

PLAINTEXT: Final = "PLAINTEXT"
PROTOCOLS: Final = (PLAINTEXT, "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_SECURE: Final = frozenset(PROTOCOLS) - {PLAINTEXT}
DEFAULT_MAP: Final[Mapping[str, str]] = MappingProxyType({name: name for name in PROTOCOLS})

ANY_ADDRESS: Final = "0.0.0.0"
ANY_IPV6: Final = "::"

_ENDPOINT = re.compile(r"(.*)://\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]{1,10})", re.DOTALL)
_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")


class Endpoint(NamedTuple):
    """One listener: its name in upper case, its security protocol, and where it listens.

    `host` is None for every address of the machine.
    """

    name: str
    protocol: str
    host: str | None
    port: int

    @property
    def everywhere(self) -> bool:
        """Whether it stands for every address of the machine, which no client can be told."""
        return self.host is None or self.host == ANY_IPV6

    def __str__(self) -> str:
        host = self.host or ""
        return f"{self.name}://{f'[{host}]' if ':' in host else host}:{self.port}"


def parse_map(text: str) -> dict[str, str]:
    """Listener name to security protocol, from the text of `listener.security.protocol.map`.

    Raises:
        ConfigError: an entry is not `name:protocol`, or the protocol is unknown.
    """
    result: dict[str, str] = {}
    for entry in filter(None, re.split(r"\s*,\s*", text.strip())):
        name, colon, protocol = entry.rpartition(":")
        if not colon or protocol.strip().upper() not in PROTOCOLS:
            raise ConfigError(
                f"listener.security.protocol.map={text} is not valid: {entry} is not NAME:PROTOCOL "
                f"with one of {', '.join(PROTOCOLS)}."
            )
        result[name.strip().upper()] = protocol.strip().upper()
    return result


def protocol_map(
    explicit: str | None, listeners: Sequence[str], controller_names: Sequence[str]
) -> dict[str, str]:
    """The security protocol of each listener name.

    Without `listener.security.protocol.map`, each protocol names its own listener, and controller
    listeners with names of their own are PLAINTEXT as long as nothing in sight is encrypted or
    authenticated (KIP-1063).

    Raises:
        ConfigError: the map is malformed.
    """
    if explicit is not None:
        return parse_map(explicit)
    result = dict(DEFAULT_MAP)
    in_sight = [*controller_names, *(entry.partition(":")[0].upper() for entry in listeners)]
    if not any(name in _SECURE for name in in_sight):
        result |= dict.fromkeys(controller_names, PLAINTEXT)
    return result


def parse_endpoints(
    config: str, entries: Sequence[str], protocols: Mapping[str, str], *, distinct_ports: bool
) -> tuple[Endpoint, ...]:
    """The endpoints of the entries `NAME://host:port` of the config named `config`.

    Raises:
        ConfigError: an entry has another form, its name has no protocol, a name is there twice,
            or (`distinct_ports`) a port is, other than once for IPv4 and once for IPv6.
    """
    endpoints: list[Endpoint] = []
    for entry in entries:
        found = _ENDPOINT.fullmatch(entry)
        if found is None or not -1 << 31 <= int(found[3]) < 1 << 31:
            raise ConfigError(f"{config}: {entry} is not NAME://host:port.")
        name = found[1].upper()
        if name not in protocols:
            raise ConfigError(
                f"{config}: listener {name} has no security protocol; "
                "add it to listener.security.protocol.map."
            )
        endpoints.append(Endpoint(name, protocols[name], found[2] or None, int(found[3])))
    names = [endpoint.name for endpoint in endpoints]
    if len(set(names)) != len(names):
        raise ConfigError(f"{config}: each listener needs a name of its own.")
    if distinct_ports:
        _check_ports(config, endpoints)
    return tuple(endpoints)


def _check_ports(config: str, endpoints: Sequence[Endpoint]) -> None:
    for port in {endpoint.port for endpoint in endpoints} - {0}:
        families = [_family(endpoint.host) for endpoint in endpoints if endpoint.port == port]
        if len(families) > 1 and sorted(families) != ["4", "6"]:
            raise ConfigError(
                f"{config}: port {port} is there more than once; only one IPv4 and one IPv6 "
                "address may share a port."
            )


def _family(host: str | None) -> str:
    """'4' or '6' for a literal address, '' for a name or every address."""
    if host is None:
        return ""
    if ":" in host:
        return "6"
    return "4" if _IPV4.fullmatch(host) and max(map(int, host.split("."))) < 256 else ""
