"""What is done behind a committed offset, as the metadata of that offset.

A commit says that everything below it is done. Where records are worked on side by side, some
behind it are done, too; so that a crash does not repeat them, the commit's metadata names them, in
one of two forms, whichever is shorter: the lengths of runs (not done, done, not done, done, ...) as
variable-length integers, or a bit for each offset. Other clients leave metadata alone.

    barnabas1r:BASE64   runs
    barnabas1b:BASE64   bits, the lowest first; 1: done
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

MAX_CHARS = 4096
"""Kafka's default of offset.metadata.max.bytes."""
RUNS = "barnabas1r:"
BITS = "barnabas1b:"
_MOST_BYTES = (MAX_CHARS - len(RUNS)) // 4 * 3
BITS_SPAN = 24_000
"""So many offsets always fit as bits."""
RUNS_FIT = 300
"""So many pairs of runs always fit: a length below 2^35 takes five bytes at most."""
_MOST_MISSING = 1 << 20
"""More than are ever held at once; a number that is larger is damage."""


class Gaps(NamedTuple):
    """What is done behind a position: all below `frontier` but what is in `missing`."""

    frontier: int
    missing: tuple[int, ...]
    """Sorted; below `frontier`."""


NOTHING = Gaps(0, ())


def encode(position: int, missing: Iterable[int], frontier: int) -> str:
    """The metadata for a commit of `position`; empty when nothing behind it is done.

    `missing` (sorted, the first is `position`) is what is not done below `frontier`. What does not
    fit is left out from the end: it would be done again.
    """
    holes = _holes(missing, frontier)
    if holes and holes[-1][1] == frontier:  # nothing is done behind the last one
        frontier = holes.pop()[0]
    if not holes:
        return ""
    runs = bytearray()
    whole = True
    for (start, end), (following, _) in pairwise([*holes, (frontier, frontier)]):
        pair = _varint(end - start) + _varint(following - end)
        if len(runs) + len(pair) > _MOST_BYTES:
            whole = False
            break
        runs += pair
    span = frontier - position
    if span <= BITS_SPAN and (not whole or (span + 7) // 8 < len(runs)):
        return BITS + b64encode(_bits(position, holes, span)).decode()
    return RUNS + b64encode(runs).decode()


def _holes(missing: Iterable[int], frontier: int) -> list[tuple[int, int]]:
    """Spans of neighbours: from, up to."""
    found: list[tuple[int, int]] = []
    start = end = -1
    for offset in missing:
        if offset >= frontier:
            break
        if offset != end:
            if end >= 0:
                found.append((start, end))
            start = offset
        end = offset + 1
    if end >= 0:
        found.append((start, end))
    return found


def _bits(position: int, holes: Iterable[tuple[int, int]], span: int) -> bytes:
    done = (1 << span) - 1
    for start, end in holes:
        done &= ~(((1 << (end - start)) - 1) << (start - position))
    return done.to_bytes((span + 7) // 8, "little")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode(position: int, metadata: str) -> Gaps:
    """What a commit's metadata says is done; `NOTHING` for what is not ours or is damaged."""
    prefix, text = metadata[: len(RUNS)], metadata[len(RUNS) :]
    if prefix not in (RUNS, BITS):
        return NOTHING
    try:
        data = b64decode(text, validate=True)
        return _from_runs(position, data) if prefix == RUNS else _from_bits(position, data)
    except (Base64Error, ValueError):
        return NOTHING


def _from_runs(position: int, data: bytes) -> Gaps:
    missing: list[int] = []
    at, run, shift, is_done = position, 0, 0, False
    for byte in data:
        run |= (byte & 0x7F) << shift
        shift += 7
        if byte & 0x80:
            continue
        if not is_done:
            if run > _MOST_MISSING - len(missing):
                raise ValueError("more than is ever written")
            missing += range(at, at + run)
        at += run
        run, shift, is_done = 0, 0, not is_done
    if shift or is_done:
        raise ValueError("cut short")
    return Gaps(at, tuple(missing))


def _from_bits(position: int, data: bytes) -> Gaps:
    done = int.from_bytes(data, "little")
    span = done.bit_length()
    text = f"{done:b}"[::-1]
    return Gaps(position + span, tuple(position + at for at in range(span) if text[at] == "0"))
