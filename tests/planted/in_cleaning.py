"""Bugs in compaction: what it takes, what it keeps, and how the result gets into the log."""

from __future__ import annotations

from tests.planted.bug import Bug

CLEAN = "tests/unit/log/test_cleaner.py::"
BESIDE = "tests/unit/log/test_cleaner_beside.py::"
CHOICE = "tests/unit/log/test_cleaning_choice.py::"
PARTS = "tests/unit/log/test_cleaning_parts.py::"
CRASH = "tests/sim/test_crash_log.py::test_a_share_of_the_images[compaction]"

BUGS = (
    Bug(
        "an older record for the newest",
        "Compaction takes a record when it is the newest of its key.",
        "log/cleaning/offset_map.py",
        "if offset >= found & _OFFSET_MASK:",
        "if offset > found & _OFFSET_MASK:",
        (CLEAN + "test_the_newest_record_of_each_key_stays_where_it_was",),
    ),
    Bug(
        "keys by one hash",
        "Two keys whose first hash leads to the same slot count as one.",
        "log/cleaning/offset_map.py",
        "if there == tag and table[at + 1] >> _OFFSET_BITS == check:",
        "if True:",
        (PARTS + "test_the_map_against_a_dict",),
    ),
    Bug(
        "tombstones go at once",
        "A tombstone is removed by the first cleaning.",
        "log/cleaning/rewrite.py",
        "if header.has_delete_horizon and header.base_timestamp <= self._now_ms:",
        "if True:",
        (CLEAN + "test_a_tombstone_stays_for_its_time",),
    ),
    Bug(
        "no delete horizon",
        "The time of a tombstone never begins to run.",
        "log/cleaning/rewrite.py",
        "if deleted and not header.has_delete_horizon:",
        "if False:",
        (CLEAN + "test_a_tombstone_stays_for_its_time",),
    ),
    Bug(
        "a marker before its records",
        "A marker may go although records of its transaction are left.",
        "log/cleaning/transactions.py",
        "if producer not in self._committed:\n                return True\n",
        "return True\n",
        (CLEAN + "test_aborted_records_go_and_markers_after_them",),
    ),
    Bug(
        "aborted for ever",
        "A producer's next transaction counts as aborted like the one before.",
        "log/cleaning/transactions.py",
        "txn = self._aborted.pop(producer, None)",
        "txn = self._aborted.get(producer)",
        (PARTS + "test_an_aborted_transaction_goes_and_its_marker_waits_for_it",),
    ),
    Bug(
        "old aborted transactions",
        "One that ended before the dirty part hides its producer's next transaction.",
        "log/cleaning/work.py",
        "if txn.last_offset >= plan.first_dirty]",
        "if True]",
        (CLEAN + "test_a_transaction_that_was_aborted_long_ago_says_nothing_of_the_next",),
    ),
    Bug(
        "producer without a trace",
        "The last batch of an active producer goes, and its sequence with it.",
        "log/cleaning/rewrite.py",
        "return header.last_offset == last.data_offset",
        "return False",
        (CLEAN + "test_the_last_batch_of_a_producer_leaves_its_header",),
    ),
    Bug(
        "damage gets a good CRC",
        "A batch is rewritten without a look at its CRC.",
        "log/cleaning/rewrite.py",
        "if not crc_valid(batch, 0, header.size):",
        "if False:",
        (CLEAN + "test_bit_rot_makes_a_log_uncleanable_and_changes_nothing",),
    ),
    Bug(
        "cleaned beyond what is stable",
        "A segment with records of an open transaction is cleaned.",
        "log/cleaning/choice.py",
        "bound = min(facts.stable, facts.segments[-1].base)",
        "bound = facts.segments[-1].base",
        (
            CHOICE + "test_a_segment_is_cleaned_only_when_all_of_it_is_stable",
            CLEAN + "test_an_open_transaction_and_all_behind_it_wait",
        ),
    ),
    Bug(
        "the checkpoint is believed",
        "A checkpoint beyond the end of the log counts.",
        "log/cleaning/choice.py",
        "return checkpoint if facts.start <= checkpoint <= facts.end else facts.start",
        "return checkpoint",
        (CHOICE + "test_where_it_is_dirty",),
    ),
    Bug(
        "swap that a power cut loses",
        "The sources are set aside before the new names are durable.",
        "log/cleaning/swap.py",
        "path + suffix + names.SWAP)\n        self._disk.sync_dir(self._directory)",
        "path + suffix + names.SWAP)",
        (CRASH,),
    ),
    Bug(
        "cleaned bytes in the page cache",
        "A cleaned segment replaces its sources before its bytes are durable.",
        "log/cleaning/output.py",
        "            self._disk.sync_files(files)\n",
        "",
        (CRASH,),
    ),
    Bug(
        "a new index for old records",
        "A read that began before a swap takes the transaction index that came with it.",
        "log/read.py",
        "if self._log.replaced == replaced:",
        "if True:",
        (BESIDE + "test_a_read_that_was_under_way_begins_again",),
    ),
    Bug(
        "swapped into another log",
        "What was cleaned before a cut is swapped in behind it.",
        "log/cleaning/cleaner.py",
        "and log.replaced == run.replaced",
        "and True",
        (BESIDE + "test_a_cut_before_a_result_arrives_spoils_it",),
    ),
    Bug(
        "a namesake is clean",
        "A new partition takes over the checkpoint of a deleted one of its name.",
        "log/manager.py",
        "if home.cleaner_points.pop(key, None) is None:",
        "if True:",
        (BESIDE + "test_a_deleted_partition_leaves_nothing_and_a_new_one_of_its_name_is_dirty",),
    ),
)
