"""The formats of the log's files, byte by byte (facts: log-format sections 1, 5, 7, 8)."""

from __future__ import annotations

import pytest

from barnabas.log import names, offset_index, time_index, txn_index
from barnabas.log.checkpoints import (
    decode_offsets,
    decode_partition_metadata,
    encode_offsets,
    encode_partition_metadata,
    read_file,
    replace_file,
)
from barnabas.log.directory import (
    BadDirectory,
    LogDirectory,
    MetaProperties,
    decode_meta,
    encode_meta,
    reserved_id,
)
from barnabas.log.errors import LogDamaged
from barnabas.log.files import MIN_LIMIT, FilePool
from barnabas.log.lookup import WHOLE, pread_blocking
from barnabas.log.txn_index import AbortedTxn
from barnabas.ports import File
from barnabas.testing.sim import SimDisk, enumerate_crashes

UUID = bytes(range(16))


def stored(disk: SimDisk, data: bytes, path: str = "/f") -> File:
    """A file with `data`."""
    file = disk.open(path, create=True)
    file.pwritev([data], 0)
    return file


def test_offset_index_entry_is_two_big_endian_ints() -> None:
    assert offset_index.ENTRY.pack(5, 4097).hex() == "0000000500001001"
    assert offset_index.max_entries(10485760) == 1310720
    assert offset_index.max_entries(15) == 1


def test_time_index_entry_and_its_reserved_slot() -> None:
    assert time_index.ENTRY.pack(1700000000000, 7).hex() == "0000018bcfe5680000000007"
    assert time_index.max_entries(36) == 2


def test_txn_index_entry() -> None:
    entry = AbortedTxn(9, 10, 20, 21).encode()
    assert entry.hex() == "0000" + "".join(f"{n:016x}" for n in (9, 10, 20, 21))
    assert list(txn_index.decode(entry + b"\0" * 10)) == [AbortedTxn(9, 10, 20, 21)]
    assert txn_index.sane(entry, 20)
    assert not txn_index.sane(entry, 21)
    assert not txn_index.sane(entry[:-1], 0)
    with pytest.raises(ValueError, match="version 1"):
        list(txn_index.decode(b"\0\1" + entry[2:]))


def test_txn_index_after_a_crash_ends_before_zeros() -> None:
    first, second = AbortedTxn(1, 5, 9, 10), AbortedTxn(2, 7, 12, 13)
    data = first.encode() + bytes(34) + second.encode()
    assert txn_index.believable(data, 0) == [first]
    assert txn_index.believable(first.encode() + second.encode(), 10) == []


def test_aborted_transactions_that_overlap_a_read() -> None:
    txns = [AbortedTxn(1, 0, 5, 3), AbortedTxn(2, 3, 9, 10), AbortedTxn(1, 12, 15, 16)]
    data = b"".join(txn.encode() for txn in txns)
    assert txn_index.collect(data, 6, 10) == ([txns[1]], True)
    assert txn_index.collect(data, 0, 4) == ([txns[0], txns[1]], True)
    assert txn_index.collect(data, 16, 20) == ([], False)


