"""The cleaning itself: from the segments of a `Plan` to `.cleaned` ones, over any disk.

First the dirty part is read into a map from key to newest offset, then all segments from the
oldest on are written anew with what is still needed. It runs for long and decides nothing that
the plan does not say, so that it may run in another process (`ports.Executor.stream`). It touches
no file but its own `.cleaned` ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from barnabas.log import names, offset_index, txn_index
from barnabas.log.checkpoints import read_file
from barnabas.log.cleaning.offset_map import SLOT_BYTES, OffsetMap
from barnabas.log.cleaning.output import CleanedSegment
from barnabas.log.cleaning.plan import CleanedGroup, Plan, Source, Summary
from barnabas.log.cleaning.rewrite import Kept, Rewriter, control_kind, keys_of, unwrap_old
from barnabas.log.cleaning.transactions import CleanedTransactions
from barnabas.log.errors import LogDamaged
from barnabas.log.lookup import pread_blocking
from barnabas.log.rebuild import MAX_INDEX_BYTES
from barnabas.log.scan import whole_batches
from barnabas.log.txn_index import AbortedTxn
from barnabas.ports import Bench, Disk
from barnabas.records.batch import MAGIC, MAGIC_OFFSET, BatchHeader, read_header
from barnabas.records.errors import CorruptRecord
from barnabas.records.legacy import read_message

PACE_BYTES = 64 << 10
"""Read between two looks at the pace."""
MIN_LOAD = 1e-6
COUNT_BYTES = 64 << 20
"""Up to so many dirty bytes their records are counted first, so that the map is no larger."""


def clean(plan: Plan, bench: Bench) -> Iterator[CleanedGroup | Summary]:
    """Each group of segments as soon as it is done, oldest first, then the summary.

    Raises `LogDamaged` for what is no log, `OSError`.
    """
    return _Cleaning(plan, bench).run()


def group_sources(plan: Plan, end_offset: int) -> list[list[Source]]:
    """Neighbours below `end_offset` that fit into one segment: so that segments do not get ever
    smaller. Kafka's bounds: size of data and of either index, and the range of offsets."""
    sources = [one for one in plan.sources if one.base < end_offset]
    groups: list[list[Source]] = []
    room = Source(0, 0, 0, 0, False)
    for at, one in enumerate(sources):
        end = sources[at + 1].base if at + 1 < len(sources) else plan.first_uncleanable
        size = room.size + one.size
        offset_bytes = room.offset_bytes + one.offset_bytes
        time_bytes = room.time_bytes + one.time_bytes
        joins = (
            groups
            and size <= plan.segment_bytes
            and max(offset_bytes, time_bytes) <= plan.segment_index_bytes
            and (one.size == 0 or end - 1 - groups[-1][0].base <= offset_index.MAX_RELATIVE)
        )
        if joins:
            groups[-1].append(one)
            room = Source(0, size, offset_bytes, time_bytes, False)
        else:
            groups.append([one])
            room = one
    return groups


