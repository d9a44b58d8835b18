"""Bugs in `log/`: appends, rolls, indexes, the writer, retention, truncation, checkpoints."""

from __future__ import annotations

from tests.planted.bug import Bug

APPEND = "tests/unit/log/test_log_append_read.py::"
FILES = "tests/unit/log/test_log_files.py::"
MANAGER = "tests/unit/log/test_log_manager.py::"
KEEP = "tests/unit/log/test_log_maintenance.py::"
WRITER = "tests/unit/log/test_log_writer.py::"

BUGS = (
    Bug(
        "roll too late",
        "A batch that does not fit into the segment by one byte is appended to it.",
        "log/log.py",
        "self._roll_position = NEVER if full else config.segment_bytes",
        "self._roll_position = NEVER if full else config.segment_bytes + 1",
        (APPEND + "test_rolls_when_the_next_batch_would_not_fit",),
    ),
    Bug(
        "roll by age one late",
        "A segment of exactly segment.ms rolls, though Kafka waits for more.",
        "log/log.py",
        "or waited > self._segment_ms() - segment.jitter_ms",
        "or waited >= self._segment_ms() - segment.jitter_ms",
        (APPEND + "test_rolls_by_age_without_timestamps",),
    ),
    Bug(
        "full index does not roll",
        "A full offset index takes one entry more than segment.index.bytes has room for.",
        "log/log.py",
        "or self._index_count >= offset_index.max_entries(config.segment_index_bytes)\n"
        "            or self._time_count",
        "or self._index_count > offset_index.max_entries(config.segment_index_bytes)\n"
        "            or self._time_count",
        (APPEND + "test_rolls_when_an_index_is_full",),
    ),
    Bug(
        "time index without its last slot",
        "The time index of a segment is filled up, so that its closing entry has no room.",
        "log/time_index.py",
        "return segment_index_bytes // WIDTH - 1",
        "return segment_index_bytes // WIDTH",
        (
            FILES + "test_time_index_entry_and_its_reserved_slot",
            APPEND + "test_time_index_keeps_a_slot_for_its_last_entry",
        ),
    ),
    Bug(
        "relative offsets overflow",
        "A segment takes offsets that its index cannot express.",
        "log/log.py",
        "if last - segment.base_offset > offset_index.MAX_RELATIVE:",
        "if last - segment.base_offset > offset_index.MAX_RELATIVE + 1:",
        (APPEND + "test_rolls_when_offsets_leave_the_range_of_the_index",),
    ),
    Bug(
        "index entry points behind",
        "An offset index entry names the batch, but the position behind it.",
        "log/log.py",
        "position = self._prepare(base, last, size, timestamp)\n"
        "        segment = self._active\n"
        "        if timestamp > segment.max_timestamp:\n"
        "            segment.max_timestamp = timestamp\n"
        "            segment.max_timestamp_offset = last\n"
        "        if position > self._index_due:\n"
        "            self._add_index_entry(last, position)",
        "position = self._prepare(base, last, size, timestamp)\n"
        "        segment = self._active\n"
        "        if timestamp > segment.max_timestamp:\n"
        "            segment.max_timestamp = timestamp\n"
        "            segment.max_timestamp_offset = last\n"
        "        if position > self._index_due:\n"
        "            self._add_index_entry(last, position + size)",
        (APPEND + "test_index_entries_are_sparse_and_carry_last_offsets",),
    ),
    Bug(
        "index entry with the first offset",
        "An offset index entry carries the first offset of its batch instead of the last.",
        "log/log.py",
        "tail.offset_entries += offset_index.ENTRY.pack(last - base, position)",
        "tail.offset_entries += offset_index.ENTRY.pack(self.end_offset - base, position)",
        (APPEND + "test_index_entries_are_sparse_and_carry_last_offsets",),
    ),
    Bug(
        "index look-up below",
        "The entry of just the offset that is looked for is passed over.",
        "log/lookup.py",
        "if key.unpack_from(block, middle * width + at)[0] <= target:",
        "if key.unpack_from(block, middle * width + at)[0] < target:",
        (FILES + "test_offset_lookup_finds_the_greatest_entry_not_above",),
    ),
    Bug(
        "batch of an offset missed",
        "A read of the last offset of a batch begins with the next batch.",
        "log/segment.py",
        "if place[2] >= offset:\n            return place",
        "if place[2] > offset:\n            return place",
        (APPEND + "test_read_starts_at_the_batch_that_holds_the_offset",),
    ),
    Bug(
        "search by time misses its end",
        "A record that has exactly the timestamp asked for is not found.",
        "log/timestamps.py",
        "if place[4] >= timestamp and place[2] >= start:",
        "if place[4] > timestamp and place[2] >= start:",
        (APPEND + "test_offset_by_time",),
    ),
    Bug(
        "aborted records of a deleted segment",
        "A cold read gives the records of a segment whose transaction index is gone by then.",
        "log/read.py",
        "_check(log, self._offset)\n            search",
        "search",
        (APPEND + "test_a_cold_read_of_a_segment_that_retention_takes_meanwhile",),
    ),
    Bug(
        "offline log of a former topic",
        "A topic created anew gets the failed log of its predecessor in an offline directory.",
        "log/manager.py",
        "home = self.homes.pop(key, None)\n        log = self.logs.pop(key, None)",
        "home = self.homes.pop(key, None)\n        log = self.logs.get(key)",
        (
            MANAGER
            + "test_a_partition_deleted_while_its_directory_is_offline_may_come_again_elsewhere",
        ),
    ),
    Bug(
        "no write order of segments",
        "A new segment is made before the old one is synced.",
        "log/rounds.py",
        "if piece.last and synced:",
        "if piece.last and not synced:",
        (WRITER + "test_new_segment_waits_for_the_old_one",),
    ),
    Bug(
        "durable beyond the sync",
        "What was written while a sync ran counts as synced.",
        "log/writer.py",
        "log.durable_offset = plan.offset",
        "log.durable_offset = log.written_offset",
        (WRITER + "test_one_sync_covers_all_that_was_written_before_it",),
    ),
    Bug(
        "whole log in one sync",
        "A sync round opens all files of a log, however often it has rolled.",
        "log/writer.py",
        "if count and len(paths) + len(more) > room:",
        "if count < 0:",
        (WRITER + "test_a_log_that_rolled_often_at_once_holds_few_files_open",),
    ),
    Bug(
        "durable beyond a part of the sync",
        "A sync of the oldest segments counts for the whole log.",
        "log/writer.py",
        "offset = rolled[last].end_offset if state.unsynced else log.written_offset",
        "offset = log.written_offset",
        (WRITER + "test_a_log_that_rolled_often_at_once_holds_few_files_open",),
    ),
    Bug(
        "failed sync ignored",
        "A log whose sync failed counts as synced.",
        "log/writer.py",
        "if plan.log.offline is None:\n                _made_durable(plan)",
        "if True:\n                _made_durable(plan)",
        (WRITER + "test_failure_takes_the_directory_offline_for_good",),
    ),
    Bug(
        "offline log takes appends",
        "A log whose directory failed goes on to append.",
        "log/log.py",
        "self.offline = error\n        self._roll_position = NEVER",
        "self.offline = error",
        (WRITER + "test_failure_takes_the_directory_offline_for_good",),
    ),
    Bug(
        "names of new files not synced",
        "The directory is not synced after the files of a rolled segment were made.",
        "log/rounds.py",
        "    disk.sync_dir(log.path)",
        "",
        ("tests/sim/test_crash_log.py::test_a_share_of_the_images[roll]",),
    ),
    Bug(
        "snapshot of a roll forgotten",
        "A rolled segment leaves no producer snapshot.",
        "log/rounds.py",
        "write_snapshot(disk, log.path, piece.next_base, piece.snapshot)",
        "del piece",
        (WRITER + "test_a_roll_leaves_a_snapshot_and_synced_indexes",),
    ),
    Bug(
        "indexes of a roll not synced",
        "The index files of a rolled segment are not synced with it.",
        "log/writer.py",
        "more += [segment.path + names.OFFSET_INDEX, segment.path + names.TIME_INDEX]",
        "more += []",
        (WRITER + "test_a_roll_leaves_a_snapshot_and_synced_indexes",),
    ),
    Bug(
        "epochs not checkpointed",
        "The recovery point moves without the leader epochs on disk.",
        "log/settle.py",
        "self._epochs = text if text != log.epochs_written else None",
        "self._epochs: str | None = None",
        (KEEP + "test_epochs_are_on_disk_before_the_recovery_point_passes_them",),
    ),
    Bug(
        "recovery point ahead of the data",
        "The recovery point moves to the end of the log, beyond what the checkpoint made durable.",
        "log/settle.py",
        "log.recovery_point = max(log.recovery_point, self.offset)",
        "log.recovery_point = log.end_offset",
        (KEEP + "test_a_checkpoint_covers_what_was_durable_when_it_began",),
    ),
    Bug(
        "recovery point before the indexes",
        "The recovery point moves before the index files below it are synced.",
        "log/settle.py",
        "disk.sync_files(files)",
        "del suffixes",
        (KEEP + "test_every_crash_of_a_scripted_run",),
    ),
    Bug(
        "retention above the high watermark",
        "Retention deletes what consumers may not even see yet.",
        "log/retention.py",
        "if high_watermark < end or last_and_empty or not rule(at, segment):",
        "if last_and_empty or not rule(at, segment):",
        (KEEP + "test_retention_stops_at_the_high_watermark",),
    ),
    Bug(
        "retention fills the stack",
        "A retention run goes on from within, so that thousands of new partitions end it.",
        "log/maintenance.py",
        "manager.clock.call_later(0, lambda: self._retain(left))",
        "self._retain(left)",
        (KEEP + "test_retention_run_over_many_that_are_opened_at_once",),
    ),
    Bug(
        "retention by size one too many",
        "A segment is deleted though the log without it is smaller than retention.bytes.",
        "log/retention.py",
        "rules.append(lambda at, _: excess >= sizes[at + 1])",
        "rules.append(lambda at, _: excess > sizes[at])",
        (KEEP + "test_retention_by_size_takes_whole_segments_from_the_start",),
    ),
    Bug(
        "retention takes what the writer has",
        "A rolled segment is deleted while its indexes wait for their sync.",
        "log/retention.py",
        "log.bases[due] > log.durable_offset or log.bases[due - 1] >= log.settled_base",
        "log.bases[due] > log.durable_offset",
        (
            KEEP
            + "test_retention_leaves_a_rolled_segment_to_the_writer_until_its_indexes_are_synced",
        ),
    ),
    Bug(
        "log start stays behind",
        "The log start does not follow the segments that retention deletes.",
        "log/retention.py",
        "start = log.bases[0]\n    log.log_start_offset = max(log.log_start_offset, start)",
        "start = log.bases[0]",
        (KEEP + "test_retention_by_size_takes_whole_segments_from_the_start",),
    ),
    Bug(
        "segments deleted at once",
        "Segment files are unlinked without the .deleted name, under the feet of readers.",
        "log/retention.py",
        "disk.rename(path + suffix, path + suffix + names.DELETED)",
        "disk.unlink(path + suffix)",
        (KEEP + "test_retention_by_size_takes_whole_segments_from_the_start",),
    ),
    Bug(
        "partition deleted at once",
        "A partition's files are removed without the rename that makes it atomic.",
        "log/manager.py",
        "self.disk.rename(path, target)\n            self.disk.sync_dir(home.path)",
        "self.disk.remove_tree(path)",
        (MANAGER + "test_deletion_renames_now_and_removes_later",),
    ),
    Bug(
        "rename of a partition not synced",
        "The rename of a deleted partition is not made durable.",
        "log/manager.py",
        "self.disk.rename(path, target)\n            self.disk.sync_dir(home.path)",
        "self.disk.rename(path, target)",
        (MANAGER + "test_what_was_deleted_does_not_come_back_after_a_power_cut",),
    ),
    Bug(
        "log start not checkpointed",
        "The checkpoint leaves out log starts within a segment.",
        "log/checkpoint_writer.py",
        "return log.log_start_offset if log.log_start_offset > log.disk_base else None",
        "return None",
        ("tests/unit/log/test_log_recovery.py::test_log_start_within_a_segment_survives_a_stop",),
    ),
    Bug(
        "truncation keeps an index entry",
        "A cut leaves the index entry that ends right at it.",
        "log/truncation.py",
        "if relative >= limit:\n            break",
        "if relative > limit:\n            break",
        (MANAGER + "test_truncation_cuts_everything_that_knows_of_offsets",),
    ),
    Bug(
        "truncation keeps epochs",
        "Leader epochs that began behind a cut stay known.",
        "log/truncation.py",
        "log.epochs.truncate_from_end(end)\n    _store_epochs(log)",
        "_store_epochs(log)",
        (MANAGER + "test_truncation_cuts_everything_that_knows_of_offsets",),
    ),
    Bug(
        "stale marks",
        "Remembered positions outlive the bytes that a truncation cut off.",
        "log/truncation.py",
        "log.marks.clear()",
        "log.latest_epoch = -1",
        (MANAGER + "test_no_remembered_position_outlives_a_cut",),
    ),
    Bug(
        "truncation not synced",
        "The cut of a log may be undone by a power cut, and old bytes come back behind new ones.",
        "log/truncation.py",
        "log.truncate(position)\n        log.sync()",
        "log.truncate(position)",
        ("tests/sim/test_crash_log.py::test_a_share_of_the_images[truncation]",),
    ),
    Bug(
        "recovery point not lowered",
        "A truncation does not lower the recovery point on disk before it cuts.",
        "log/manager.py",
        "self.checkpoints.write(names.RECOVERY_POINTS, lambda: self.executor.submit(cut, ended))",
        "self.executor.submit(cut, ended)",
        ("tests/sim/test_crash_log.py::test_a_share_of_the_images[truncation]",),
    ),
    Bug(
        "checkpoint renamed before its contents",
        "A small file gets its name before its bytes are synced.",
        "log/checkpoints.py",
        "file.pwritev([data], 0)\n        file.sync()",
        "file.pwritev([data], 0)",
        (FILES + "test_replaced_file_is_old_or_new_after_any_crash",),
    ),
    Bug(
        "name of a checkpoint not synced",
        "A small file that was replaced may be the old one again after a power cut.",
        "log/checkpoints.py",
        'replace_unsynced(disk, path, data)\n    disk.sync_dir(path.rpartition("/")[0])',
        "replace_unsynced(disk, path, data)",
        (FILES + "test_replaced_file_is_old_or_new_after_any_crash",),
    ),
    Bug(
        "partition made without its name",
        "The directory of a new partition may vanish in a power cut after records were acknowledged.",
        "log/making.py",
        'for parent in sorted({path.rpartition("/")[0] for path, _ in new}):\n'
        "        disk.sync_dir(parent)",
        "del files",
        (MANAGER + "test_created_partition_survives_a_power_cut",),
    ),
    Bug(
        "closed under a reader",
        "The file pool closes files that a job on the executor reads.",
        "log/files.py",
        "victims = [path for path in oldest if path not in pins]",
        "victims = [path for path in oldest if path in pins or True]",
        (FILES + "test_pool_keeps_few_files_open_and_pinned_ones_alive",),
    ),
)
