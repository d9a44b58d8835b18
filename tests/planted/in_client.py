"""Bugs in the client for Python: what would lose, double or mix up records."""

from __future__ import annotations

from tests.planted.bug import Bug

CORE = "tests/unit/client/test_producer_core.py::"
SENDER = "tests/unit/client/test_sender.py::"
GATHER = "tests/unit/client/test_accumulator.py::"
TRANSACTION = "tests/unit/client/test_transaction_core.py::"

BUGS = (
    Bug(
        "an unsure batch under a new sequence",
        "A batch that may be written starts over and is stored twice.",
        "client/producer_core.py",
        "            if batch.maybe_written:\n                failed =",
        "            if False:\n                failed =",
        (CORE + "test_a_batch_that_may_be_written_never_gets_a_second_sequence",),
    ),
    Bug(
        "the old epoch after a hole",
        "A partition begins at sequence 0 again under the epoch that the node knows.",
        "client/producer_core.py",
        "            self.identified(producer_id, epoch + 1)",
        "            self.identified(producer_id, epoch)",
        (CORE + "test_a_lost_sequence_of_the_oldest_batch_starts_over",),
    ),
    Bug(
        "commit after a failure",
        "A transaction is committed although a record of it failed.",
        "client/transaction_core.py",
        "            self.state, self.error = State.FAILED, error\n",
        "            self.error = error\n",
        (TRANSACTION + "test_after_an_error_only_an_abort_is_left",),
    ),
    Bug(
        "keys of others",
        "A batch that began without keys gets those of later records at its beginning.",
        "client/batches.py",
        "                self.keys = [None] * before\n",
        "                self.keys = []\n",
        (GATHER + "test_single_and_many_share_a_batch_in_order",),
    ),
    Bug(
        "lost in silence",
        "A failure that nobody asked for is not told by flush.",
        "client/deliveries.py",
        "            raise error from first\n",
        "            return\n",
        (SENDER + "test_a_failure_that_nobody_asked_for_is_told_by_flush",),
    ),
    Bug(
        "the same memory twice",
        "What waits for its topic still counts once it is in a batch.",
        "client/parking.py",
        "            self._records.buffered_bytes -= _size(record)\n",
        "",
        (SENDER + "test_a_record_waits_for_its_topic_in_order",),
    ),
)
