"""One config value: from text to a typed value, its check, and back to text.

The rules are those of Kafka's `ConfigDef`: texts are trimmed, lists are split at commas, and
limits include both ends.
"""

from __future__ import annotations

import re
from typing import TypeAlias, cast

from .keys import ConfigKey

Value: TypeAlias = bool | int | float | str | tuple[str, ...] | None

# Java's String.trim takes off every character up to the space.
_BLANKS = "".join(map(chr, range(33)))
_COMMA = re.compile(r"\s*,\s*", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,20}")
_DOUBLE = re.compile(
    r"[+-]?(?:NaN|Infinity|(?:\d{1,400}\.?\d{0,400}|\.\d{1,400})(?:[eE][+-]?\d{1,6})?[fFdD]?)",
    re.ASCII,
)
_HEX_DOUBLE = re.compile(
    r"[+-]?0[xX](?:[0-9a-fA-F]{1,400}\.?[0-9a-fA-F]{0,400}|\.[0-9a-fA-F]{1,400})"
    r"[pP][+-]?\d{1,6}[fFdD]?",
    re.ASCII,
)
_BITS = {"short": 16, "int": 32, "long": 64}
_HOST_PORT = re.compile(r"(?:[0-9a-zA-Z\-%._]*://)?\[?([0-9a-zA-Z\-%._:]*)\]?:([0-9]+)")
_THROTTLED = re.compile(r"(?:[0-9]+:[0-9]+)?", re.ASCII)
_DURATION = re.compile(
    r"[+-]?P(?=[0-9+\-T])(?:[+-]?[0-9]+D)?(?:T(?=[0-9+\-])(?:[+-]?[0-9]+H)?(?:[+-]?[0-9]+M)?"
    r"(?:[+-]?[0-9]+(?:[.,][0-9]{0,9})?S)?)?",
    re.IGNORECASE | re.ASCII,
)
_MAX_SHOWN = 200


class ConfigError(ValueError):
    """A config that cannot stand: one sentence for each thing that is wrong, in `errors`."""

    def __init__(self, *errors: str) -> None:
        super().__init__("\n".join(errors))
        self.errors: tuple[str, ...] = errors


def trim(text: str) -> str:
    """`text` without blanks and control characters at both ends, as Java trims."""
    return text.strip(_BLANKS)


def split_list(text: str) -> tuple[str, ...]:
    """The entries of a comma separated text; no entries when it is blank."""
    trimmed = trim(text)
    return tuple(_COMMA.split(trimmed)) if trimmed else ()


def read(key: ConfigKey, text: str) -> Value:
    """The checked value of `text` for `key`.

    Raises:
        ConfigError: the text is not of the key's type, or out of its limits.
    """
    value = parse(key, text)
    check(key, value)
    return value


def default(key: ConfigKey) -> Value:
    """The value that holds when `key` is not set."""
    return None if key.default is None else parse(key, key.default)


def parse(key: ConfigKey, text: str) -> Value:
    """The typed value of `text`, without the check of limits.

    Raises:
        ConfigError: the text is not of the key's type.
    """
    match key.type:
        case "boolean":
            return _boolean(key, text)
        case "int" | "short" | "long":
            return _integer(key, text)
        case "double":
            return _double(key, text)
        case "list":
            entries = split_list(text)
            # Kafka drops what is there twice (with a warning) where its list validator checks.
            unique = key.valid is not None and key.valid[0] == "list"
            return tuple(dict.fromkeys(entries)) if unique else entries
        case _:
            return trim(text)


def _boolean(key: ConfigKey, text: str) -> bool:
    lowered = trim(text).lower()
    if lowered not in ("true", "false"):
        raise _invalid(key, text, "it must be true or false")
    return lowered == "true"


def _integer(key: ConfigKey, text: str) -> int:
    trimmed = trim(text)
    bits = _BITS[key.type]
    if _INTEGER.fullmatch(trimmed):
        number = int(trimmed)
        if -(1 << (bits - 1)) <= number < 1 << (bits - 1):
            return number
    raise _invalid(key, text, f"it must be a whole number of {bits} bits")


def _double(key: ConfigKey, text: str) -> float:
    trimmed = trim(text)
    if _HEX_DOUBLE.fullmatch(trimmed):
        return _hex_double(trimmed)
    if not _DOUBLE.fullmatch(trimmed):
        raise _invalid(key, text, "it must be a number")
    if trimmed.endswith(("Infinity", "NaN")):
        return float(trimmed)
    return float(trimmed.rstrip("fFdD"))


def _hex_double(text: str) -> float:
    try:
        return float.fromhex(text.rstrip("fFdD"))
    except OverflowError:  # Java calls it infinite
        return float("-inf" if text[0] == "-" else "inf")


def _invalid(key: ConfigKey, value: object, reason: str) -> ConfigError:
    if key.sensitive:
        return ConfigError(f"The value of {key.name} is not valid: {reason}.")
    shown = ",".join(value) if isinstance(value, tuple) else str(value)
    if len(shown) > _MAX_SHOWN:
        shown = shown[:_MAX_SHOWN] + "…"
    return ConfigError(f"{key.name}={shown} is not valid: {reason}.")