class _Cleaning:
    def __init__(self, plan: Plan, bench: Bench) -> None:
        self._plan = plan
        self._bench = bench
        self._disk: Disk = bench.disk
        self._read = self._written = 0

    def run(self) -> Iterator[CleanedGroup | Summary]:
        plan = self._plan
        newest = OffsetMap(self._slots(), plan.load_factor, plan.first_dirty)
        aborted = self._aborted()
        # One that ended before the dirty part says nothing of its producer's next transaction.
        ahead = [txn for txn in aborted if txn.last_offset >= plan.first_dirty]
        self._build_map(newest, CleanedTransactions(ahead))
        end = newest.latest + 1
        transactions = CleanedTransactions(aborted)
        rewriter = Rewriter(plan, newest, transactions)
        old_horizon = self._old_horizon()
        for group in group_sources(plan, end):
            yield self._rewrite(group, rewriter, transactions, old_horizon)
        used = len(newest) / max(1, plan.map_bytes // SLOT_BYTES)
        yield Summary(end, self._read, self._written, rewriter.broken, min(used, 1.0))

    def _path(self, base: int, suffix: str) -> str:
        return f"{self._plan.directory}/{names.offset_name(base)}{suffix}"

    def _dirty(self) -> list[tuple[Source, int]]:
        """The sources with dirty records, and where each ends."""
        plan = self._plan
        ends = [*(one.base for one in plan.sources[1:]), plan.first_uncleanable]
        both = zip(plan.sources, ends, strict=True)
        return [(source, end) for source, end in both if end > plan.first_dirty]

    def _slots(self) -> int:
        """As many as the memory allows, and of use."""
        most = max(1, self._plan.map_bytes // SLOT_BYTES)
        dirty = self._dirty()
        if sum(source.size for source, _ in dirty) > COUNT_BYTES:
            return most
        count = 0
        for source, _ in dirty:
            for batch in self._batches(source, 0):
                if batch[MAGIC_OFFSET] != MAGIC:
                    return most  # how many are in an old message only their content tells
                count += max(0, read_header(batch).records_count)
        return min(most, int((count + 2) / max(self._plan.load_factor, MIN_LOAD)) + 16)

    def _batches(self, source: Source, position: int) -> Iterator[memoryview]:
        """The batches of a source; reading goes at the pace that the bench allows."""
        file = self._disk.open(self._path(source.base, names.LOG))
        try:
            paced = position
            for at, batch in whole_batches(file, position, source.size, self._plan.read_bytes):
                if at - paced >= PACE_BYTES:
                    self._bench.moved(at - paced)
                    paced = at
                yield batch
            self._bench.moved(source.size - paced)
        finally:
            file.close()

    def _aborted(self) -> list[AbortedTxn]:
        """All that a transaction index from the oldest segment on says."""
        plan = self._plan
        bases = [one.base for one in plan.sources if one.has_txns]
        found: list[AbortedTxn] = []
        for base in (*bases, *plan.later_txns):
            data = read_file(self._disk, self._path(base, names.TXN_INDEX), MAX_INDEX_BYTES)
            try:
                found += txn_index.decode(data or b"")
            except ValueError as error:
                raise LogDamaged(f"{self._path(base, names.TXN_INDEX)}: {error}") from error
        return found

    def _old_horizon(self) -> int:
        """Tombstones of magic 0 and 1 have no horizon of their own: they go once the newest clean
        segment was modified `delete.retention.ms` after the one that holds them."""
        plan = self._plan
        clean = [one for one in plan.sources if one.base < plan.first_dirty]
        if not clean:
            return 0
        when = self._disk.modified_ms(self._path(clean[-1].base, names.LOG))
        return when - plan.delete_retention_ms

    # -- the map ---------------------------------------------------------------------------------

    def _build_map(self, newest: OffsetMap, transactions: CleanedTransactions) -> None:
        for source, end in self._dirty():
            if not self._map_segment(source, newest, transactions):
                return
            newest.latest = max(newest.latest, end - 1)  # there may be a gap before the next

    def _map_segment(
        self, source: Source, newest: OffsetMap, transactions: CleanedTransactions
    ) -> bool:
        """False when the map is full."""
        start = self._plan.first_dirty
        for batch in self._batches(source, self._position(source, start)):
            if batch[MAGIC_OFFSET] != MAGIC:
                message = read_message(batch)
                records = unwrap_old(message)
                keys = [record.key for record in records]
                offsets = [record.offset for record in records]
                if not newest.put_all(keys, offsets, 0):
                    return False
                last = message.offset
            else:
                header = read_header(batch)
                last = header.last_offset
                if not self._map_batch(batch, header, newest, transactions):
                    return False
            if last >= start:
                newest.latest = max(newest.latest, last)
        return True

    def _map_batch(
        self,
        batch: memoryview,
        header: BatchHeader,
        newest: OffsetMap,
        transactions: CleanedTransactions,
    ) -> bool:
        if header.is_control:
            transactions.on_control(header, control_kind(batch, header))
            return True
        if transactions.on_data(header) or not header.records_count:
            return True
        try:
            columns = keys_of(batch, header)[1]
        except CorruptRecord:
            return True  # it will be kept as it is, and what is older with it
        return newest.put_all(columns.keys, columns.offset_deltas, header.base_offset)

    def _position(self, source: Source, offset: int) -> int:
        """Where the index says that reading for `offset` has to begin."""
        if offset <= source.base or not source.offset_bytes:
            return 0
        index = self._disk.open(self._path(source.base, names.OFFSET_INDEX))
        try:
            found = offset_index.lookup(
                index, source.offset_bytes, source.base, offset, pread_blocking
            )
            return found[1]
        finally:
            index.close()

    # -- the new segments ------------------------------------------------------------------------

    def _rewrite(
        self,
        group: Sequence[Source],
        rewriter: Rewriter,
        transactions: CleanedTransactions,
        old_horizon: int,
    ) -> CleanedGroup:
        plan = self._plan
        out = CleanedSegment(self._disk, plan.directory, group[0].base, plan.index_interval_bytes)
        try:
            for source in group:
                path = self._path(source.base, names.LOG)
                modified = self._disk.modified_ms(path)
                self._rewrite_segment(source, out, rewriter, modified > old_horizon)
                self._read += source.size
            self._written += out.size
            needed, transactions.needed = transactions.needed, []
            return out.finish(tuple(one.base for one in group), needed, modified)
        finally:
            out.close()

    def _rewrite_segment(
        self, source: Source, out: CleanedSegment, rewriter: Rewriter, keep_deletes: bool
    ) -> None:
        for batch in self._batches(source, 0):
            kept: Kept | None
            if batch[MAGIC_OFFSET] == MAGIC:
                kept = rewriter.rewrite(batch, read_header(batch))
            else:
                kept = rewriter.rewrite_old(bytes(batch), read_message(batch), keep_deletes)
            if kept is not None:
                out.add(kept)
                self._bench.moved(out.flush())
