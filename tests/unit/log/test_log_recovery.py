"""Opening directories as crashes, Kafka and bit rot leave them (facts: log-format section 14)."""

from __future__ import annotations

import struct
from binascii import crc32
from contextlib import suppress

import pytest

from barnabas.config.log_config import LogConfig
from barnabas.log.log import Log
from barnabas.records.batch import read_header
from barnabas.records.control import EndMarker, build_marker
from barnabas.testing.sim import SimDisk, SimulatedCrash
from tests.unit.log.rebuild_oracle import check_partition, dump, read_bytes
from tests.unit.log.world import World, append, fetch, read_all

PATH = "/logs/t-0"
INTERVAL = 200
CONFIG = LogConfig(segment_bytes=1000, index_interval_bytes=INTERVAL)


def path(base: int, suffix: str = ".log") -> str:
    """A file of the partition."""
    return f"{PATH}/{base:020d}{suffix}"


def filled(batches: int = 20, config: LogConfig = CONFIG) -> tuple[SimDisk, bytes]:
    """A disk with a cleanly stopped log of several segments, and its bytes."""
    disk = SimDisk()
    w = World(disk, config)
    log = w.open()
    for at in range(batches):
        append(log, [b"v" * 40] * 2, timestamp=1000 + at, epoch=at // 7)
        if at % 3 == 0:
            w.settle()
    w.settle()
    data = read_all(log)
    w.stop()
    return disk, data


def crashed(disk: SimDisk, recovery_point: int = 0) -> None:
    """As if the process had died without a checkpoint later than `recovery_point`."""
    disk.unlink("/logs/.kafka_cleanshutdown")
    put(disk, "/logs/recovery-point-offset-checkpoint", f"0\n1\nt 0 {recovery_point}\n".encode())


def put(disk: SimDisk, name: str, data: bytes) -> None:
    """Replace a file."""
    file = disk.open(name, create=True)
    file.truncate(0)
    file.pwritev([data], 0)
    file.close()


def opened(disk: SimDisk, config: LogConfig = CONFIG) -> tuple[World, Log]:
    """The next process."""
    w = World(disk, config)
    return w, w.open(create=False)


def test_clean_open_reads_only_the_tail() -> None:
    disk, data = filled()
    reads: list[str] = []
    w = World(disk, CONFIG)
    disk.observer = lambda kind, name: reads.append(name) if kind == "read" else None
    log = w.open(create=False)
    disk.observer = None
    bases = log.bases
    assert not any(f"{base:020d}" in name for base in bases[:-1] for name in reads)
    assert read_all(log) == data


@pytest.mark.parametrize("recovery_point", [0, 9, 16, 30, 40])
def test_crash_rebuilds_all_indexes_above_the_recovery_point(recovery_point: int) -> None:
    disk, data = filled()
    before = dump(disk, PATH)
    crashed(disk, recovery_point)
    for name in disk.list_dir(PATH):
        base = int(name[:20]) if name[0] == "0" else -1
        if name.endswith((".index", ".timeindex")) and base >= recovery_point:
            put(disk, f"{PATH}/{name}", bytes(4096))  # Kafka pre-sizes them
    w, log = opened(disk)
    assert read_all(log) == data
    assert log.durable_offset == log.recovery_point == 40
    assert dump(disk, PATH) == before
    w.stop()


def test_within_a_segment_checks_begin_at_the_last_trusted_index_entry() -> None:
    config = LogConfig(index_interval_bytes=INTERVAL)
    disk, _ = filled(60, config)
    crashed(disk, 100)
    before = dump(disk, PATH)
    disk.flip_bit(path(0), 100, 3)  # would end the log if it were seen
    _, log = opened(disk, config)
    assert log.end_offset == 120
    disk.flip_bit(path(0), 100, 3)
    assert dump(disk, PATH) == before


def test_index_that_points_to_no_batch_is_rebuilt() -> None:
    disk, data = filled()
    crashed(disk, 40)
    last = int(sorted(name for name in disk.list_dir(PATH) if name.endswith(".log"))[-1][:20])
    good = read_bytes(disk, path(last, ".index"))
    bad = struct.pack(">ii", 1, 77)
    put(disk, path(last, ".index"), bad)
    _, log = opened(disk)
    assert read_all(log) == data
    assert read_bytes(disk, path(last, ".index")) == good


@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
def test_missing_index_is_rebuilt_after_a_clean_stop_too(suffix: str) -> None:
    disk, data = filled()
    want = read_bytes(disk, path(0, ".index"))
    disk.unlink(path(0, suffix))
    w, log = opened(disk)
    assert read_all(log) == data
    w.stop()
    assert disk.exists(path(0, suffix)) or suffix == ".timeindex"
    assert read_bytes(disk, path(0, ".index")) == want


@pytest.mark.parametrize("tail", [bytes(1), bytes(61), bytes(5000), b"\xff" * 300])
def test_zeros_and_rubbish_at_the_end_are_cut_off(tail: bytes) -> None:
    disk, data = filled()
    crashed(disk, 0)
    last = int(sorted(name for name in disk.list_dir(PATH) if name.endswith(".log"))[-1][:20])
    whole = read_bytes(disk, path(last))
    put(disk, path(last), whole + tail)
    _, log = opened(disk)
    assert read_all(log) == data
    assert read_bytes(disk, path(last)) == whole


def test_zeros_in_a_segment_without_batches_are_none() -> None:
    """Their length, magic and CRC agree, and offset 0 is what is due."""
    disk = SimDisk()
    World(disk, CONFIG).open()
    disk.kill()
    put(disk, path(0), bytes(600))
    _, log = opened(disk)
    assert log.end_offset == 0
    assert read_bytes(disk, path(0)) == b""


def test_first_bad_batch_ends_the_log_and_later_segments_go() -> None:
    disk, data = filled()
    crashed(disk, 0)
    second = sorted(int(name[:20]) for name in disk.list_dir(PATH) if name.endswith(".log"))[1]
    size = len(read_bytes(disk, path(second)))
    disk.flip_bit(path(second), size - 5, 3)
    w, log = opened(disk)
    assert second < log.end_offset < 40
    assert log.bases == [0, second]
    assert data.startswith(read_all(log))
    assert all(start < log.end_offset for _, start in log.epochs.entries())
    w.stop()
    assert len(check_partition(disk, PATH, INTERVAL)) == log.end_offset // 2


def test_later_segments_go_before_the_damage_is_cut_off() -> None:
    """Else a crash in between leaves a log that looks whole, with a hole in it."""
    disk, _ = filled()
    crashed(disk, 0)
    first, second = sorted(n for n in disk.list_dir(PATH) if n.endswith(".log"))[:2]
    disk.flip_bit(f"{PATH}/{first}", 100, 3)
    done: list[tuple[str, str]] = []
    disk.observer = lambda kind, name: done.append((kind, name.rpartition("/")[2]))
    opened(disk)
    assert done.index(("unlink", second)) < done.index(("truncate", first))


def test_index_entries_above_the_recovery_point_are_not_believed() -> None:
    config = LogConfig(index_interval_bytes=INTERVAL)
    disk, _ = filled(60, config)
    crashed(disk, 40)
    _, log = opened(disk, config)
    position = fetch(log, 60).position
    disk.kill()
    disk.flip_bit(path(0), position + 70, 3)
    _, log = opened(disk, config)
    assert log.end_offset == 60


def test_what_recovery_found_survives_a_power_cut() -> None:
    """It was in the page cache only; after the recovery it counts as durable."""
    disk = SimDisk()
    config = LogConfig(ack_mode="page-cache")
    w = World(disk, config)
    append(w.open(), [b"v" * 40] * 2)
    w.settle()
    disk.kill()
    w, log = opened(disk, config)
    w.settle()
    assert log.durable_offset == 2
    disk.power_loss()
    _, log = opened(disk, config)
    assert log.end_offset == 2


def test_epochs_of_what_was_lost_are_forgotten() -> None:
    disk, _ = filled()
    crashed(disk, 40)
    put(disk, f"{PATH}/leader-epoch-checkpoint", b"0\n4\n0 0\n1 14\n2 28\n9 40\n")
    _, log = opened(disk)
    assert log.epochs.entries() == [(0, 0), (1, 14), (2, 28)]


def test_damage_below_the_recovery_point_is_not_looked_for() -> None:
    disk, _ = filled()
    crashed(disk, 40)
    disk.flip_bit(path(0), 100, 3)
    _, log = opened(disk)
    assert log.end_offset == 40


def test_tail_that_a_clean_stop_left_damaged_is_recovered() -> None:
    disk, data = filled()
    last = int(sorted(name for name in disk.list_dir(PATH) if name.endswith(".log"))[-1][:20])
    whole = read_bytes(disk, path(last))
    put(disk, path(last), whole[:-5])
    _, log = opened(disk)
    assert log.end_offset == 38
    assert data.startswith(read_all(log))


def test_leftovers_of_interrupted_work() -> None:
    disk, data = filled()
    for name in (
        f"{0:020d}.log.cleaned",
        f"{99:020d}.log.deleted",
        f"{99:020d}.index",
        f"{50:020d}.log.swap",
        "leader-epoch-checkpoint.tmp",
    ):
        put(disk, f"{PATH}/{name}", b"junk")
    put(disk, f"{PATH}/{0:020d}-{0:010d}.checkpoint.deleted", b"raft's own")
    w, log = opened(disk)
    assert read_all(log) == data
    left = [
        name for name in disk.list_dir(PATH) if name.count(".") > 1 or name[:20] == f"{99:020d}"
    ]
    assert left == [f"{0:020d}-{0:010d}.checkpoint.deleted"]
    w.stop()


@pytest.mark.parametrize("crash", [None, *range(1, 9)])
def test_finished_swap_replaces_the_segments_it_covers(crash: int | None) -> None:
    """A compaction that got as far as `.swap`; the start that finishes it may crash itself."""
    disk, data = filled()
    bases = sorted(int(name[:20]) for name in disk.list_dir(PATH) if name.endswith(".log"))
    first, second = read_bytes(disk, path(bases[0])), read_bytes(disk, path(bases[1]))
    put(disk, path(bases[0], ".log.swap"), first + second)
    put(disk, path(bases[0], ".index.swap"), b"")
    put(disk, path(bases[0], ".timeindex.swap"), struct.pack(">qi", 1000 + 13, 2 * 14 - 1))
    disk.sync_dir(PATH)
    for name in disk.list_dir(PATH):
        disk.open(f"{PATH}/{name}").sync()
    if crash is not None:
        disk.crash_at(disk.op_count + crash)
        with suppress(SimulatedCrash):
            opened(disk)
        disk.power_loss()
        disk.crash_at(-1)
    _, log = opened(disk)
    assert log.bases == [bases[0], *bases[2:]]
    assert read_all(log) == data


def test_log_that_ends_below_its_start_begins_anew() -> None:
    disk, _ = filled()
    put(disk, "/logs/log-start-offset-checkpoint", b"0\n1\nt 0 100\n")
    w, log = opened(disk)
    assert (log.log_start_offset, log.end_offset, log.bases) == (100, 100, [100])
    assert log.epochs.entries() == []
    append(log, [b"x"])
    w.stop()
    _, log = opened(disk)
    assert (log.log_start_offset, log.end_offset) == (100, 101)


def test_log_start_within_a_segment_survives_a_stop() -> None:
    disk, _ = filled()
    put(disk, "/logs/log-start-offset-checkpoint", b"0\n1\nt 0 5\n")
    w, log = opened(disk)
    assert log.log_start_offset == 5
    assert fetch(log, 5).position > 0
    w.stop()
    assert read_bytes(disk, "/logs/log-start-offset-checkpoint") == b"0\n1\nt 0 5\n"


def test_high_watermark_is_bounded_to_the_log() -> None:
    for stored, expected in ((7, 7), (400, 40)):
        disk, _ = filled()
        put(disk, "/logs/replication-offset-checkpoint", f"0\n1\nt 0 {stored}\n".encode())
        assert opened(disk)[1].high_watermark == expected


def test_producers_come_from_the_newest_usable_snapshot() -> None:
    disk = SimDisk()
    w = World(disk, CONFIG)
    log = w.open()
    for at in range(12):
        append(log, [b"v" * 90], producer_id=4, producer_epoch=1, base_sequence=at)
    w.settle()
    marker = build_marker(4, 1, EndMarker(True, 0), 5, base_offset=12)
    log.append(marker, read_header(marker))
    w.stop()
    snapshots = [name for name in disk.list_dir(PATH) if name.endswith(".snapshot")]
    for name in snapshots[-2:]:
        disk.flip_bit(f"{PATH}/{name}", 12, 1)
    _, log = opened(disk)
    assert log.producers.producers[4].next_sequence == 12
    assert log.snapshots[-1] == 13


def test_recovery_twice_is_recovery_once() -> None:
    disk, _ = filled()
    crashed(disk, 16)
    opened(disk)
    once = dump(disk, PATH)
    disk.kill()
    opened(disk)
    assert dump(disk, PATH) == once


def test_old_messages_are_passed_over() -> None:
    """Magic 1 at the start of a log, as an upgraded cluster has them."""
    body = struct.pack(">bbq", 1, 0, 777) + struct.pack(">i", -1) + struct.pack(">i", 3) + b"abc"
    old = struct.pack(">qiI", 0, len(body) + 4, crc32(body)) + body
    disk = SimDisk()
    w = World(disk, CONFIG)
    w.open()
    w.settle()
    w.stop()
    put(disk, path(0), old)
    crashed(disk, 0)
    w, log = opened(disk)
    assert log.end_offset == 1
    append(log, [b"x"], timestamp=1000)
    w.settle()
    assert fetch(log, 0).data.startswith(old)
    assert read_header(fetch(log, 1).data).base_offset == 1
