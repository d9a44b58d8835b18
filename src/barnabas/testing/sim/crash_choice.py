"""What a power loss may leave of pending operations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from itertools import pairwise, permutations, product
from random import Random
from typing import NamedTuple

from barnabas.testing.sim.disk_model import DiskModel, FileNode, FileOp, NameOp, Write, apply_op

SECTOR = 512
"""A device writes this much or nothing of it (bytes, aligned in the file)."""


class Fate(IntEnum):
    """What became of one operation."""

    LOST = 0
    APPLIED = 1
    TORN = 2
    """Some of its sectors only."""
    ZEROED = 3
    """The new length without the bytes."""


class Outcome(NamedTuple):
    """A fate; for TORN the surviving range, and whether the new length survived too."""

    fate: Fate
    start: int = 0
    end: int = 0
    full_length: bool = False


LOST = Outcome(Fate.LOST)
APPLIED = Outcome(Fate.APPLIED)
ZEROED = Outcome(Fate.ZEROED)


def outcomes(op: FileOp, *, max_tears: int) -> list[Outcome]:
    """Every fate of `op`; tears at each sector bound, at most `max_tears` bounds spread evenly."""
    if not isinstance(op, Write) or not op.data:
        return [LOST, APPLIED]
    found = [LOST, APPLIED, ZEROED]
    for bound in spread(sector_bounds(op), max_tears):
        found.append(Outcome(Fate.TORN, 0, bound))
        found.append(Outcome(Fate.TORN, 0, bound, full_length=True))
        found.append(Outcome(Fate.TORN, bound, len(op.data), full_length=True))
    return found


def sector_bounds(op: Write) -> range:
    """Offsets inside the data where a sector of the file begins."""
    return range(-op.position % SECTOR or SECTOR, len(op.data), SECTOR)


def spread(bounds: range, limit: int) -> Iterable[int]:
    """At most `limit` of `bounds`, first and last among them."""
    count = len(bounds)
    if count <= limit:
        return bounds
    if limit <= 1:
        return bounds[:limit]
    return [bounds[i * (count - 1) // (limit - 1)] for i in range(limit)]


def apply_outcome(content: bytearray, op: FileOp, outcome: Outcome) -> None:
    """Do to `content` what is left of `op`."""
    fate = outcome.fate
    if fate == Fate.APPLIED:
        apply_op(content, op)
    elif fate == Fate.LOST or not isinstance(op, Write):
        return
    else:
        end = op.position + len(op.data)
        if fate == Fate.TORN:
            part = op.data[outcome.start : outcome.end]
            apply_op(content, Write(op.position + outcome.start, part))
        if (fate == Fate.ZEROED or outcome.full_length) and end > len(content):
            content.extend(bytes(end - len(content)))


def conflict(ops: Sequence[FileOp]) -> bool:
    """Whether the order of `ops` matters: overlapping writes, or a cut among several."""
    if len(ops) < 2:
        return False
    spans = []
    for op in ops:
        if not isinstance(op, Write):
            return True
        spans.append((op.position, op.position + len(op.data)))
    spans.sort()
    return any(left[1] > right[0] for left, right in pairwise(spans))


def contents_after(
    node: FileNode, *, limit: int, max_tears: int, random: Random
) -> tuple[list[bytes], bool]:
    """(distinct contents that a power loss may leave of a file, whether that is all of them).

    Exhaustive over fates, and over orders where order matters, while that stays below `limit`
    combinations; else `limit` seeded ones. The first is all lost, the second (when it differs)
    all applied.
    """
    ops = node.pending
    found: dict[bytes, None] = {bytes(node.durable): None}
    everything = bytearray(node.durable)
    for op in ops:
        apply_op(everything, op)
    found[bytes(everything)] = None
    choices = [outcomes(op, max_tears=max_tears) for op in ops]
    orders = 1
    if conflict(ops):
        for i in range(2, len(ops) + 1):
            orders *= i
    total = orders
    for choice in choices:
        total *= len(choice)
    if total <= limit:
        for order in permutations(range(len(ops))) if orders > 1 else (range(len(ops)),):
            for picked in product(*choices):
                found[_content(node, order, picked)] = None
        return list(found), True
    for _ in range(limit):
        found[random_content(node, random)] = None
    return list(found), False


def _content(node: FileNode, order: Iterable[int], picked: Sequence[Outcome]) -> bytes:
    content = bytearray(node.durable)
    for i in order:
        apply_outcome(content, node.pending[i], picked[i])
    return bytes(content)


def random_content(node: FileNode, random: Random) -> bytes:
    """One content that a power loss may leave, drawn from several kinds of disaster."""
    ops = node.pending
    order: Sequence[int] = range(len(ops))
    kind = random.randrange(4)
    if kind == 0:  # the first so many reached the platter, the next one was under way
        reached = random.randrange(len(ops) + 1)
        picked = [APPLIED] * reached + [LOST] * (len(ops) - reached)
        if reached < len(ops):
            picked[reached] = random_outcome(ops[reached], random)
    elif kind == 1:
        picked = [random.choice((LOST, APPLIED)) for _ in ops]
    else:
        picked = [random_outcome(op, random) for op in ops]
        if kind == 3:
            order = random.sample(range(len(ops)), len(ops))
    return _content(node, order, picked)


def random_outcome(op: FileOp, random: Random) -> Outcome:
    """One fate of `op`."""
    kind = random.randrange(4)
    if kind == Fate.LOST:
        return LOST
    if kind == Fate.APPLIED or not isinstance(op, Write):
        return APPLIED
    bounds = sector_bounds(op)
    if kind == Fate.ZEROED or not bounds:
        return ZEROED
    bound = bounds[random.randrange(len(bounds))]
    if random.randrange(2):
        return Outcome(Fate.TORN, bound, len(op.data), full_length=True)
    return Outcome(Fate.TORN, 0, bound, full_length=bool(random.randrange(2)))


def names_after(
    names: Sequence[NameOp], *, limit: int, random: Random
) -> tuple[list[tuple[NameOp, ...]], bool]:
    """(surviving subsets of pending name changes in program order, whether that is all).

    The first is none of them, the second (if there is one) all of them.
    """
    if 2 ** len(names) <= limit:
        return list(_subsets(names)), True
    found: dict[tuple[NameOp, ...], None] = {(): None, tuple(names): None}
    for _ in range(limit):
        found[random_names(names, random)] = None
    return list(found), False


def _subsets(names: Sequence[NameOp]) -> Iterator[tuple[NameOp, ...]]:
    yield ()
    if names:
        yield tuple(names)
    for mask in range(1, 2 ** len(names) - 1):
        yield tuple(op for i, op in enumerate(names) if mask >> i & 1)


def random_names(names: Sequence[NameOp], random: Random) -> tuple[NameOp, ...]:
    """One surviving subset: usually a prefix, as journals leave it, or any."""
    if random.randrange(2):
        return tuple(names[: random.randrange(len(names) + 1)])
    return tuple(op for op in names if random.randrange(2))


def random_image(model: DiskModel, random: Random) -> DiskModel:
    """The disk after a power loss drawn by `random`."""
    contents = {
        number: random_content(node, random) for number, node in model.files.items() if node.pending
    }
    return model.image(contents, random_names(model.names, random))
