"""A desk whose answers wait for the log, as the runtime's do: a crash loses what was not promised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from barnabas.coordinator.effects import Effects, Origin
from barnabas.coordinator.framing import decode_record, encode_record
from barnabas.groups.record_types import GROUP_RECORDS
from barnabas.wire.errors import ErrorCode
from tests.unit.groups.desk import Desk, Paper


class LatePaper(Paper):
    """A ticket with a number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class LateDesk(Desk):
    """`decided` are the answers of the last step, `held` those that wait for what is appended."""

    def __init__(self, **settings: int) -> None:
        self.decided: list[tuple[LatePaper, Any]] = []
        self.held: list[tuple[int, LatePaper, Any]] = []
        self.ends: list[int] = []
        """The length of the log behind each batch."""
        self.committed = 0
        """Batches that are promised."""
        self._papers = 0
        super().__init__(**settings)

    def ask(self, decide: Callable[[LatePaper], Effects]) -> LatePaper:
        """A request."""
        self._papers += 1
        paper = LatePaper(self._papers)
        self._do(decide(paper))
        return paper

    @property
    def next_number(self) -> int:
        """The number of the next request."""
        return self._papers + 1

    def _do(self, effects: Effects) -> None:
        if effects.records and not self._append(effects):
            return
        for key, at in effects.timers:
            if at is None:
                self.timers.pop(key, None)
            else:
                self.timers[key] = at
        for ticket, response in effects.replies:
            assert isinstance(ticket, LatePaper)
            self.decided.append((ticket, response))
            self.held.append((len(self.ends), ticket, response))

    def _append(self, effects: Effects) -> bool:
        if self.refuse is not None:
            code, self.refuse = self.refuse, None
            if effects.refused is not None:
                self._do(effects.refused(code))
                return False
            for ticket, _ in effects.replies:
                assert isinstance(ticket, LatePaper)
                self.decided.append((ticket, code))
                self.held.append((len(self.ends), ticket, code))
            return False
        producer_id, epoch = effects.producer or (-1, -1)
        for record in effects.records:
            key, value = encode_record(record)
            assert decode_record(GROUP_RECORDS, key, value) == record
            origin = Origin(len(self.log), self.now.wall, producer_id, epoch)
            self.log.append((key, value, origin))
            self.shard.replay(record, origin)
        self.ends.append(len(self.log))
        return True

    def commit(self, batches: int) -> list[tuple[LatePaper, Any]]:
        """The high watermark passes so many batches in all: the answers that leave now."""
        self.committed = max(self.committed, min(batches, len(self.ends)))
        leaving = [(paper, said) for end, paper, said in self.held if end <= self.committed]
        self.held = [each for each in self.held if each[0] > self.committed]
        for paper, said in leaving:
            if isinstance(said, ErrorCode):
                paper.fail(said)
            else:
                paper.answer(said)
        return leaving

    def crash(self, batches: int) -> None:
        """The process dies; of what was not promised only the first batches are left."""
        kept = max(self.committed, min(batches, len(self.ends)))
        del self.ends[kept:]
        del self.log[self.ends[-1] if self.ends else 0 :]
        self.held.clear()
        self.refuse = None
        self.reload()
