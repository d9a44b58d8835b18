"""Bugs in what a start makes of the disk, after a crash or a clean stop."""

from __future__ import annotations

from tests.planted.bug import Bug

RECOVERY = "tests/unit/log/test_log_recovery.py::"
FILES = "tests/unit/log/test_log_files.py::"

BUGS = (
    Bug(
        "CRC before the minimum size",
        "A zero-filled tail passes for batches: its length, magic and CRC agree.",
        "log/scan.py",
        "if magic > MAGIC or length < (MIN_LENGTH_V2 if magic == MAGIC else MIN_LENGTH):",
        "if magic > MAGIC or length < 0:",
        (RECOVERY + "test_zeros_in_a_segment_without_batches_are_none",),
    ),
    Bug(
        "CRC not checked",
        "Recovery believes a torn batch whose header is whole.",
        "log/scan.py",
        "if delta < 0 or not crc_valid(view, at, size):",
        "if delta < 0:",
        (RECOVERY + "test_first_bad_batch_ends_the_log_and_later_segments_go",),
    ),
    Bug(
        "segments behind damage stay",
        "Recovery cuts a damaged segment and keeps those behind it: a hole.",
        "log/recovery.py",
        "remove_segments(self.disk, self.path, self.segments[at + 1 :])",
        "assert damaged",
        (RECOVERY + "test_first_bad_batch_ends_the_log_and_later_segments_go",),
    ),
    Bug(
        "damage cut before the rest is gone",
        "Recovery cuts a damaged segment before the segments behind it are removed.",
        "log/recovery.py",
        "remove_segments(self.disk, self.path, self.segments[at + 1 :])\n"
        "            del self.segments[at + 1 :]\n"
        "        done.write(self.disk)",
        "done.write(self.disk)\n"
        "            remove_segments(self.disk, self.path, self.segments[at + 1 :])\n"
        "            del self.segments[at + 1 :]\n"
        "        done.write(self.disk)",
        (RECOVERY + "test_later_segments_go_before_the_damage_is_cut_off",),
    ),
    Bug(
        "recovered data not synced",
        "What recovery found in the page cache counts as durable without a sync.",
        "log/recovery.py",
        "file = self.disk.open(path)\n                try:\n                    file.sync()",
        "file = self.disk.open(path)\n                try:\n                    file.size()",
        (RECOVERY + "test_what_recovery_found_survives_a_power_cut",),
    ),
    Bug(
        "index believed above the recovery point",
        "Index entries that may never have been synced are trusted.",
        "log/rebuild.py",
        "limit = trusted - 1 - segment.base_offset",
        "limit = 2**31 - 1 if trusted else -1",
        (RECOVERY + "test_index_entries_above_the_recovery_point_are_not_believed",),
    ),
    Bug(
        "high watermark beyond the end",
        "A checkpointed high watermark is believed though the log is shorter.",
        "log/recovery.py",
        "log.high_watermark = min(max(high_watermark, log.log_start_offset), end)",
        "log.high_watermark = max(high_watermark, log.log_start_offset)",
        (RECOVERY + "test_high_watermark_is_bounded_to_the_log",),
    ),
    Bug(
        "clean marker stays",
        "The mark of a clean stop outlives the start, so that the next crash counts as a clean stop.",
        "log/directory.py",
        "self.disk.unlink(path)\n            self.disk.sync_dir(self.path)",
        "self.disk.sync_dir(self.path)",
        (FILES + "test_clean_marker_is_noted_and_gone",),
    ),
    Bug(
        "clean marker comes back",
        "The removal of the clean marker is not made durable.",
        "log/directory.py",
        "self.disk.unlink(path)\n            self.disk.sync_dir(self.path)",
        "self.disk.unlink(path)",
        (FILES + "test_clean_marker_is_noted_and_gone",),
    ),
    Bug(
        "producers forgotten by a restart",
        "The producer snapshot is not loaded, so that a retried batch is appended twice.",
        "log/producer_recovery.py",
        "start = found[0]\n"
        "        log.producers.load(found[1], start, log.now_ms(), expiration_ms)\n"
        "    rewritten",
        "start = found[0]\n    rewritten",
        ("tests/unit/server/test_node_produce.py::test_cached_batches_survive_a_restart",),
    ),
    Bug(
        "producers behind the snapshot forgotten",
        "The batches behind the newest producer snapshot are not replayed.",
        "log/producer_recovery.py",
        "if header.producer_id < 0 or header.base_offset < self._start:",
        "if header.producer_id < 0 or header.base_offset >= self._start:",
        (RECOVERY + "test_producers_come_from_the_newest_usable_snapshot",),
    ),
    Bug(
        "corrupt snapshot believed",
        "A producer snapshot whose CRC is wrong is loaded.",
        "partition/producer_entry.py",
        "if crc32c(body) != crc:",
        "if crc32c(body) == crc and len(body) < 4:",
        ("tests/unit/partition/test_producer_snapshot.py::test_every_change_is_noticed",),
    ),
    Bug(
        "epochs of lost data stay",
        "Leader epochs that began in data lost in a crash stay known.",
        "log/recovery.py",
        "self.epochs.truncate_from_end(end + 1 if self.clean else end)",
        "self.epochs.truncate_from_end(end + 2**40)",
        (RECOVERY + "test_epochs_of_what_was_lost_are_forgotten",),
    ),
)
