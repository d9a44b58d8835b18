"""What becomes of records, for those who ask: of one record, and of the many of one call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from barnabas.client.accumulator import Piece
from barnabas.client.batches import Batch
from barnabas.client.errors import DeliveryFailed

_log = logging.getLogger("barnabas.client.producer")


class RecordMetadata(NamedTuple):
    """Where a record is. `offset` is -1 with acks=0; `timestamp` in ms, the node's if the topic
    says so (`message.timestamp.type`)."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class RecordRange(NamedTuple):
    """Where `records` records are that follow each other; `offset` is that of the first."""

    topic: str
    partition: int
    offset: int
    records: int


NOWHERE: Final = Batch("", -1, 0, 0)
"""Stands for the batch of a record that is in none yet."""


def wake(future: asyncio.Future[None]) -> None:
    """Let whoever waits go on."""
    if not future.done():
        future.set_result(None)


def told_of(future: asyncio.Future[None], _batch: Batch) -> None:
    """A batch's listener that lets whoever waits go on."""
    wake(future)


def _settled(batch: Batch) -> Generator[Any, None, None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    batch.listeners.append(partial(told_of, future))
    yield from future


def refused(topic: str, error: Exception) -> Batch:
    """The batch of a record that got into none."""
    batch = Batch(topic, -1, 0, 0)
    batch.heard = True
    batch.finish(error)
    return batch


class Delivery:
    """The fate of one record. Await it for where the record is; any number of times."""

    __slots__ = ("batch", "index")

    def __init__(self, batch: Batch, index: int) -> None:
        self.batch = batch
        self.index = index

    def done(self) -> bool:
        """Whether its fate is known."""
        return self.batch.done

    def exception(self) -> Exception | None:
        """Why it was not delivered; None if it was. Raises `RuntimeError` before that is known."""
        if not self.batch.done:
            raise RuntimeError("the record is still on its way")
        self.batch.heard = True
        return self.batch.error

    def result(self) -> RecordMetadata:
        """Where it is, or raises why it was not delivered; `RuntimeError` before that is known."""
        error = self.exception()
        if error is not None:
            raise error
        batch = self.batch
        offset = -1 if batch.base_offset < 0 else batch.base_offset + self.index
        return RecordMetadata(batch.topic, batch.partition, offset, batch.timestamp_of(self.index))

    def add_done_callback(self, callback: Callable[[Delivery], object]) -> None:
        """Call `callback` with this once the fate is known; at once if it is. What it raises is
        logged: it must not keep others from hearing of theirs."""
        batch = self.batch
        batch.heard = True
        if batch.done:
            self._tell(callback)
            return

        def settled(known: Batch) -> None:
            if known is self.batch:
                self._tell(callback)
            else:  # it waited for its topic, and is in a batch now
                self.add_done_callback(callback)

        batch.listeners.append(settled)

    def _tell(self, callback: Callable[[Delivery], object]) -> None:
        try:
            callback(self)
        except Exception:
            _log.exception("a callback of a record for %s raised", self.batch.topic)

    def __await__(self) -> Generator[Any, None, RecordMetadata]:
        while not self.batch.done:
            self.batch.heard = True
            yield from _settled(self.batch)
        return self.result()


class Deliveries:
    """The fate of the records of one call, piece by piece. Await it for where they are."""

    __slots__ = ("pieces",)

    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    @property
    def count(self) -> int:
        """How many records there are."""
        return sum(count for _, _, count in self.pieces)

    def done(self) -> bool:
        """Whether the fate of all is known."""
        return all(batch.done for batch, _, _ in self.pieces)

    def failed(self) -> int:
        """How many are known not to be delivered."""
        return sum(count for batch, _, count in self.pieces if batch.error is not None)

    def result(self) -> Sequence[RecordRange]:
        """Where they are, or raises why the first that failed did; `RuntimeError` too early."""
        if not self.done():
            raise RuntimeError("records are still on their way")
        for batch, _, _ in self.pieces:
            batch.heard = True
        for batch, _, _ in self.pieces:
            if batch.error is not None:
                raise batch.error
        return [
            RecordRange(
                batch.topic,
                batch.partition,
                -1 if batch.base_offset < 0 else batch.base_offset + first,
                count,
            )
            for batch, first, count in self.pieces
        ]

    def __await__(self) -> Generator[Any, None, Sequence[RecordRange]]:
        for batch, _, _ in self.pieces:
            batch.heard = True
            if not batch.done:
                yield from _settled(batch)
        return self.result()


_MOST_UNHEARD: Final = 1_000
"""Failed batches that are kept until somebody asks, at most."""


class Failures:
    """Batches that were lost, until somebody hears of them."""

    def __init__(self) -> None:
        self._batches: list[Batch] = []

    def note(self, batch: Batch) -> None:
        """A batch was given up."""
        if len(self._batches) < _MOST_UNHEARD:
            self._batches.append(batch)

    def tell(self) -> None:
        """Raises `DeliveryFailed`, once, when nobody has asked for the fate of some of them."""
        failed, self._batches = [batch for batch in self._batches if not batch.heard], []
        if failed:
            first = failed[0].error
            error = DeliveryFailed(
                f"{sum(batch.count for batch in failed)} records were not delivered; "
                f"the first of them: {first}",
                maybe_written=any(batch.maybe_written for batch in failed),
                attempts=max(batch.attempts for batch in failed),
            )
            raise error from first
