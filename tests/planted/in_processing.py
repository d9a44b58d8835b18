"""Bugs in what is worked on side by side, and in what is committed of it."""

from __future__ import annotations

from tests.planted.bug import Bug

LANES = "tests/unit/client/processing/test_lanes.py::"
FAILURES = "tests/unit/client/processing/test_failures.py::"

BUGS = (
    Bug(
        "a record counts as done when it begins",
        "A crash loses what was at work.",
        "client/processing/lanes.py",
        "            work.running = True\n",
        "            work.running = True\n            part.open.pop(work.event.offset)\n",
        (LANES + "test_the_position_is_the_first_that_is_not_done",),
    ),
    Bug(
        "two records of a key at work",
        "A key's order is lost.",
        "client/processing/lanes.py",
        "        elif lane in self._lanes:\n",
        "        elif lane in self._lanes and self._order == 'partition':\n",
        (LANES + "test_records_of_a_key_come_one_after_the_other",),
    ),
    Bug(
        "what is done and not committed is not in flight",
        "A crash repeats more than may be in flight.",
        "client/processing/lanes.py",
        "limits.concurrency and self.running + self.done < limits.in_flight",
        "limits.concurrency",
        (LANES + "test_no_more_is_begun_and_not_committed_than_may_be_in_flight",),
    ),
    Bug(
        "a commit settles what ended after it began",
        "A crash repeats more than may be in flight.",
        "client/processing/lanes.py",
        "                part.done -= done\n                self.done -= done\n",
        "                self.done -= part.done\n                part.done = 0\n",
        (LANES + "test_a_commit_settles_only_what_it_covers",),
    ),
    Bug(
        "what an earlier owner has done is forgotten",
        "A commit that follows tells less than the one before; the next crash repeats it.",
        "client/processing/lanes.py",
        "[offset for offset in self.known.missing if offset >= self.reached]",
        "[]",
        (LANES + "test_what_an_earlier_owner_has_done_is_told_on_before_it_is_read",),
    ),
    Bug(
        "more is begun than a commit can tell of",
        "Metadata has a bound: what does not fit is repeated after a crash.",
        "client/processing/lanes.py",
        "        return self.pairs + self.running < RUNS_FIT\n",
        "        return True\n",
        (LANES + "test_what_is_done_always_fits_into_a_commit",),
    ),
    Bug(
        "a partition that comes back does not wait",
        "Its first record of a key is worked on beside an older one that has not ended.",
        "client/processing/lanes.py",
        "        part.gone = True\n",
        "        part.gone = True\n        self._lanes.clear()\n",
        (LANES + "test_a_partition_that_comes_back_waits_for_what_is_still_at_work_of_a_key",),
    ),
    Bug(
        "a record that will never work is tried again",
        "Reject is an order, not an error like others.",
        "client/processing/failures.py",
        " and not isinstance(error, Reject)",
        "",
        (FAILURES + "test_a_rejected_record_is_not_tried_again",),
    ),
)
