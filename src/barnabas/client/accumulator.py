"""Where records become batches: by size, for one partition each. No socket, no clock.

A batch is open until a record does not fit, until it has lingered, or until it is flushed. What is
in open and closed batches counts against `buffer.memory` until its fate is known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from barnabas.client.batches import Batch, BatchState
from barnabas.client.config import ProducerConfig
from barnabas.client.errors import RecordTooLarge
from barnabas.client.partitioner import Partitioner
from barnabas.client.rows import OWN_TIME, Rows, record_size
from barnabas.records.batch import HEADER_SIZE
from barnabas.records.record import Headers

Name = tuple[str, int]
Piece = tuple[Batch, int, int]
"""Records of one call in one batch: the batch, the index of the first, and how many."""


class Accumulator:
    """Open batches and the choice of partitions.

    `begun` hears of each new batch; `waiting` tells how many batches wait for partitions of a topic;
    `below(n)` draws from [0, n). `has_news` is set when a batch was begun or filled.
    """

    def __init__(
        self,
        config: ProducerConfig,
        below: Callable[[int], int],
        begun: Callable[[Batch], None],
        waiting: Callable[[str, Sequence[int]], Sequence[int]],
    ) -> None:
        self._config = config
        self._batch_size = config.batch_size
        self.memory = config.buffer_memory
        self._below = below
        self._begun = begun
        self._waiting = waiting
        self._partitioners: dict[str, Partitioner] = {}
        self._available: dict[str, Sequence[int]] = {}
        self._open: dict[Name, Batch] = {}
        self.buffered_bytes = 0
        self.has_news = False

    # -- topics --

    def knows(self, topic: str) -> bool:
        """Whether records for `topic` can be appended."""
        return topic in self._partitioners

    @property
    def topics(self) -> Iterable[str]:
        """What `knows` says yes to."""
        return self._partitioners.keys()

    def learn(self, topic: str, partitions: int, available: Sequence[int] | None = None) -> None:
        """A topic has this many partitions; `available` are those with a leader (default: all)."""
        self._available[topic] = range(partitions) if available is None else available
        known = self._partitioners.get(topic)
        if known is not None:
            known.resize(partitions)
            return
        config = self._config
        load = None
        if config.partitioner_adaptive_partitioning_enable:

            def load() -> tuple[Sequence[int], Sequence[int]]:
                targets = self._available[topic]
                return targets, self._waiting(topic, targets)

        self._partitioners[topic] = Partitioner(
            partitions,
            self._below,
            name=config.partitioner,
            batch_size=config.batch_size,
            load=load,
        )

    # -- records --

    @property
    def full(self) -> bool:
        """Whether records must wait for memory."""
        return self.buffered_bytes >= self.memory

    def add(
        self,
        topic: str,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        timestamp: int,
        headers: Headers,
        own_time: bool = False,
    ) -> Batch | None:
        """Add a record to an open batch and return it; None when that takes a new one (`append`)."""
        size = record_size(key, value, headers)
        if own_time:
            size += OWN_TIME
        free = None
        if partition is None:
            partitioner = self._partitioners[topic]
            if self._is_free(partitioner, key):
                free, partition = partitioner, partitioner.sticky
            else:
                partition = partitioner.partition(key)
        batch = self._open.get((topic, partition))
        if batch is None or (batch.size + size > self._batch_size and batch.count):
            return None
        batch.add(key, value, timestamp, headers)
        batch.size += size
        self.buffered_bytes += size
        if free is not None:
            free.took(size)
        return batch

    def _is_free(self, partitioner: Partitioner, key: bytes | None) -> bool:
        if key is None:
            return partitioner.null_is_free or self._config.partitioner_ignore_keys
        return partitioner.is_free(key) or self._config.partitioner_ignore_keys

    def append(
        self,
        topic: str,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        timestamp: int,
        headers: Headers,
        now: int,
        own_time: bool = False,
    ) -> Batch:
        """Add a record and return its batch, where it is the last one.

        Raises `RecordTooLarge`, `ValueError` for a partition that there is not. The topic must be
        known.
        """
        while True:
            batch = self.add(topic, partition, key, value, timestamp, headers, own_time)
            if batch is not None:
                return batch
            self._make_room(topic, partition, key, record_size(key, value, headers), now)

    def _make_room(
        self, topic: str, partition: int | None, key: bytes | None, size: int, now: int
    ) -> None:
        """A step towards an open batch with room for a record: close a full one, or begin one."""
        if size > self._config.max_request_size:
            raise RecordTooLarge(
                f"a record of {size} bytes exceeds max.request.size "
                f"({self._config.max_request_size})"
            )
        if partition is None:
            partitioner = self._partitioners[topic]
            if not self._is_free(partitioner, key):
                partition = partitioner.partition(key)
            elif (topic, partitioner.sticky) in self._open:
                partition = partitioner.sticky
            else:
                partition = partitioner.batch_begins()
        else:
            self._check(topic, partition)
        full = self._open.get((topic, partition))
        if full is not None and full.count:
            self.close(full)
        else:
            self._begin((topic, partition), now)

    def _check(self, topic: str, partition: int) -> None:
        count = self._partitioners[topic].count
        if not 0 <= partition < count:
            raise ValueError(f"{topic} has partitions 0 to {count - 1}, not {partition}")

    def _begin(self, name: Name, now: int) -> Batch:
        batch = Batch(name[0], name[1], now, now + self._config.delivery_timeout_ms)
        self._open[name] = batch
        self.has_news = True
        self._begun(batch)
        return batch

    def extend(self, topic: str, partition: int | None, rows: Rows, now: int) -> list[Piece]:
        """Add many records; the pieces in which they lie. Memory is not looked at: see `full`."""
        pieces: list[Piece] = []
        if partition is not None:
            self._check(topic, partition)
            self._fill((topic, partition), rows, 0, now, pieces)
            return pieces
        partitioner = self._partitioners[topic]
        keys = rows.keys
        if keys is None or self._config.partitioner_ignore_keys:
            if keys is not None or partitioner.is_free(None):
                self._spread(topic, rows, now, pieces)
            else:
                self._fill((topic, partitioner.partition(None)), rows, 0, now, pieces)
            return pieces
        places: dict[int, list[int]] = defaultdict(list)
        if partitioner.any_free(keys):
            free: list[int] = []
            for index, key in enumerate(keys):
                if partitioner.is_free(key):
                    free.append(index)
                else:
                    places[partitioner.partition(key)].append(index)
            if free:
                self._spread(topic, rows.pick(free), now, pieces)
        else:
            sure = [key or b"" for key in keys] if rows.nulls else keys
            for index, place in enumerate(partitioner.partitions(sure)):  # type: ignore[arg-type]
                places[place].append(index)
        for place, indices in places.items():
            self._fill((topic, place), rows.pick(indices), 0, now, pieces)
        return pieces

    def _spread(self, topic: str, rows: Rows, now: int, pieces: list[Piece]) -> None:
        """Records without a key: batch after batch, each to the partition whose turn it is."""
        partitioner = self._partitioners[topic]
        at = 0
        while at < len(rows):
            batch = self._open.get((topic, partitioner.sticky))
            if batch is None:
                name = (topic, partitioner.batch_begins())
                batch = self._open.get(name) or self._begin(name, now)
            took, nbytes = self._take(batch, rows, at, pieces)
            at += took
            if took:
                partitioner.took(nbytes)
            else:
                self.close(batch)

    def _fill(self, name: Name, rows: Rows, at: int, now: int, pieces: list[Piece]) -> None:
        while at < len(rows):
            batch = self._open.get(name) or self._begin(name, now)
            took, _ = self._take(batch, rows, at, pieces)
            at += took
            if not took:
                self.close(batch)

    def _take(self, batch: Batch, rows: Rows, at: int, pieces: list[Piece]) -> tuple[int, int]:
        """Move records into a batch, at least one into an empty one; how many, and their bytes."""
        took, nbytes = rows.fitting(at, self._batch_size - batch.size)
        if not took:
            if batch.count:
                return 0, 0
            took, nbytes = 1, rows.size or rows.sums[at + 1] - rows.sums[at]
        part = rows.part(at, at + took)
        pieces.append((batch, batch.count, took))
        batch.extend(part.values, part.keys, part.timestamps, part.headers, part.nulls)
        batch.size += nbytes
        self.buffered_bytes += nbytes
        return took, nbytes

    # -- batches --

    def close(self, batch: Batch) -> None:
        """A batch is full: it takes no more."""
        self.shut(batch)
        self.has_news = True
        self._partitioners[batch.topic].batch_full(batch.partition)

    def shut(self, batch: Batch) -> None:
        """A batch takes no more, full or not."""
        batch.state = BatchState.READY
        del self._open[batch.topic, batch.partition]

    def close_all(self) -> None:
        """Whatever is gathered goes out now, without lingering."""
        for batch in self._open.values():
            batch.state = BatchState.READY
        self._open.clear()

    def released(self, batch: Batch) -> None:
        """The fate of a batch is known: its memory is free."""
        self.buffered_bytes -= batch.size - HEADER_SIZE
