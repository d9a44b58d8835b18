"""Creation, truncation and deletion of logs (facts: log-format 7, 15)."""

from __future__ import annotations

import errno

import pytest

from barnabas.config.log_config import LogConfig
from barnabas.log.directory import LogDirectory
from barnabas.log.errors import StorageError
from barnabas.log.log import Log
from barnabas.testing.sim import SimDisk, enumerate_crashes
from barnabas.wire.errors import ErrorCode, KafkaError
from tests.unit.log.filled import PATH, SIZE, ignore, world
from tests.unit.log.rebuild_oracle import check_partition
from tests.unit.log.world import TOPIC_ID, World, append, fetch, read_all


@pytest.mark.parametrize("offset", [0, 1, 2, 3, 4, 5])
def test_truncation_cuts_everything_that_knows_of_offsets(offset: int) -> None:
    w, log = world(index_interval_bytes=0)
    done: list[Exception | None] = []
    w.manager.truncate(log, offset, done.append)
    with pytest.raises(RuntimeError, match="truncated"):
        append(log, [b"x"])
    with pytest.raises(KafkaError) as refused:
        fetch(log, 0)
    assert refused.value.code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    w.settle()
    assert done == [None]
    assert (log.end_offset, log.durable_offset, log.high_watermark) == (offset, offset, offset)
    assert log.epochs.entries() == [(at, at) for at in range(offset)]
    assert len(read_all(log)) == offset * SIZE
    append(log, [b"new"], epoch=9)
    w.stop()
    check_partition(w.disk, PATH, 0)
    assert World(w.disk, w.config).open(create=False).end_offset == offset + 1


def test_no_remembered_position_outlives_a_cut() -> None:
    w, log = world(segment_bytes=4000)
    w.manager.truncate(log, 4, ignore)
    w.settle()
    append(log, [b"longer" * 20] * 3)
    w.settle()
    assert fetch(log, 6).position == fetch(log, 4).position, "it is in the batch of 4 to 6"


def test_full_truncation_restarts_elsewhere() -> None:
    w, log = world()
    done: list[Exception | None] = []
    w.manager.truncate(log, 50, done.append, full=True)
    w.settle()
    assert (log.log_start_offset, log.end_offset, log.bases) == (50, 50, [50])
    assert log.epochs.entries() == []
    append(log, [b"x"])
    w.stop()
    assert World(w.disk, w.config).open(create=False).end_offset == 51


def test_created_partition_survives_a_power_cut() -> None:
    w, _ = world(0)
    disk = w.disk
    assert isinstance(disk, SimDisk)
    disk.power_loss()
    again = World(disk, w.config)
    assert ("t", 0) in again.manager.homes
    log = again.open(create=False)
    assert log.topic_id == TOPIC_ID
    assert log.end_offset == 0


def test_new_partitions_go_where_the_fewest_are() -> None:
    disk = SimDisk()
    w = World(disk)
    second = LogDirectory(disk, "/more")
    second.lock()
    w.manager.load([second])
    for at in range(4):
        w.open("t", at)
    assert len(w.directory.partitions) == len(second.partitions) == 2
    w.manager.cordoned = frozenset({"/logs"})
    w.manager.create("u", 0, w.config, TOPIC_ID, ignore)
    assert w.manager.homes["u", 0] is second
    w.manager.failed(second, OSError(errno.EIO, "gone"))
    w.settle()
    assert w.open("u", 1).path == "/logs/u-1"
    with pytest.raises(StorageError):
        w.open("u", 0)


def test_a_partition_deleted_while_its_directory_is_offline_may_come_again_elsewhere() -> None:
    disk = SimDisk()
    w = World(disk)
    old = w.open()
    second = LogDirectory(disk, "/more")
    second.lock()
    w.manager.load([second])
    w.manager.failed(w.directory, OSError(errno.EIO, "gone"))
    done: list[Exception | None] = []
    w.manager.delete("t", 0, done.append)
    w.settle()
    assert done == [None]
    log = w.open()
    assert log is not old
    assert log.path == "/more/t-0"
    append(log, [b"x"])
    w.settle()
    assert log.durable_offset == 1


