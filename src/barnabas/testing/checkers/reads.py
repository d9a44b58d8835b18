"""What consumers may see while a run goes on."""

from __future__ import annotations

from barnabas.testing.checkers.history import History, Partition, Read, Violation


def check_reads(history: History) -> list[Violation]:
    """P4, P6, P7, P9 and S2 on every answer to a fetch."""
    found: list[Violation] = []
    by_partition: dict[Partition, list[Read]] = {}
    for read in history.reads:
        found += _one(history, read)
        by_partition.setdefault(read.partition, []).append(read)
    for partition, reads in by_partition.items():
        found += _repeatable(history, partition, reads)
        found += _monotonic(history, partition, reads)
        found += _unsent(history, partition, reads)
    return found


def _one(history: History, read: Read) -> list[Violation]:
    """P9: log start <= LSO <= HW, and records below it. P4: a contiguous slice."""
    found: list[Violation] = []
    who = f"{read.reader} at {read.offset} of {read.partition}"
    start, stable, high = read.log_start_offset, read.last_stable_offset, read.high_watermark
    if read.out_of_range:
        return found
    if not 0 <= start <= high or not stable <= high:
        found.append(Violation("P9", f"{who}: log start {start}, LSO {stable}, HW {high}"))
    expected = read.offset
    for offset, value in read.records:
        whole = history.is_whole(read.partition.topic_id)
        if offset < expected or (offset != expected and whole):
            found.append(Violation("P4", f"{who}: {offset} where {expected} was due"))
        if offset >= high:
            found.append(Violation("P6", f"{who}: {value!r} at {offset} is not below HW {high}"))
        expected = offset + 1
    return found


def _repeatable(history: History, partition: Partition, reads: list[Read]) -> list[Violation]:
    """P6: two reads of an offset see the same value."""
    found = []
    seen: dict[int, tuple[bytes, Read]] = {}
    for read in reads:
        for offset, value in read.records:
            before = seen.get(offset)
            if before is not None and before[0] != value:
                other = before[1]
                if history.comparable(partition.topic_id, read.era, other.era):
                    text = f"{other.reader} read {before[0]!r}, then {read.reader} {value!r}"
                    found.append(Violation("P6", f"{partition} at {offset}: {text}"))
            seen[offset] = (value, read)
    return found


def _monotonic(history: History, partition: Partition, reads: list[Read]) -> list[Violation]:
    """P7: the high watermark and the log start never fall; nobody is sent back behind them."""
    found = []
    ends = sorted(reads, key=lambda read: read.ended)
    told: Read | None = None
    start = 0
    done = 0
    for read in sorted(reads, key=lambda read: read.begun):
        while done < len(ends) and ends[done].ended < read.begun:
            before = ends[done]
            done += 1
            start = max(start, before.log_start_offset)
            if told is None or before.high_watermark > told.high_watermark:
                told = before
        if told is not None and not history.comparable(partition.topic_id, told.era, read.era):
            told, start = None, 0
        if read.out_of_range:
            known = told is not None and read.offset <= told.high_watermark
            if known and history.is_whole(partition.topic_id) and not _expires(history, partition):
                text = f"{read.reader} at {read.offset}: out of range"
                found.append(Violation("P7", f"{partition}: {text}"))
            continue
        if told is not None and read.high_watermark < told.high_watermark:
            text = f"{read.reader} HW {read.high_watermark} after {told.high_watermark}"
            found.append(Violation("P7", f"{partition}: {text}"))
        if read.log_start_offset < start:
            text = f"{read.reader} log start {read.log_start_offset} after {start}"
            found.append(Violation("P7", f"{partition}: {text}"))
        kept = not _expires(history, partition) and history.is_whole(partition.topic_id)
        if read.log_start_offset > 0 and kept:
            text = f"log start {read.log_start_offset} without retention"
            found.append(Violation("S2", f"{partition}: {text}"))
    return found


def _expires(history: History, partition: Partition) -> bool:
    return partition.topic_id in history.expiring


def _unsent(history: History, partition: Partition, reads: list[Read]) -> list[Violation]:
    """Nobody reads what nobody has sent yet."""
    begun = {
        value: sent.begun
        for sent in history.sends
        if sent.partition == partition
        for value in sent.values
    }
    return [
        Violation("phantom", f"{read.reader} read {value!r} at {offset}, which was not sent yet")
        for read in reads
        for offset, value in read.records
        if begun.get(value, read.ended) >= read.ended
    ]
