"""`groups reset-offsets`: where a group is to go on, in words, from a file, or by a step. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from barnabas.cli.exits import Exit, Failure
from barnabas.cli.positions import Anchor, Start, clamp, parse_start
from barnabas.client.fetch_core import TopicPartition


class Change(NamedTuple):
    """One partition: what is committed now (None: nothing), and what is to be."""

    topic: str
    partition: int
    offset: int | None
    new_offset: int


class Reset(NamedTuple):
    """One of three ways: to a place, by a step, or to the offsets of a file."""

    start: Start | None = None
    shift: int | None = None
    offsets: dict[TopicPartition, int] | None = None

    def times(self, wanted: Iterable[TopicPartition], now_ms: int) -> dict[TopicPartition, int]:
        """For a place in time: the timestamps to look up."""
        if self.start is None or self.start.anchor not in (Anchor.TIME, Anchor.AGO):
            return {}
        number = self.start.number
        at = number if self.start.anchor is Anchor.TIME else max(0, now_ms - number)
        return dict.fromkeys(wanted, at)


def parse_reset(
    to: str | None, shift: int | None, offsets: dict[TopicPartition, int] | None
) -> Reset:
    """What the options ask for. Raises `Failure`."""
    if sum(given is not None for given in (to, shift, offsets)) != 1:
        raise Failure("Where to? Give one of --to, --shift and --file.", Exit.USAGE)
    if to is None:
        return Reset(None, shift, offsets)
    try:
        return Reset(parse_start(to))
    except ValueError as error:
        raise Failure(f"--to: {error}.", Exit.USAGE) from None


def read_file(path: str) -> dict[TopicPartition, int]:
    """Offsets from lines of `topic,partition,offset`, as kafka-consumer-groups.sh exports them.

    Raises `Failure` with the number of a line that is none.
    """
    found: dict[TopicPartition, int] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.reader(file), 1):
            if not row:
                continue
            try:
                topic, partition, offset = (cell.strip().strip('"') for cell in row)
                found[(topic, int(partition))] = int(offset)
            except ValueError:
                raise Failure(
                    f"{path}, line {number}: expected topic,partition,offset.", Exit.USAGE
                ) from None
    return found


def targets(
    reset: Reset,
    committed: Mapping[TopicPartition, int],
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    found: Mapping[TopicPartition, int],
) -> list[Change]:
    """The new offset of each partition, between its start and its end.

    `found`: for a place in time, the offset of the first record at or after it, -1 for none.
    """
    changes = []
    for name, start in starts.items():
        end = ends[name]
        wanted = _wanted(reset, name, committed.get(name), start, end, found)
        changes.append(Change(*name, committed.get(name), clamp(wanted, start, end)))
    return changes


def _wanted(
    reset: Reset,
    name: TopicPartition,
    committed: int | None,
    start: int,
    end: int,
    found: Mapping[TopicPartition, int],
) -> int:
    if reset.offsets is not None:
        return reset.offsets[name]
    if reset.shift is not None:
        return (start if committed is None else committed) + reset.shift
    assert reset.start is not None
    match reset.start.anchor:
        case Anchor.BEGINNING:
            return start
        case Anchor.END:
            return end
        case Anchor.OFFSET:
            return reset.start.number
        case Anchor.LAST:
            return end - reset.start.number
        case Anchor.TIME | Anchor.AGO:
            at = found[name]
            return end if at < 0 else at
