"""Which records may be worked on, and what may be committed. Pure: events in, answers out.

A *lane* is what has to keep an order: a key of a partition, a partition, or nothing. One record of
a lane is at work or waits for its next attempt, the others of the lane wait behind it. Of each
partition we know what is not done; a commit names the first of it, and what is done behind that
(`gaps`). A record is *in flight* from its begin until a commit says that it is done: so much may a
crash repeat.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Literal, NamedTuple, TypeAlias

from barnabas.client.consumer.records import Event
from barnabas.client.fetch_core import TopicPartition
from barnabas.client.processing.gaps import BITS_SPAN, NOTHING, RUNS_FIT, Gaps, encode

Order: TypeAlias = Literal["key", "partition", "none"]
Lane: TypeAlias = tuple[TopicPartition, bytes | None] | None
ORDERS = ("key", "partition", "none")
COMMIT_MS = 100
"""What is done is committed after so long at the latest."""


class Limits(NamedTuple):
    """Bounds of one `process` call."""

    concurrency: int
    """Records at work at once."""
    in_flight: int
    """Records begun and not known to be committed."""
    held: int
    """Records in memory: those and what waits."""
    held_bytes: int


class Work:
    """One record on its way."""

    __slots__ = ("attempts", "event", "lane", "part", "running", "size")

    def __init__(self, event: Event, part: Part, lane: Lane) -> None:
        self.event = event
        self.part = part
        self.lane = lane
        self.attempts = 0
        """How often it was begun."""
        self.running = False
        self.size = len(event.key or b"") + len(event.value or b"")

    def __lt__(self, other: Work) -> bool:
        return self.event.offset < other.event.offset


class Part:
    """One partition for as long as it is ours."""

    def __init__(self, name: TopicPartition, start: int, known: Gaps) -> None:
        self.name = name
        self.reached = start
        """Behind what was received."""
        self.known = known
        """What an earlier owner has done already."""
        self.open: OrderedDict[int, Work] = OrderedDict()
        """What was received and is not done, in the order of offsets."""
        self.ready: list[Work] = []
        """A heap: the lowest offset begins first, so that commits get on."""
        self.frontier = max(known.frontier, start)
        """Behind the last that was begun; what is done lies below."""
        self.running = 0
        self.nbytes = 0
        """Of what is held of it."""
        self.done = 0
        """Done, and not known to be committed."""
        self.pairs = 0
        """So many pairs of runs at most would tell what is done."""
        self.closing = False
        """Nothing more begins."""
        self.gone = False
        """Nothing more counts."""
        self.paused = False
        self.held = False
        """It waits for too much: fetch nothing more of it."""

    @property
    def position(self) -> int:
        """Everything below is done."""
        return next(iter(self.open), self.reached)

    @property
    def may_begin(self) -> bool:
        """Whether the first that is ready may begin; what is done has to fit into a commit."""
        if not self.ready or self.closing or self.paused:
            return False
        offset, position = self.ready[0].event.offset, self.position
        if offset == position or max(offset + 1, self.frontier) - position <= BITS_SPAN:
            return True
        return self.pairs + self.running < RUNS_FIT

    def told(self) -> tuple[int, str]:
        """What to commit: an offset and its metadata."""
        position = self.position
        if self.known.frontier > self.reached:
            rest = [offset for offset in self.known.missing if offset >= self.reached]
        else:
            rest = []
        text = encode(position, [*self.open, *rest] or [position], self.frontier)
        return position, text


Mark: TypeAlias = list[tuple[Part, int]]


class Lanes:
    """All records that one `process` call holds."""

    def __init__(self, order: Order, limits: Limits) -> None:
        self._order = order
        self._limits = limits
        self.parts: dict[TopicPartition, Part] = {}
        self._turns: deque[Part] = deque()
        self._lanes: dict[Lane, deque[Work] | None] = {}
        """Lanes with a record ahead, and who waits behind it."""
        self._delayed: list[tuple[int, int, Work]] = []
        self._number = 0
        self.running = 0
        self.done = 0
        """Done, and not known to be committed; of all partitions that are not gone."""
        self.waiting = 0
        self.partitions = 1
        """How many are ours, also those of which nothing came yet."""
        self._bytes = 0

    # -- partitions --

    def begin(self, name: TopicPartition, start: int, known: Gaps = NOTHING) -> Part:
        """A partition is ours, from `start` on; what was held of it under another lease is gone."""
        self.end(name)
        part = self.parts[name] = Part(name, start, known)
        self._turns.append(part)
        return part

    def close(self, name: TopicPartition) -> None:
        """A revocation: nothing more of it begins, what has begun may end. The rest stays open for
        whoever is next."""
        part = self.parts.get(name)
        if part is not None and not part.closing:
            part.closing = True
            self._turns.remove(part)
            self._forget_waiting(part)

    def end(self, name: TopicPartition) -> list[Work]:
        """It is gone, whatever of it is at work: that still holds its lane, and counts no more."""
        part = self.parts.pop(name, None)
        if part is None:
            return []
        if not part.closing:
            part.closing = True
            self._turns.remove(part)
            self._forget_waiting(part)
        part.gone = True
        self.done -= part.done
        part.done = 0
        return list(part.open.values())

    def _forget_waiting(self, part: Part) -> None:
        """Drop what has not begun, wherever it waits."""
        for lane, followers in list(self._lanes.items()):
            if followers:
                kept = deque(work for work in followers if work.part is not part)
                self._leave(len(followers) - len(kept), followers, part)
                self._lanes[lane] = kept or None
        ready, part.ready = part.ready, []
        late = [work for _, _, work in self._delayed if work.part is part]
        self._delayed = sorted(each for each in self._delayed if each[2].part is not part)
        self._leave(len(ready) + len(late), [*ready, *late], part)
        for work in (*ready, *late):
            self._free(work)

    def _leave(self, count: int, works: Iterable[Work], part: Part) -> None:
        self.waiting -= count
        for work in works:
            if work.part is part:
                self._weigh(work, -1)

    def _weigh(self, work: Work, sign: int) -> None:
        self._bytes += sign * work.size
        work.part.nbytes += sign * work.size

    # -- records --

    def room(self, part: Part | None = None) -> int:
        """How many more records may be received of a partition; None: of one that is new.

        Where there are several, one holds at most as much as it leaves free for the others.
        """
        limits = self._limits
        free = limits.held - self.running - self.waiting
        free_bytes = limits.held_bytes - self._bytes
        if free <= 0 or free_bytes <= 0:
            return 0
        if self.partitions < 2:
            return free
        if part is not None and part.nbytes >= free_bytes:
            return 0
        return max((free - (0 if part is None else len(part.open) - part.running)) // 2, 0)

    def received(self, part: Part, events: Sequence[Event], reached: int) -> None:
        """Records of a partition in the order of their offsets, and how far it was read."""
        known = part.known
        skip = set(known.missing) if part.reached < known.frontier else None
        for event in events:
            offset = event.offset
            if skip is not None and offset < known.frontier and offset not in skip:
                continue  # done before
            work = Work(event, part, self._lane(part, event))
            part.open[offset] = work
            self.waiting += 1
            self._weigh(work, 1)
            self._offer(work)
        self.passed(part, reached)

    def passed(self, part: Part, reached: int) -> None:
        """The partition was read up to here; what was not received is not for us."""
        part.reached = max(part.reached, reached)
        if part.known is not NOTHING and part.reached >= part.known.frontier:
            part.known = NOTHING

    def _lane(self, part: Part, event: Event) -> Lane:
        if self._order == "key":
            return None if event.key is None else (part.name, event.key)
        return (part.name, None) if self._order == "partition" else None

    def _offer(self, work: Work) -> None:
        lane = work.lane
        if lane is None:
            heappush(work.part.ready, work)
        elif lane in self._lanes:
            followers = self._lanes[lane]
            if followers is None:
                self._lanes[lane] = deque((work,))
            else:
                followers.append(work)
        else:
            self._lanes[lane] = None
            heappush(work.part.ready, work)

    def _free(self, work: Work) -> None:
        """The first of a lane is out of the way."""
        if work.lane is None:
            return
        followers = self._lanes[work.lane]
        if not followers:
            del self._lanes[work.lane]
            return
        following = followers.popleft()
        if not followers:
            self._lanes[work.lane] = None
        heappush(following.part.ready, following)

    # -- work --

    def start(self, now: int) -> list[Work]:
        """What begins now; each has to be told of with `finish` or `again`."""
        while self._delayed and self._delayed[0][0] <= now:
            work = heappop(self._delayed)[2]
            heappush(work.part.ready, work)
        begun: list[Work] = []
        idle = 0
        turns = self._turns
        while idle < len(turns) and self._may_start():
            part = turns[0]
            turns.rotate(-1)
            if not part.may_begin:
                idle += 1
                continue
            idle = 0
            work = heappop(part.ready)
            work.attempts += 1
            work.running = True
            part.frontier = max(part.frontier, work.event.offset + 1)
            part.running += 1
            self.running += 1
            self.waiting -= 1
            begun.append(work)
        return begun

    def _may_start(self) -> bool:
        limits = self._limits
        return self.running < limits.concurrency and self.running + self.done < limits.in_flight

    @property
    def starved(self) -> bool:
        """Whether records wait for nothing but a commit."""
        if self.running + self.done < self._limits.in_flight:
            return False
        return self.done > 0 and any(part.may_begin for part in self._turns)

    def finish(self, work: Work) -> None:
        """It is done."""
        part = self._ended(work)
        self._weigh(work, -1)
        if not part.gone:
            part.open.pop(work.event.offset, None)
            part.done += 1
            part.pairs += 1
            self.done += 1
        self._free(work)

    def again(self, work: Work, due: int) -> None:
        """It failed and is tried again, not before `due` (ms); its lane waits, nothing else does."""
        part = self._ended(work)
        if part.closing:  # whoever is next tries it
            self._weigh(work, -1)
            self._free(work)
            return
        self.waiting += 1
        self._number += 1
        heappush(self._delayed, (due, self._number, work))

    def _ended(self, work: Work) -> Part:
        part = work.part
        work.running = False
        part.running -= 1
        self.running -= 1
        return part

    def next_due(self) -> int | None:
        """When the next attempt is due, ms; None when nothing waits for a time."""
        return self._delayed[0][0] if self._delayed else None

    # -- fetching --

    def pause(self, part: Part, paused: bool) -> None:
        """The application has paused it, or goes on: what has not begun does not begin."""
        part.paused = paused

    def holds(self) -> list[tuple[Part, bool]]:
        """Partitions to fetch nothing more of for now (True), or again: those without room, until
        half of what they held is gone."""
        found: list[tuple[Part, bool]] = []
        if self.partitions < 2:  # what is fetched has a bound, too
            return found
        free = self._limits.held - self.running - self.waiting
        free_bytes = self._limits.held_bytes - self._bytes
        for part in self._turns:
            waiting, factor = len(part.open) - part.running, 2 if part.held else 1
            held = waiting > 0 and (
                waiting * factor + 1 >= free or part.nbytes * factor >= free_bytes
            )
            if held != part.held:
                part.held = held
                found.append((part, held))
        return found

    # -- commits --

    def mark(self) -> Mark:
        """What a commit that is made now covers."""
        return [(part, part.done) for part in self.parts.values() if part.done]

    def settle(self, mark: Mark) -> None:
        """A commit that began at `mark` has come back."""
        for part, done in mark:
            if not part.gone:
                part.done -= done
                self.done -= done
                part.pairs = count_pairs(part)

    def commit_due(self, waited_ms: int) -> bool:
        """Whether to commit now; the oldest that is done has waited so long.

        At once when nothing is at work (no more comes soon) or when work waits for it; else when a
        quarter of what may be in flight is done, or `COMMIT_MS` have passed.
        """
        if not self.done:
            return False
        if self.running == 0 or waited_ms >= COMMIT_MS or self.done * 4 >= self._limits.in_flight:
            return True
        return self.starved


def count_pairs(part: Part) -> int:
    """How many runs of what is not done lie below the frontier."""
    found, before = 0, -2
    for offset in part.open:
        if offset >= part.frontier:
            break
        found += offset != before + 1
        before = offset
    return found + len(part.known.missing)
