"""Which partition of an internal topic is responsible for a group or a transactional id."""

from __future__ import annotations

_UNITS = "utf-16-be"


def java_hash(text: str) -> int:
    """`String.hashCode` of Java: over UTF-16 code units, a signed 32-bit number."""
    value = 0
    if text.isascii():
        for byte in text.encode():
            value = (31 * value + byte) & 0xFFFFFFFF
    else:
        units = text.encode(_UNITS, "surrogatepass")
        for at in range(0, len(units), 2):
            value = (31 * value + (units[at] << 8 | units[at + 1])) & 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value


def partition_for(name: str, partitions: int) -> int:
    """The partition of an internal topic that coordinates `name`.

    Kafka takes the arithmetic absolute value of the hash, and 0 for the one that has none.
    """
    value = abs(java_hash(name))
    return 0 if value == 1 << 31 else value % partitions