@pytest.mark.parametrize("count", [0, 1, 2, WHOLE // 8 - 1, WHOLE // 8 + 1, 20000])
def test_offset_lookup_finds_the_greatest_entry_not_above(count: int) -> None:
    disk = SimDisk()
    entries = [(3 * at + 2, 100 * at + 50) for at in range(count)]
    file = stored(disk, b"".join(offset_index.ENTRY.pack(*entry) for entry in entries))
    for target in {0, 1, 2, 3, 4, 5, 300, 3 * count, 3 * count - 2, 3 * count + 9}:
        below = [entry for entry in entries if entry[0] <= target]
        want = (1000 + below[-1][0], below[-1][1]) if below else (1000, 0)
        found = offset_index.lookup(file, 8 * count, 1000, 1000 + target, pread_blocking)
        assert found == want
        above = [entry for entry in entries if entry[1] >= 100 * target]
        bound = offset_index.upper_bound(file, 8 * count, 1000, 100 * target, pread_blocking)
        assert bound == (1000 + above[0][0] if above else None)
    assert offset_index.lookup(file, 8 * count, 1000, 999, pread_blocking) == (1000, 0)


@pytest.mark.parametrize("count", [0, 1, 5, 5000])
def test_time_lookup_finds_the_greatest_entry_not_above(count: int) -> None:
    disk = SimDisk()
    entries = [(10 * at + 5, 2 * at) for at in range(count)]
    file = stored(disk, b"".join(time_index.ENTRY.pack(*entry) for entry in entries))
    for target in (0, 4, 5, 14, 15, 10 * count, 10 * count - 5):
        below = [entry for entry in entries if entry[0] <= target]
        want = (below[-1][0], 70 + below[-1][1]) if below else (-1, 70)
        assert time_index.lookup(file, 12 * count, 70, target, pread_blocking) == want


def test_index_prefix_that_can_be_believed() -> None:
    good = offset_index.ENTRY.pack(3, 100) + offset_index.ENTRY.pack(5, 200)
    assert offset_index.valid_prefix(good + bytes(80), 100, 1000) == 16
    assert offset_index.valid_prefix(good, 4, 1000) == 8
    assert offset_index.valid_prefix(good, 100, 200) == 8
    assert offset_index.valid_prefix(bytes(16), 100, 1000) == 0
    times = time_index.ENTRY.pack(50, 3) + time_index.ENTRY.pack(60, 3)
    assert time_index.valid_prefix(times + bytes(24), 100) == 24
    assert time_index.valid_prefix(times, 2) == 0


def test_offset_checkpoint_text() -> None:
    offsets = {("a", 0): 5, ("b.c", 12): 0}
    assert encode_offsets(offsets) == b"0\n2\na 0 5\nb.c 12 0\n"
    assert decode_offsets(encode_offsets(offsets)) == offsets
    assert decode_offsets(b"0\n0\n") == {}
    for broken in (b"1\n0\n", b"0\n2\na 0 5\n", b"0\n1\na 0\n", b"0\n1\na 0 x\n", b"\xff", b"0\n"):
        with pytest.raises(LogDamaged):
            decode_offsets(broken)


def test_partition_metadata_text() -> None:
    text = encode_partition_metadata(UUID)
    assert text == b"version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw"
    assert decode_partition_metadata(text + b"\n") == UUID
    for broken in (b"", b"version: 1\ntopic_id: AAECAwQFBgcICQoLDA0ODw", b"version: 0\n", b"\xff"):
        with pytest.raises(LogDamaged):
            decode_partition_metadata(broken)


def test_replaced_file_is_old_or_new_after_any_crash() -> None:
    for op in range(1, 8):
        disk = SimDisk()
        disk.make_dirs("/d")
        disk.sync_dir("/")
        replace_file(disk, "/d/x", b"old")
        disk.crash_at(disk.op_count + op)
        try:
            replace_file(disk, "/d/x", b"newer")
            finished = True
        except BaseException:
            finished = False
        disk.power_loss()
        data = read_file(disk, "/d/x")
        assert data == b"newer" if finished else data in (b"old", b"newer")


def test_meta_properties() -> None:
    meta = MetaProperties("abc", 3, UUID)
    text = b"#\ncluster.id=abc\ndirectory.id=AAECAwQFBgcICQoLDA0ODw\nnode.id=3\nversion=1\n"
    assert encode_meta(meta) == text
    assert decode_meta(text) == meta
    assert decode_meta(b"broker.id=4\ncluster.id=x\nversion=0\n") == MetaProperties("x", 4, None)
    for broken in (b"", b"version=2\nnode.id=1\ncluster.id=x", b"version=1\nnode.id=1", b"\xff"):
        with pytest.raises(ValueError, match=r".+"):
            decode_meta(broken)
    assert reserved_id(bytes(15) + b"\x63")
    assert not reserved_id(bytes(15) + b"\x64")


def test_names() -> None:
    assert names.offset_name(42) == "00000000000000000042"
    assert names.parse_file("00000000000000000042.timeindex") == (42, ".timeindex")
    assert names.parse_file("0000000000000000042.log") is None
    assert names.parse_file("99999999999999999999.log") is None
    assert names.parse_partition("a-b-12") == ("a-b", 12)
    assert names.parse_partition("a-") is None
    marked = names.marked_name("t" * 249, 7, UUID, names.DELETE_DIR)
    assert len(marked) == 255
    assert marked.endswith(f"-7.{UUID.hex()}-delete")
    assert names.marked_kind(marked) == names.DELETE_DIR
    assert names.marked_kind("t-0") is None
    assert names.parse_partition(marked) is None


def test_directory_with_foreign_content_is_refused() -> None:
    disk = SimDisk()
    directory = LogDirectory(disk, "/d")
    directory.lock()
    disk.make_dirs("/d/t-0")
    disk.make_dirs(f"/d/t-1.{UUID.hex()}-delete")
    disk.make_dirs("/d/__cluster_metadata-0")
    directory.load()
    assert directory.partitions == {("t", 0): "/d/t-0"}
    assert directory.doomed == [f"/d/t-1.{UUID.hex()}-delete"]
    disk.make_dirs("/d/photos")
    with pytest.raises(BadDirectory, match="photos"):
        LogDirectory(disk, "/d").load()


def test_directory_is_locked_once() -> None:
    disk = SimDisk()
    first, second = LogDirectory(disk, "/d"), LogDirectory(disk, "/d")
    first.lock()
    with pytest.raises(BlockingIOError):
        second.lock()
    first.unlock()
    second.lock()


@pytest.mark.parametrize(
    ("content", "epoch"), [(b"", -1), (b'{"version":0,"brokerEpoch":42}', 42), (b"{", -1)]
)
def test_clean_marker_is_noted_and_gone(content: bytes, epoch: int) -> None:
    disk = SimDisk()
    LogDirectory(disk, "/d").lock()
    replace_file(disk, "/d/.kafka_cleanshutdown", content)
    disk.kill()
    directory = LogDirectory(disk, "/d")
    history = disk.start_history()
    directory.load()
    history.mark("loaded")
    assert directory.clean
    assert directory.broker_epoch == epoch
    left = [image.model for image in enumerate_crashes(history) if image.marks]
    assert left
    for model in left:
        assert not SimDisk(model=model).exists("/d/.kafka_cleanshutdown")


def test_clean_marker_as_kafka_writes_it() -> None:
    disk = SimDisk()
    directory = LogDirectory(disk, "/d")
    directory.lock()
    directory.mark_clean(7)
    assert read_file(disk, "/d/.kafka_cleanshutdown") == b'{"version":0,"brokerEpoch":7}'


def test_broken_checkpoints_of_a_directory() -> None:
    disk = SimDisk()
    LogDirectory(disk, "/d").lock()
    disk.kill()
    replace_file(disk, "/d/recovery-point-offset-checkpoint", b"junk")
    replace_file(disk, "/d/log-start-offset-checkpoint", b"junk")
    directory = LogDirectory(disk, "/d")
    directory.load()
    assert directory.recovery_points == directory.log_starts == {}
    replace_file(disk, "/d/replication-offset-checkpoint", b"junk")
    with pytest.raises(LogDamaged):
        LogDirectory(disk, "/d").load()


def test_pool_never_closes_what_an_operation_just_got() -> None:
    pool = FilePool(SimDisk(), MIN_LIMIT)
    for at in range(2 * MIN_LIMIT):
        pool.pin(f"/pinned{at}", create=True)
    log, index = pool.get("/log", create=True), pool.get("/index", create=True)
    assert (log.size(), index.size()) == (0, 0)
    for at in range(MIN_LIMIT):
        pool.get(f"/{at}", create=True)
    with pytest.raises(OSError, match="descriptor"):
        log.size()


def test_pool_keeps_few_files_open_and_pinned_ones_alive() -> None:
    disk = SimDisk()
    pool = FilePool(disk, MIN_LIMIT)
    pinned = pool.pin("/pinned", create=True)
    for at in range(3 * MIN_LIMIT):
        pool.get(f"/{at}", create=True)
        assert len(pool) <= MIN_LIMIT
    assert pool.get("/pinned") is pinned
    pool.drop("/pinned")
    assert pinned.size() == 0
    pool.unpin(["/pinned"])
    with pytest.raises(OSError, match=r".*"):
        pinned.size()
