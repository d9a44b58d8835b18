"""Records there and back, whatever they hold; producer state beside a plain model."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from barnabas.partition.epochs import LeaderEpochs
from barnabas.partition.producer_entry import decode_snapshot, encode_snapshot
from barnabas.partition.producers import ProducerStates
from barnabas.records.batch import crc_valid, iter_batches, read_header
from barnabas.records.builder import NewRecord, build_batch, rebuild_batch
from barnabas.records.compression import compress, decompress
from barnabas.records.control import EndMarker, build_marker, read_marker
from barnabas.records.errors import CorruptRecord
from barnabas.records.record import Record, decode_columns, read_records
from barnabas.records.validate import ProduceRules, check_produce, walk

INT64 = st.integers(-(2**62), 2**62)
CONTENT = st.none() | st.binary(max_size=300)
HEADERS = st.lists(st.tuples(st.text(max_size=8), CONTENT), max_size=3).map(tuple)
ROWS = st.lists(st.tuples(CONTENT, CONTENT, INT64, HEADERS), min_size=1, max_size=40)
CODECS = st.integers(0, 4)
LIMIT = 1 << 20


@given(ROWS, CODECS, st.integers(0, 2**62), st.integers(-1, 2**31 - 1))
def test_records_there_and_back(rows: list[NewRecord], codec: int, base: int, epoch: int) -> None:
    batch = build_batch(rows, codec=codec, base_offset=base, leader_epoch=epoch)
    header = read_header(batch)
    assert header.size == len(batch)
    assert crc_valid(batch, 0, len(batch))
    assert (header.base_offset, header.leader_epoch) == (base, epoch)
    assert header.max_timestamp == max(-1, *(row[2] for row in rows))
    read = read_records(batch, limit=LIMIT)
    assert [(r.key, r.value, r.timestamp, r.headers) for r in read] == rows
    assert [r.offset for r in read] == list(range(base, base + len(rows)))


@given(ROWS, CODECS, st.data())
def test_compaction_leaves_the_rest_alone(
    rows: list[NewRecord], codec: int, data: st.DataObject
) -> None:
    batch = build_batch(rows, codec=codec, base_offset=9)
    records = read_records(batch, limit=LIMIT)
    kept = data.draw(st.lists(st.sampled_from(records), unique_by=id).map(sorted_by_offset))
    thin = rebuild_batch(read_header(batch), kept)
    assert read_records(thin, limit=LIMIT) == kept
    assert read_header(thin).last_offset == 9 + len(rows) - 1
    assert crc_valid(thin, 0, len(thin))


def sorted_by_offset(records: list[Record]) -> list[Record]:
    """Records as they stand in a batch."""
    return sorted(records, key=lambda record: record.offset)


@given(st.binary(max_size=5000), CODECS, st.integers(-1, 9))
def test_codecs_there_and_back(data: bytes, codec: int, level: int) -> None:
    packed = compress(codec, data * 5, level if codec in (1, 4) and level else None)
    assert decompress(codec, packed, len(data) * 5) == data * 5


@given(st.binary(max_size=200), CODECS, st.integers(0, 300))
def test_any_bytes_inflate_to_no_more_than_allowed(data: bytes, codec: int, limit: int) -> None:
    try:
        assert len(decompress(codec, data, limit)) <= limit
    except CorruptRecord:
        return


@given(st.binary(max_size=200), st.integers(-5, 50))
def test_any_bytes_as_records(data: bytes, count: int) -> None:
    try:
        columns = decode_columns(data, count)
    except CorruptRecord:
        return
    assert [len(column) for column in columns] == [count] * 5


@given(ROWS, CODECS, st.binary(min_size=1, max_size=6), st.data())
def test_a_produced_batch_is_answered_whatever_it_holds(
    rows: list[NewRecord], codec: int, noise: bytes, data: st.DataObject
) -> None:
    batch = build_batch(rows, codec=codec)
    at = data.draw(st.integers(0, len(batch) - 1))
    batch[at : at + len(noise)] = noise[: len(batch) - at]
    rules = ProduceRules(max_bytes=LIMIT, segment_bytes=LIMIT, after_ms=2**60, full=True)
    error, header, must_walk = check_produce(batch, rules, 0, 9)
    if error == 0:
        assert must_walk
        assert header is not None
        assert walk(batch, header, rules, 0, limit=LIMIT).error_code in (0, 10, 32, 87)


@given(st.lists(st.tuples(ROWS, CODECS), max_size=4), st.integers(0, 500))
def test_batches_are_found_one_after_the_other(
    parts: list[tuple[list[NewRecord], int]], cut: int
) -> None:
    batches = [build_batch(rows, codec=codec) for rows, codec in parts]
    data = b"".join(batches)
    end = max(0, len(data) - cut)
    found = [data[pos : pos + header.size] for pos, header in iter_batches(data[:end])]
    whole: list[bytearray] = []
    for batch in batches:
        if sum(map(len, whole)) + len(batch) > end:
            break
        whole.append(batch)
    assert found == whole


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["data", "transaction", "commit", "abort"]),
        st.integers(0, 3),
        st.integers(1, 4),
        st.integers(0, 3),
    ),
    max_size=60,
)


OPEN = 2**62


@dataclass
class Transaction:
    """One transaction of the model; `marker` is its offset, far away while there is none."""

    producer: int
    first: int
    marker: int = OPEN


@given(OPERATIONS)
def test_transactions_beside_a_model(operations: list[tuple[str, int, int, int]]) -> None:
    """The first unstable offset, from the whole history instead of from what is kept of it."""
    states = ProducerStates()
    history: list[Transaction] = []
    watermark = 0
    sequences = dict.fromkeys(range(4), 0)
    for kind, pid, count, lag in operations:
        opened = [txn for txn in history if txn.producer == pid and txn.marker == OPEN]
        offset = states.end_offset
        if kind in ("data", "transaction"):
            transactional = kind == "transaction"
            batch = build_batch(
                [(None, b"", 0, ())] * count,
                producer_id=pid,
                producer_epoch=0,
                base_sequence=sequences[pid],
                transactional=transactional,
            )
            error, duplicate = states.check(read_header(batch), verify=False)
            assert duplicate is None
            assert error == (48 if opened and not transactional else 0)
            if error:
                continue
            states.append(read_header(batch), offset, 0)
            sequences[pid] += count
            if transactional and not opened:
                history.append(Transaction(pid, offset))
        else:
            mark = EndMarker(kind == "commit", 0)
            record = read_records(build_marker(pid, 0, mark, 0), limit=99)[0]
            ended = states.append_marker(
                pid, 0, offset, 0, commit=read_marker(record).commit, coordinator_epoch=0
            )
            assert (ended is None) == (not opened)
            if ended is not None:
                opened[0].marker = offset
                others = [txn.first for txn in history if txn.marker == OPEN]
                assert ended[:4] == (pid, opened[0].first, offset, kind == "abort")
                assert ended.last_stable_offset == min([*others, offset + 1])
        watermark = max(watermark, states.end_offset - lag)
        unstable = [txn.first for txn in history if txn.marker >= watermark]
        assert states.first_unstable_offset(watermark) == min(unstable, default=None)
    copy = ProducerStates()
    entries = decode_snapshot(encode_snapshot(states.producers.values()))
    copy.load(entries, states.end_offset, 0, 1)
    undecided = [txn.first for txn in history if txn.marker == OPEN]
    assert copy.first_unstable_offset(states.end_offset) == min(undecided, default=None)


EPOCHS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), max_size=12)


@given(EPOCHS, st.integers(0, 40), st.integers(0, 40))
def test_epochs_stay_in_order_and_survive_their_file(
    entries: list[tuple[int, int]], start: int, end: int
) -> None:
    epochs = LeaderEpochs()
    for epoch, offset in entries:
        epochs.assign(epoch, offset)
    for truncate, offset in ((epochs.truncate_from_end, end), (epochs.truncate_from_start, start)):
        before = epochs.entries()
        assert truncate(offset) == (epochs.entries() != before)
        kept = epochs.entries()
        assert kept == sorted(kept)
        assert len({first for _, first in kept}) == len(kept)
        assert LeaderEpochs.decode(epochs.encode()).entries() == kept
    for epoch, offset in epochs.entries():
        assert epochs.epoch_for_offset(offset) == epoch
