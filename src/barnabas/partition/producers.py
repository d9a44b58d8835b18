"""Producer state of one partition: idempotence, fencing, open transactions, last stable offset.

The rules are those of Kafka's ProducerStateManager and ProducerAppendInfo (KIP-98, KIP-890). A
leader asks `check` (or `check_marker`) first and then appends; followers and recovery only append.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from barnabas.partition.producer_entry import (
    NO_EPOCH,
    NO_OFFSET,
    ProducerEntry,
    SentBatch,
    Verification,
)
from barnabas.records.batch import MAX_INT32, BatchHeader
from barnabas.wire.errors import ErrorCode

LATE_TRANSACTION_BUFFER_MS = 5 * 60 * 1000
"""Beyond the largest transaction timeout: older open transactions count as hanging."""

MAX_EPOCH = 0x7FFF
_OK: tuple[int, SentBatch | None] = (0, None)
_INVALID_EPOCH = (int(ErrorCode.INVALID_PRODUCER_EPOCH), None)
_OUT_OF_ORDER = (int(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER), None)
_INVALID_TXN_STATE = (int(ErrorCode.INVALID_TXN_STATE), None)


class CompletedTransaction(NamedTuple):
    """A transaction that its marker ended; one with `aborted` is an entry of the `.txnindex`."""

    producer_id: int
    first_offset: int
    last_offset: int
    """Offset of the marker."""
    aborted: bool
    last_stable_offset: int
    """First offset of the next open transaction of another producer, else behind the marker."""


class ProducerStates:
    """All producers that wrote to one partition, and its transactions.

    `end_offset` is what the state covers; set it when appending batches without producer id.
    """

    __slots__ = ("_completed", "_open", "_producers", "_unstable", "_verifications", "end_offset")

    def __init__(self, end_offset: int = 0) -> None:
        self.end_offset = end_offset
        self._producers: dict[int, ProducerEntry] = {}
        self._verifications: dict[int, Verification] = {}
        # Transactions begin in offset order, so insertion order is order by first offset.
        self._open: OrderedDict[int, int] = OrderedDict()
        """First offset -> producer id of undecided transactions."""
        self._unstable: OrderedDict[int, None] = OrderedDict()
        """First offsets of undecided ones, and of decided ones above the high watermark."""
        self._completed: deque[tuple[int, int]] = deque()
        """(marker offset, first offset) of decided ones above the high watermark."""

    @property
    def producers(self) -> Mapping[int, ProducerEntry]:
        """Producer id -> entry, read only (DescribeProducers)."""
        return MappingProxyType(self._producers)

    @property
    def verifications(self) -> int:
        """Transactions that a coordinator is being asked about, or that nothing was written in."""
        return len(self._verifications)

    @property
    def decided(self) -> int:
        """Transactions that are over, kept for as long as their markers may be undone."""
        return len(self._completed)

    def check(
        self,
        header: BatchHeader,
        guard: Verification | None = None,
        *,
        client: bool = True,
        verify: bool = True,
    ) -> tuple[int, SentBatch | None]:
        """(error code, duplicate) for a data batch with a producer id; (0, None) lets it pass.

        A duplicate of one of the last five batches is (0, the batch as it was appended): answer
        with its offsets, append nothing. Errors: INVALID_PRODUCER_EPOCH (47),
        OUT_OF_ORDER_SEQUENCE_NUMBER (45), INVALID_TXN_STATE (48). `client` False (a coordinator's
        own write) skips sequences; `verify` is `transaction.partition.verification.enable`, and
        `guard` what `start_verification` gave for this request.
        """
        producer_id = header.producer_id
        entry = self._producers.get(producer_id)
        transactional = header.is_transactional
        if (
            entry is not None
            and entry.epoch == header.producer_epoch
            and entry.next_sequence == header.base_sequence
            and (entry.txn_first_offset >= 0) == transactional
            and producer_id not in self._verifications
        ):
            return _OK
        return self._check_slowly(header, entry, guard, client, verify)

    def _check_slowly(
        self,
        header: BatchHeader,
        entry: ProducerEntry | None,
        guard: Verification | None,
        client: bool,
        verify: bool,
    ) -> tuple[int, SentBatch | None]:
        epoch = header.producer_epoch
        verification = self._verifications.get(header.producer_id)
        if entry is not None:
            if client and (duplicate := entry.duplicate_of(header)):
                return 0, duplicate
            if epoch < entry.epoch:
                return _INVALID_EPOCH
        if header.is_transactional and verify and not self._ongoing(entry, epoch):  # noqa: SIM102
            if guard is None or guard is not verification:
                return _INVALID_TXN_STATE
        if client and not _in_sequence(header, entry, verification):
            return _OUT_OF_ORDER
        if entry is not None and entry.txn_first_offset >= 0 and not header.is_transactional:
            return _INVALID_TXN_STATE
        return _OK

    @staticmethod
    def _ongoing(entry: ProducerEntry | None, epoch: int) -> bool:
        return entry is not None and entry.txn_first_offset >= 0 and entry.epoch == epoch

    def has_ongoing_transaction(self, producer_id: int, epoch: int) -> bool:
        """Whether the producer has a transaction open here under this very epoch."""
        return self._ongoing(self._producers.get(producer_id), epoch)

    def start_verification(
        self, producer_id: int, sequence: int, epoch: int, supports_epoch_bump: bool, now_ms: int
    ) -> tuple[int, Verification | None]:
        """(error code, guard) before asking the coordinator whether the transaction is real.

        (0, None): open already, nothing to ask. With a guard: ask, then `check` with it. The
        error is INVALID_PRODUCER_EPOCH (47). `supports_epoch_bump`: the client uses transactions
        of version 2 (Produce v12+).
        """
        entry = self._producers.get(producer_id)
        if entry is not None and epoch < entry.epoch:
            return int(ErrorCode.INVALID_PRODUCER_EPOCH), None
        if self._ongoing(entry, epoch):
            return 0, None
        verification = self._verifications.get(producer_id)
        if verification is None:
            verification = Verification(now_ms, sequence, epoch, supports_epoch_bump)
            self._verifications[producer_id] = verification
        else:
            verification.saw(sequence, epoch)
        return 0, verification

    def forget_verification(self, producer_id: int) -> None:
        """The coordinator has never given this producer id to who uses it: nothing will follow."""
        self._verifications.pop(producer_id, None)

    def append(self, header: BatchHeader, base_offset: int, timestamp: int) -> None:
        """Take note of a data batch with a producer id, appended at `base_offset`.

        `timestamp` is the batch's max timestamp as stored (ms). Never refuses: replicas and
        recovery believe the log.
        """
        producer_id = header.producer_id
        entry = self._producers.get(producer_id)
        if entry is None:
            entry = self._producers[producer_id] = ProducerEntry(producer_id)
        entry.add(header, base_offset, timestamp)
        self.end_offset = base_offset + header.last_offset_delta + 1
        if header.is_transactional:
            self._verifications.pop(producer_id, None)
            if entry.txn_first_offset < 0:
                entry.txn_first_offset = base_offset
                self._open[base_offset] = producer_id
                self._unstable[base_offset] = None

    def check_marker(
        self, producer_id: int, epoch: int, coordinator_epoch: int, transaction_version: int
    ) -> int:
        """Error code for a transaction marker that a coordinator sends; 0 lets it pass.

        INVALID_PRODUCER_EPOCH (47): older than what is known; with transactions of version 2 also
        the same epoch, unless it repeats a marker (KAFKA-19999) or the epoch cannot rise.
        TRANSACTION_COORDINATOR_FENCED (52): a marker of a newer coordinator was seen.
        """
        entry = self._producers.get(producer_id)
        if epoch < (NO_EPOCH if entry is None else entry.epoch):
            return int(ErrorCode.INVALID_PRODUCER_EPOCH)
        if entry is None:
            fenced = coordinator_epoch < NO_EPOCH
            return int(ErrorCode.TRANSACTION_COORDINATOR_FENCED) if fenced else 0
        stale = transaction_version >= 2 and epoch == entry.epoch
        if stale and entry.txn_first_offset >= 0 and epoch != MAX_EPOCH:
            return int(ErrorCode.INVALID_PRODUCER_EPOCH)
        if coordinator_epoch < entry.coordinator_epoch:
            return int(ErrorCode.TRANSACTION_COORDINATOR_FENCED)
        return 0

    def append_marker(
        self,
        producer_id: int,
        epoch: int,
        offset: int,
        timestamp: int,
        *,
        commit: bool,
        coordinator_epoch: int,
    ) -> CompletedTransaction | None:
        """Take note of a marker at `offset`; what it ended, or None when nothing was open.

        `timestamp` is that of the marker record (ms). Write the result to the transaction index
        when it is `aborted`. The last stable offset moves once the high watermark has passed.
        """
        entry = self._producers.get(producer_id)
        if entry is None:
            entry = self._producers[producer_id] = ProducerEntry(producer_id)
        first_offset = entry.txn_first_offset
        entry.end_transaction(epoch, coordinator_epoch, timestamp)
        self.end_offset = offset + 1
        verification = self._verifications.get(producer_id)
        # A version 2 producer may have begun its next transaction under the marker's epoch.
        if verification is not None and not (
            verification.supports_epoch_bump and verification.epoch == epoch
        ):
            del self._verifications[producer_id]
        if first_offset < 0:
            return None
        self._open.pop(first_offset, None)
        self._completed.append((offset, first_offset))
        stable = next(iter(self._open), offset + 1)
        return CompletedTransaction(producer_id, first_offset, offset, not commit, stable)

    def first_unstable_offset(self, high_watermark: int) -> int | None:
        """First offset of a transaction undecided, or decided by a marker not below the watermark.

        Forgets what was decided below `high_watermark`, which must never go back.
        """
        completed = self._completed
        while completed and completed[0][0] < high_watermark:
            self._unstable.pop(completed.popleft()[1], None)
        return next(iter(self._unstable), None)

    def last_stable_offset(self, high_watermark: int) -> int:
        """How far read_committed consumers may read; the log start still bounds it from below."""
        first = self.first_unstable_offset(high_watermark)
        return high_watermark if first is None else min(first, high_watermark)

    def has_late_transaction(self, now_ms: int, max_transaction_timeout_ms: int) -> bool:
        """Whether the oldest open transaction hangs (PartitionsWithLateTransactionsCount)."""
        producer_id = next(iter(self._open.values()), None)
        if producer_id is None:
            return False
        last = self._producers[producer_id].last_timestamp
        return 0 < last < now_ms - max_transaction_timeout_ms - LATE_TRANSACTION_BUFFER_MS

    def expire(self, now_ms: int, expiration_ms: int) -> int:
        """Forget producers idle for `producer.id.expiration.ms`, without open transaction; count."""
        idle = [pid for pid, entry in self._producers.items() if entry.idle(now_ms, expiration_ms)]
        for producer_id in idle:
            del self._producers[producer_id]
        lingering = [
            pid
            for pid, verification in self._verifications.items()
            if now_ms - verification.started_ms >= expiration_ms
        ]
        for producer_id in lingering:
            del self._verifications[producer_id]
        return len(idle)

    def log_start_moved(self, log_start: int) -> None:
        """The log now starts at `log_start`: transactions decided below it no longer matter."""
        self.first_unstable_offset(log_start)
        self.end_offset = max(self.end_offset, log_start)

    def truncate(self, end_offset: int) -> None:
        """Forget everything; the caller loads a snapshot and replays the log up to its new end."""
        self._producers.clear()
        self._open.clear()
        self._unstable.clear()
        self._completed.clear()
        self._verifications.clear()
        self.end_offset = end_offset

    def load(
        self, entries: Iterable[ProducerEntry], end_offset: int, now_ms: int, expiration_ms: int
    ) -> None:
        """Start from a snapshot that covers everything below `end_offset`; leaves out the idle."""
        self.truncate(end_offset)
        for entry in entries:
            if not entry.idle(now_ms, expiration_ms):
                self._producers[entry.producer_id] = entry
        opened = sorted(
            (entry.txn_first_offset, entry.producer_id)
            for entry in self._producers.values()
            if entry.txn_first_offset != NO_OFFSET
        )
        for first_offset, producer_id in opened:
            self._open[first_offset] = producer_id
            self._unstable[first_offset] = None


def _in_sequence(
    header: BatchHeader, entry: ProducerEntry | None, verification: Verification | None
) -> bool:
    """Whether a client's batch continues what is known of its producer."""
    sequence = header.base_sequence
    if verification is not None:
        nothing_known = entry is None or not entry.batches
        if verification.supports_epoch_bump and sequence != 0 and nothing_known:
            return False
        if sequence > verification.lowest_sequence:
            return False
    if entry is None or entry.epoch == NO_EPOCH:
        return True
    if header.producer_epoch != entry.epoch:
        return sequence == 0
    last = entry.last_sequence
    return sequence == last + 1 or (sequence == 0 and last == MAX_INT32)
