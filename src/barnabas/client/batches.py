"""Records on their way: a batch for one partition, and its fate."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from barnabas.records.batch import HEADER_SIZE
from barnabas.records.builder import build_batch
from barnabas.records.compression import Codec
from barnabas.records.record import Headers

RecordData = tuple[bytes | None, bytes | None, int, Headers]
"""Key, value, timestamp (ms), headers."""


class BatchState(Enum):
    """Where a batch stands."""

    OPEN = 0
    """Takes records."""
    READY = 1
    """Takes no more, has no sequence yet."""
    IN_FLIGHT = 2
    """In a request that has no answer yet."""
    WAITING = 3
    """Was sent, failed in a way that allows another attempt; keeps its sequence."""
    DONE = 4
    """Acknowledged or given up."""


class Batch:
    """Records for one partition that travel together.

    Once it carries a sequence its bytes never change: a node that already has them recognises the
    repetition (KIP-98). `maybe_written` is set when an attempt ended without a definite answer.
    """

    __slots__ = (
        "attempts",
        "base_offset",
        "base_sequence",
        "created_ms",
        "data",
        "deadline_ms",
        "error",
        "listeners",
        "log_append_time",
        "maybe_written",
        "partition",
        "records",
        "retry_ms",
        "size",
        "state",
        "topic",
    )

    def __init__(self, topic: str, partition: int, now_ms: int, deadline_ms: int) -> None:
        self.topic = topic
        self.partition = partition
        self.records: list[RecordData] = []
        self.size = HEADER_SIZE
        self.created_ms = now_ms
        self.deadline_ms = deadline_ms
        self.state = BatchState.OPEN
        self.data: bytearray | None = None
        self.base_sequence = -1
        self.attempts = 0
        self.retry_ms = 0
        self.maybe_written = False
        self.base_offset = -1
        self.log_append_time = -1
        self.error: Exception | None = None
        self.listeners: list[Callable[[Batch], None]] = []

    @property
    def done(self) -> bool:
        """Whether its fate is known."""
        return self.state is BatchState.DONE

    def stamp(
        self, codec: Codec, level: int | None, producer_id: int, epoch: int, sequence: int
    ) -> None:
        """Give it a sequence and make its bytes."""
        self.base_sequence = sequence
        self.data = build_batch(
            self.records,
            codec=codec,
            level=level,
            producer_id=producer_id,
            producer_epoch=epoch,
            base_sequence=sequence,
        )

    def finish(self, error: Exception | None) -> None:
        """Its fate is known: tell whoever waits."""
        self.state = BatchState.DONE
        self.error = error
        self.data = None
        listeners, self.listeners = self.listeners, []
        for listener in listeners:
            listener(self)
