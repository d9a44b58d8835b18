"""Bugs in what deletes records and in how several log directories stand by each other."""

from __future__ import annotations

from tests.planted.bug import Bug

KEEP = "tests/unit/log/test_log_maintenance.py::"
RECORDS = "tests/unit/server/test_node_storage.py::"
DIRECTORIES = "tests/unit/server/test_node_directories.py::"
CRASH = "tests/sim/test_crash_log.py::"

BUGS = (
    Bug(
        "log start forgotten while files go",
        "A log start leaves its checkpoint before the segments below it are gone from disk.",
        "log/checkpoint_writer.py",
        "return log.log_start_offset if log.log_start_offset > log.disk_base else None",
        "return log.log_start_offset if log.log_start_offset > log.bases[0] else None",
        (
            KEEP + "test_a_log_start_is_kept_in_the_checkpoint_until_the_segments_below_are_gone",
            CRASH + "test_a_share_of_the_images[deletion]",
        ),
    ),
    Bug(
        "deletion overtakes deletion",
        "Younger segments are marked while older ones still wait for it.",
        "log/maintenance.py",
        "if log.disk_base < log.bases[0]:",
        "if log.disk_base < 0:",
        (KEEP + "test_a_deletion_waits_until_the_former_one_has_marked_its_files",),
    ),
    Bug(
        "much to recover",
        "Closed segments count as recovered only once a minute, however many there are.",
        "log/maintenance.py",
        "if sum(self._rolled.values()) >= ROLLED_BYTES:",
        "if sum(self._rolled.values()) < 0:",
        (KEEP + "test_much_in_closed_segments_is_written_down_before_its_time",),
    ),
    Bug(
        "checkpoint writes meet",
        "A checkpoint file is written by two jobs at once.",
        "log/checkpoint_writer.py",
        "if name in self._running:",
        "if name in self._next:",
        (KEEP + "test_checkpoint_writes_never_overlap_and_the_last_word_wins",),
    ),
    Bug(
        "deletion answered from memory",
        "DeleteRecords is answered before its log start is durable.",
        "server/handlers/delete_records.py",
        "in_time = await broker.keep_log_starts(message.timeout_ms)",
        "in_time = True",
        (RECORDS + "test_what_was_deleted_stays_deleted_whatever_happens",),
    ),
    Bug(
        "deletion beyond the high watermark",
        "DeleteRecords takes offsets that nothing has yet.",
        "server/handlers/delete_records.py",
        "if not 0 <= offset <= high_watermark:",
        "if not 0 <= offset:",
        (RECORDS + "test_delete_records_errors",),
    ),
    Bug(
        "missing partition begins anew",
        "What is in a directory that is offline is made once more, empty, in another.",
        "server/hosting.py",
        "if key not in self._retiring and manager.any_offline:",
        "if key not in self._retiring and not manager.live:",
        (DIRECTORIES + "test_a_missing_directory_is_offline_and_nothing_begins_anew_in_its_place",),
    ),
    Bug(
        "unmounted directory formatted",
        "The empty mount point of a disk that is away becomes a new log directory.",
        "server/placements.py",
        "missing = next(self._missing(), None) if empty else None",
        "missing = None",
        (DIRECTORIES + "test_a_missing_directory_is_offline_and_nothing_begins_anew_in_its_place",),
    ),
    Bug(
        "placements untold",
        "The controller does not learn which directory a replica is in.",
        "server/node.py",
        "if placements.placed(keys) and self._broker is not None:",
        "if placements.placed([]) and self._broker is not None:",
        (
            DIRECTORIES
            + "test_new_partitions_go_where_the_fewest_are_and_the_metadata_learns_where",
        ),
    ),
    Bug(
        "the wrong twin",
        "Of a partition in two directories the one of a deleted topic is served.",
        "server/placements.py",
        "return meant[0] if meant else first",
        "return first if first not in meant else second",
        (
            DIRECTORIES + "test_a_topic_made_anew_while_a_directory_is_away_is_not_mixed_with_its"
            "_former_self",
        ),
    ),
)
