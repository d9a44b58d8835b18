"""What a partition must hold at the end: everything promised, nothing else, once, in order."""

from __future__ import annotations

from barnabas.testing.checkers.history import (
    Contents,
    Guarantee,
    History,
    Outcome,
    Partition,
    Send,
    Violation,
)


def check_contents(history: History, partition: Partition, contents: Contents) -> list[Violation]:
    """Check the end state of one partition against what was sent to it and read from it."""
    sends = [sent for sent in history.sends if sent.partition == partition]
    return [
        *_dense(history, partition, contents),
        *_nothing_lost(history, contents, sends),
        *_nothing_else(contents, sends),
        *_once(contents, sends),
        *_sequences(contents),
        *_order(sends),
        *_as_read(history, partition, contents),
    ]


def _dense(history: History, partition: Partition, contents: Contents) -> list[Violation]:
    """P4: offsets without gaps from the start to the end. S2: the start moves by retention only.

    Where nothing is synced a power cut may take the end of a segment and leave the next one.
    """
    found = []
    offsets = [offset for offset, _ in contents.records]
    missing = sorted(set(range(contents.start, contents.end)) - set(offsets))
    if offsets != sorted(set(offsets)) or (missing and history.is_whole(partition.topic_id)):
        text = f"from {contents.start} to {contents.end} without {missing}: {offsets}"
        found.append(Violation("P4", f"{partition}: {text}"))
    kept = partition.topic_id not in history.expiring and history.is_whole(partition.topic_id)
    if contents.start > 0 and kept:
        found.append(Violation("S2", f"{partition}: starts at {contents.start} without retention"))
    return found


def _nothing_lost(history: History, contents: Contents, sends: list[Send]) -> list[Violation]:
    """P1: what was acknowledged is where the acknowledgement said."""
    at = dict(contents.records)
    found = []
    for sent in sends:
        promised = sent.guarantee == Guarantee.POWER or (
            sent.guarantee == Guarantee.PROCESS and sent.era == history.era
        )
        if sent.outcome is not Outcome.ACKED or not promised or sent.base_offset < 0:
            continue
        for offset, value in enumerate(sent.values, sent.base_offset):
            if offset >= contents.start and at.get(offset) != value:
                text = f"{value!r} was acknowledged at {offset}, there is {at.get(offset)!r}"
                found.append(Violation("lost", f"{sent.partition}: {text}"))
    return found


def _nothing_else(contents: Contents, sends: list[Send]) -> list[Violation]:
    """Nothing that was not sent here, and nothing that was refused."""
    sent_values = {value: sent for sent in sends for value in sent.values}
    found = []
    for offset, value in contents.records:
        sent = sent_values.get(value)
        if sent is None:
            found.append(Violation("phantom", f"{value!r} at {offset} was never sent there"))
        elif sent.outcome is Outcome.REFUSED:
            found.append(Violation("refused", f"{value!r} at {offset} was refused"))
    return found


def _once(contents: Contents, sends: list[Send]) -> list[Violation]:
    """T1: no duplicates of what must not be there twice."""
    once = {value for sent in sends if sent.once for value in sent.values}
    seen: dict[bytes, int] = {}
    found = []
    for offset, value in contents.records:
        if value in seen and value in once:
            found.append(Violation("T1", f"{value!r} at {seen[value]} and again at {offset}"))
        seen[value] = offset
    return found


def _sequences(contents: Contents) -> list[Violation]:
    """T1: sequences of a producer grow along the log; its epoch never falls."""
    last: dict[int, tuple[int, int]] = {}
    found = []
    for batch in contents.batches:
        if batch.producer_id < 0:
            continue
        epoch, sequence = last.get(batch.producer_id, (-1, -1))
        here = (batch.producer_epoch, batch.base_sequence)
        if here <= (epoch, sequence):
            found.append(Violation("T1", f"{batch} behind epoch {epoch}, sequence {sequence}"))
        last[batch.producer_id] = (batch.producer_epoch, batch.base_sequence + batch.records - 1)
    return found


def _order(sends: list[Send]) -> list[Violation]:
    """P5: who was acknowledged before another began has the lower offset."""
    acked = [s for s in sends if s.outcome is Outcome.ACKED and s.base_offset >= 0 and s.same_era]
    ends = sorted(acked, key=lambda s: s.ended or 0)
    found = []
    highest: Send | None = None
    done = 0
    for sent in sorted(acked, key=lambda s: s.begun):
        if highest is not None and highest.era != sent.era:
            highest = None
        while done < len(ends) and (ends[done].ended or 0) < sent.begun:
            ended = ends[done]
            done += 1
            if ended.era == sent.era and (
                highest is None or ended.base_offset > highest.base_offset
            ):
                highest = ended
        if highest is not None and sent.base_offset <= highest.base_offset:
            text = f"{sent.values[0]!r} at {sent.base_offset} came after {highest.values[0]!r}"
            found.append(Violation("order", f"{text} at {highest.base_offset}"))
    return found


def _as_read(history: History, partition: Partition, contents: Contents) -> list[Violation]:
    """P6: what was read at an offset is still there."""
    at = dict(contents.records)
    found = []
    for read in history.reads:
        if read.partition != partition:
            continue
        if not history.comparable(partition.topic_id, read.era, history.era):
            continue
        for offset, value in read.records:
            if offset >= contents.start and at.get(offset) != value:
                text = f"{read.reader} read {value!r} at {offset}, there is {at.get(offset)!r}"
                found.append(Violation("P6", f"{partition}: {text}"))
        if contents.end < read.high_watermark:
            text = f"ends at {contents.end}, {read.reader} was told {read.high_watermark}"
            found.append(Violation("P6", f"{partition}: {text}"))
    return found