def test_whoever_asks_while_a_log_is_opened_gets_the_same_one() -> None:
    w, _ = world()
    w.stop()
    w = World(w.disk, w.config)
    got: list[Log | None] = []
    for _ in range(2):
        w.manager.open("t", 0, w.config, lambda log, _: got.append(log))
    assert got == []
    w.settle()
    assert got[0] is got[1] is w.manager.logs["t", 0]


def test_unknown_partition() -> None:
    w, _ = world(0)
    with pytest.raises(KafkaError) as refused:
        w.open("nope", create=False)
    assert refused.value.code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_deletion_renames_now_and_removes_later() -> None:
    w, log = world()
    append(log, [b"in flight"])
    done: list[Exception | None] = []
    w.manager.delete("t", 0, done.append)
    w.settle()
    assert done == [None]
    assert w.failures == []
    with pytest.raises(StorageError):
        append(log, [b"x"])
    left = [name for name in w.disk.list_dir("/logs") if name.startswith("t-0.")]
    assert [name.rpartition("-")[2] for name in left] == ["delete"]
    assert w.open().end_offset == 0, "the name is free at once"
    w.advance(60000)
    assert not w.disk.exists(f"/logs/{left[0]}")


def test_what_was_deleted_does_not_come_back_after_a_power_cut() -> None:
    disk = SimDisk()
    w = World(disk, LogConfig(segment_bytes=2 * SIZE))
    append(w.open(), [b"x"])
    w.settle()
    history = disk.start_history()
    w.manager.delete("t", 0, lambda _: history.mark(("deleted",)))
    w.settle()
    told = 0
    for image in enumerate_crashes(history):
        if image.marks:
            told += 1
            assert World(SimDisk(model=image.model)).manager.homes == {}
    assert told


def test_deletion_while_the_log_is_written_waits_for_the_round() -> None:
    w, log = world()
    append(log, [b"x" * 100])
    w.step()
    done: list[Exception | None] = []
    w.manager.delete("t", 0, done.append)
    w.settle()
    assert done == [None]
    assert w.failures == []


def test_deletion_of_a_log_that_is_just_being_opened() -> None:
    w, _ = world()
    w.stop()
    w = World(w.disk, w.config)
    w.manager.open("t", 0, w.config, ignore)
    done: list[Exception | None] = []
    w.manager.delete("t", 0, done.append)
    w.settle()
    assert done == [None]
    assert w.manager.logs == {}
    assert w.failures == []


def test_deleted_directories_go_at_the_next_start() -> None:
    w, _ = world()
    w.manager.delete("t", 0, ignore)
    w.settle()
    w.stop()
    again = World(w.disk, w.config)
    again.maintenance.start()
    again.advance(0)
    assert not [name for name in w.disk.list_dir("/logs") if name.endswith("-delete")]


def test_stray_partitions_are_set_aside_and_kept() -> None:
    w, _ = world()
    w.manager.stray("t", 0, ignore)
    w.settle()
    w.advance(10**6)
    (left,) = [name for name in w.disk.list_dir("/logs") if name.startswith("t-0.")]
    assert left.endswith("-stray")
    w.stop()
    again = World(w.disk, w.config)
    assert again.directory.strays == [f"/logs/{left}"]


def test_partitions_made_together_survive_a_power_cut_and_are_opened_without_a_look() -> None:
    disk = SimDisk()
    w = World(disk)
    topic_id = bytes(range(16))
    w.manager.prepare([(("many", n), topic_id, None) for n in range(20)])
    early: list[Log | None] = []
    w.manager.open("many", 3, w.config, lambda log, _: early.append(log))
    assert early == [], "it waits until the directories are made"
    w.settle()
    assert early[0] is w.manager.logs["many", 3]
    jobs = len(w.executor.jobs)
    log = w.open("many", 7, create=False)
    assert len(w.executor.jobs) == jobs
    append(log, [b"x"])
    w.settle()
    assert w.manager.unrecovered() == []
    disk.power_loss()
    again = World(disk)
    assert len(again.manager.homes) == 20
    log = again.open("many", 7, create=False)
    assert (log.end_offset, log.topic_id) == (1, topic_id)
