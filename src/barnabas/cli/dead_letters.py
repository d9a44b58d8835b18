"""Dead letters as the command line sees them: one of them, filters, which are sent back already.

A group named after the topic remembers what was sent back: its commit says up to where, and in its
metadata (`processing.gaps`) what behind that.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from barnabas.cli.exits import Exit, Failure
from barnabas.cli.formats import as_text
from barnabas.client.cluster import Cluster
from barnabas.client.config import FetchConfig
from barnabas.client.consumer.coordinator import Coordinator
from barnabas.client.consumer.leases import OffsetAndMetadata
from barnabas.client.fetch_core import TopicPartition
from barnabas.client.fetcher import Fetcher
from barnabas.client.offsets import EARLIEST, LATEST, list_offsets
from barnabas.client.processing.dead_letters import Reason, read_reason
from barnabas.client.processing.gaps import NOTHING, Gaps, decode, encode
from barnabas.records.record import Record
from barnabas.wire.errors import ErrorCode, KafkaError

NAMES = re.compile(r"(?i).*[._-](dlq|dlt|dead[._-]?letters?)")
"""What dead letter topics are called."""
GROUP = "barnabas-dlq."
_OUTSIDE = ("", -1)
_FILTER = re.compile(r"([A-Za-z_]+(?:\.[^=!~]+)?)(=|!=|~)(.*)", re.DOTALL)
FIELDS = (
    "topic", "partition", "offset", "group", "attempts", "exception", "message", "redrives",
)  # fmt: skip


class Letter(NamedTuple):
    """One dead letter."""

    partition: int
    record: Record
    reason: Reason

    def field(self, name: str) -> str | None:
        """What a filter calls `name`; None where it has none. Raises `KeyError`."""
        if name.startswith("header."):
            found = dict(self.record.headers).get(name.removeprefix("header."))
            return None if found is None else found.decode("utf-8", "replace")
        if name in ("key", "value"):
            data: bytes | None = getattr(self.record, name)
            return None if data is None else data.decode("utf-8", "replace")
        if name not in FIELDS:
            raise KeyError(name)
        told = getattr(self.reason, name)
        return None if told is None else str(told)

    def as_json(self) -> dict[str, Any]:
        """Everything about it, as plain data."""
        record, reason = self.record, self.reason
        return {
            "partition": self.partition,
            "offset": record.offset,
            "timestamp": record.timestamp,
            "key": as_text(record.key),
            "value": as_text(record.value),
            "headers": [[name, as_text(value)] for name, value in record.headers],
            "reason": reason._asdict(),
        }


Filter = Callable[[Letter], bool]


def parse_filter(text: str) -> Filter:
    """`FIELD=TEXT`, `FIELD!=TEXT` or `FIELD~REGEX`. Raises `Failure`."""
    parts = _FILTER.fullmatch(text)
    name = parts[1] if parts else ""
    if parts is None or not (name in (*FIELDS, "key", "value") or name.startswith("header.")):
        raise Failure(
            f"--filter {text!r} is none of FIELD=TEXT, FIELD!=TEXT, FIELD~REGEX.",
            Exit.USAGE,
            f"FIELD is {', '.join(FIELDS)}, key, value or header.NAME.",
        )
    operator, wanted = parts[2], parts[3]
    if operator == "~":
        try:
            pattern = re.compile(wanted)
        except re.error as error:
            raise Failure(f"--filter {text!r}: {error}.", Exit.USAGE) from None
        return lambda letter: pattern.search(letter.field(name) or "") is not None
    if operator == "=":
        return lambda letter: letter.field(name) == wanted
    return lambda letter: letter.field(name) != wanted


class Sent:
    """Which letters of a topic were sent back."""

    def __init__(self, known: Mapping[int, tuple[int, Gaps]], firsts: Mapping[int, int]) -> None:
        self._open: dict[int, set[int]] = {}
        self._firsts = dict(firsts)
        self._known = dict(known)
        self._now: dict[int, set[int]] = {}

    def has(self, partition: int, offset: int) -> bool:
        """Whether it was."""
        position, gaps = self._known.get(partition, (0, NOTHING))
        before = offset < position or (offset < gaps.frontier and offset not in gaps.missing)
        return before or offset in self._now.get(partition, ())

    def add(self, partition: int, offset: int) -> None:
        """It is now."""
        self._now.setdefault(partition, set()).add(offset)

    def told(self, topic: str) -> dict[TopicPartition, OffsetAndMetadata]:
        """What to commit."""
        found = {}
        for partition, now in self._now.items():
            position, gaps = self._known.get(partition, (0, NOTHING))
            start = max(position, self._firsts.get(partition, 0))
            frontier = max(gaps.frontier, max(now) + 1)
            missing = [each for each in range(start, frontier) if not self.has(partition, each)]
            at = missing[0] if missing else frontier
            found[topic, partition] = OffsetAndMetadata(at, encode(at, missing, frontier))
        return found


class Shelf:
    """The dead letters of a topic, up to where it ends now."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self._cluster = cluster
        self.topic = topic
        self._coordinator = Coordinator(cluster, GROUP + topic)
        self._starts: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self.sent = Sent({}, {})

    async def open(self) -> Shelf:
        """Look where the topic begins and ends, and what was sent back. Raises `KafkaError`."""
        state = await self._cluster.topic(self.topic)
        names = [(self.topic, number) for number in sorted(state.partitions)]
        for at, into in ((EARLIEST, self._starts), (LATEST, self._ends)):
            found = await list_offsets(self._cluster, dict.fromkeys(names, at), read_committed=True)
            into.update({name: each.offset for name, each in found.items()})
        committed = await self._coordinator.fetch(names, _OUTSIDE)
        known = {
            name[1]: (at.offset, decode(at.offset, at.metadata)) for name, at in committed.items()
        }
        self.sent = Sent(known, {name[1]: start for name, start in self._starts.items()})
        return self

    @property
    def count(self) -> int:
        """How many letters lie there at most; compaction and transactions leave gaps."""
        return sum(self._ends.values()) - sum(self._starts.values())

    async def letters(self, filters: Sequence[Filter], *, with_sent: bool) -> AsyncIterator[Letter]:
        """Those that pass all filters; without those that were sent back, unless told otherwise."""
        wanted = {name: at for name, at in self._starts.items() if at < self._ends[name]}
        async with Fetcher(self._cluster, FetchConfig(read_committed=True)) as fetcher:
            await fetcher.assign(wanted)
            while fetcher.positions():
                batch = await fetcher.poll(500)
                if batch is not None:
                    end = self._ends[batch.topic, batch.partition]
                    for record in batch.records:
                        if record.offset >= end:
                            break
                        letter = Letter(batch.partition, record, read_reason(record.headers))
                        old = not with_sent and self.sent.has(batch.partition, record.offset)
                        if not old and all(each(letter) for each in filters):
                            yield letter
                for name, position in fetcher.positions().items():
                    if position >= self._ends[name]:
                        fetcher.drop(*name)

    async def remember(self, letters: Iterable[Letter]) -> None:
        """These were sent back. Raises `KafkaError`."""
        for letter in letters:
            self.sent.add(letter.partition, letter.record.offset)
        told = self.sent.told(self.topic)

        async def attempt() -> None:
            codes = await self._coordinator.commit(told, _OUTSIDE, None)
            for name, code in codes.items():
                if code != ErrorCode.NONE:
                    raise KafkaError(code, f"{name[0]}-{name[1]}")

        if told:
            await self._cluster.retrying(attempt)

    def close(self) -> None:
        """Disconnect from the group's coordinator."""
        self._coordinator.forget()
