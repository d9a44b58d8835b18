"""The history of a produce/fetch workload, as its clients saw it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import NamedTuple


class Partition(NamedTuple):
    """One partition of one incarnation of a topic: a topic created anew has another id."""

    topic_id: bytes
    number: int


class Violation(NamedTuple):
    """An invariant that does not hold, and the evidence."""

    rule: str
    text: str


class Outcome(Enum):
    """How a send ended."""

    UNKNOWN = 0
    """No answer, or one that does not say: the records may be in the log, now or later."""
    ACKED = 1
    REFUSED = 2
    """An error that says that nothing was appended."""


class Guarantee(IntEnum):
    """What an acknowledgement promised to survive."""

    NOTHING = 0
    PROCESS = 1
    """The end of the process (`kill -9`)."""
    POWER = 2
    """A power cut."""


@dataclass(slots=True)
class Send:
    """One batch, or one record, that a producer gave away. Its values are unique in the history."""

    client: str
    partition: Partition
    values: tuple[bytes, ...]
    guarantee: Guarantee
    once: bool
    """It must not be in the log twice: idempotent, or never repeated."""
    begun: int
    """Number of the moment, see `History.tick`."""
    era: int
    outcome: Outcome = Outcome.UNKNOWN
    base_offset: int = -1
    """Where the first value is, once acknowledged; -1 with acks=0."""
    ended: int | None = None
    same_era: bool = True
    """It was acknowledged in the era in which it began."""


class BatchSpan(NamedTuple):
    """What a batch's header says."""

    producer_id: int
    producer_epoch: int
    base_sequence: int
    base_offset: int
    records: int


@dataclass(slots=True)
class Read:
    """One answer to a fetch of one partition."""

    reader: str
    partition: Partition
    begun: int
    ended: int
    era: int
    offset: int
    """Where it was asked to begin."""
    high_watermark: int
    last_stable_offset: int
    log_start_offset: int
    records: list[tuple[int, bytes]]
    """(offset, value), from `offset` on."""
    out_of_range: bool = False


@dataclass(slots=True)
class Contents:
    """All that a partition holds at the end."""

    start: int
    end: int
    records: list[tuple[int, bytes]]
    batches: list[BatchSpan]


@dataclass(slots=True)
class History:
    """Everything that was sent and read, with a clock of its own."""

    sends: list[Send] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    contents: dict[Partition, Contents] = field(default_factory=dict)
    era: int = 0
    """Grows with every power cut: what was only in the page cache may be gone."""
    synced: set[bytes] = field(default_factory=set)
    """Topics whose high watermark follows the disk, so that consumers see nothing that a power
    cut takes back."""
    expiring: set[bytes] = field(default_factory=set)
    """Topics with retention: their log start may rise."""
    now: int = 0

    def tick(self) -> int:
        """The number of this moment: later moments have larger ones."""
        self.now += 1
        return self.now

    def send(
        self,
        client: str,
        partition: Partition,
        values: tuple[bytes, ...],
        guarantee: Guarantee,
        *,
        once: bool,
    ) -> Send:
        """Note that a send begins. Finish it with `ack`, `refuse`, or never."""
        sent = Send(client, partition, values, guarantee, once, self.tick(), self.era)
        self.sends.append(sent)
        return sent

    def ack(self, sent: Send, base_offset: int) -> None:
        """It was acknowledged."""
        sent.outcome, sent.base_offset, sent.ended = Outcome.ACKED, base_offset, self.tick()
        sent.same_era = sent.era == self.era

    def refuse(self, sent: Send) -> None:
        """It was refused for good."""
        sent.outcome, sent.ended = Outcome.REFUSED, self.tick()

    def comparable(self, topic_id: bytes, era: int, other: int) -> bool:
        """Whether what consumers saw in two eras has to agree."""
        return era == other or topic_id in self.synced

    def is_whole(self, topic_id: bytes) -> bool:
        """Whether no power cut can have taken anything out of the topic's logs."""
        return self.era == 0 or topic_id in self.synced
