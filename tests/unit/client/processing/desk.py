"""Lanes with records that are easy to name."""

from __future__ import annotations

from barnabas.client.consumer.records import Event
from barnabas.client.processing.gaps import NOTHING, Gaps
from barnabas.client.processing.lanes import Lanes, Limits, Order, Part, Work

NAME = ("t", 0)


def event(offset: int, key: str | None, partition: int = 0, size: int = 1) -> Event:
    coded = None if key is None else key.encode()
    return Event("t", partition, offset, 0, coded, b"v" * size, ())


class Desk:
    """Lanes, and handles on what was begun."""

    def __init__(
        self,
        order: Order = "key",
        *,
        concurrency: int = 100,
        in_flight: int = 100,
        held: int = 1_000,
        held_bytes: int = 1 << 20,
    ) -> None:
        self.lanes = Lanes(order, Limits(concurrency, in_flight, held, held_bytes))
        self.at_work: dict[int, Work] = {}

    def begin(
        self, keys: str, *, start: int = 0, partition: int = 0, known: Gaps = NOTHING
    ) -> Part:
        """A partition of ours, with a record for each letter; a dot is one without a key."""
        part = self.lanes.begin(("t", partition), start, known)
        self.receive(part, keys)
        return part

    def receive(self, part: Part, keys: str) -> None:
        """More records of it."""
        start = part.reached
        events = [
            event(start + at, None if key == "." else key, part.name[1])
            for at, key in enumerate(keys)
        ]
        self.lanes.received(part, events, start + len(keys))

    def start(self, now: int = 0) -> list[int]:
        """The offsets of what begins."""
        begun = self.lanes.start(now)
        self.at_work.update({work.event.offset: work for work in begun})
        return [work.event.offset for work in begun]

    def finish(self, *offsets: int) -> None:
        """These are done."""
        for offset in offsets:
            self.lanes.finish(self.at_work.pop(offset))

    def again(self, offset: int, due: int) -> None:
        """This one failed."""
        self.lanes.again(self.at_work.pop(offset), due)