def check(key: ConfigKey, value: Value) -> None:
    """Check a typed value against the limits of `key`.

    Raises:
        ConfigError: the value is out of its limits.
    """
    if key.valid is None:
        return
    rule, *details = key.valid
    problem: str | None
    match rule:
        case "range":
            problem = _check_range(value, details)
        case "list":
            problem = _check_list(value, details)
        case "in":
            allowed = cast("tuple[str, ...]", details[0])
            problem = None if value in allowed else f"it must be one of {', '.join(allowed)}"
        case "in-any-case":
            allowed = cast("tuple[str, ...]", details[0])
            known = isinstance(value, str) and value.upper() in allowed
            problem = None if known else f"it must be one of {', '.join(allowed)}, in any case"
        case _:
            problem = _check_named(cast(str, rule), value)
    if problem is not None:
        raise _invalid(key, value, problem)


def _check_range(value: Value, limits: list[object]) -> str | None:
    if value is None:
        return "it must have a value"
    number = cast(float, value)
    lowest, highest = cast("list[float | None]", limits)
    if lowest is not None and number < lowest:
        return f"it must be at least {lowest}"
    if highest is not None and number > highest:
        return f"it must be at most {highest}"
    return None


def _check_list(value: Value, details: list[object]) -> str | None:
    empty_allowed, null_allowed, allowed = cast("tuple[bool, bool, tuple[str, ...]]", details)
    if value is None:
        return None if null_allowed else "it must have a value"
    entries = cast("tuple[str, ...]", value)
    if not entries and not empty_allowed:
        return "it must have at least one entry"
    if "" in entries:
        return "an entry is empty"
    if allowed and not set(entries) <= set(allowed):
        return f"each entry must be one of {', '.join(allowed)}"
    return None


def _check_named(rule: str, value: Value) -> str | None:
    match rule:
        case "non-null":
            return "it must have a value" if value is None else None
        case "non-empty":
            return "it must not be empty" if value == "" else None
        case "gzip-level":
            level = cast(int, value)
            return None if level == -1 or 1 <= level <= 9 else "it must be 1 to 9, or -1"
        case "throttled-replicas":
            return _check_throttled(cast("tuple[str, ...]", value))
        case "voters":
            return _check_voters(cast("tuple[str, ...]", value))
        case "bootstrap-servers":
            bad = [e for e in cast("tuple[str, ...]", value) if host_port(e) is None]
            return f"{bad[0] or 'an empty entry'} is not host:port" if bad else None
        case "listen-address":
            return _check_listen_address(cast(str, value))
        case "offset-reset":
            return _check_offset_reset(cast(str, value))
        case _:
            raise AssertionError(f"no check named {rule}")


def _check_throttled(entries: tuple[str, ...]) -> str | None:
    replicas = [trim(entry) for entry in entries]
    if all(_THROTTLED.fullmatch(replica) for replica in replicas) or "".join(replicas) == "*":
        return None
    return "it must be * or a list of partition:broker"


def _check_voters(entries: tuple[str, ...]) -> str | None:
    try:
        for entry in entries:
            voter(entry)
    except ConfigError as error:
        return str(error)
    return None


def _check_listen_address(text: str) -> str | None:
    if not text or listen_address(text) is not None:
        return None
    return "it must be host:port, :port for every address, or empty"


def listen_address(text: str) -> tuple[str, int] | None:
    """Host and port to listen on, of `host:port`; an empty host is every address of the machine."""
    found = host_port(text)
    return found if found is not None and "://" not in text and found[1] < 1 << 16 else None


def _check_offset_reset(strategy: str) -> str | None:
    if strategy in ("latest", "earliest"):
        return None
    kind, _, duration = strategy.partition(":")
    if kind == "by_duration" and _DURATION.fullmatch(duration) and "-" not in duration:
        return None
    return "it must be latest, earliest or by_duration: with an ISO 8601 duration"


def host_port(text: str) -> tuple[str, int] | None:
    """Host and port of `host:port`, an IPv6 host in brackets; None when it has another form."""
    found = _HOST_PORT.fullmatch(text)
    if found is None or len(found[2]) > 10 or int(found[2]) >= 1 << 31:
        return None
    return found[1], int(found[2])


def voter(entry: str) -> tuple[int, str, int]:
    """Id, host and port of one entry `id@host:port` of `controller.quorum.voters`.

    Raises:
        ConfigError: the entry has another form.
    """
    number, at, address = entry.partition("@")
    endpoint = host_port(address)
    if not at or "@" in address or endpoint is None or not _INTEGER.fullmatch(number):
        raise ConfigError(f"{entry or 'an empty entry'} is not id@host:port")
    return int(number), endpoint[0], endpoint[1]


def to_text(value: Value) -> str | None:
    """The text of a typed value as Kafka shows it; None stays None."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case int() | str():
            return str(value)
        case float():
            return _double_text(value)
        case tuple():
            return ",".join(value)


def _double_text(number: float) -> str:
    """A double as Java's `Double.toString` writes it: 1.0, 1.0E7, 1.7976931348623157E308."""
    if number != number:
        return "NaN"
    if number in (float("inf"), float("-inf")):
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        return repr(number)
    digits = next((d for d in range(1, 17) if float(f"{number:.{d}e}") == number), 17)
    mantissa, _, exponent = f"{number:.{digits}e}".partition("e")
    return f"{mantissa}E{int(exponent)}"
