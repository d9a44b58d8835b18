"""Bugs in a replica's decisions: sequences, transactions, epochs, watermarks; and in the quorum."""

from __future__ import annotations

from tests.planted.bug import Bug

PRODUCERS = "tests/unit/partition/test_producers.py::"
EPOCHS = "tests/unit/partition/test_epochs.py::"
RAFT = "tests/unit/raft/test_leading.py::"
SEEDS = "tests/sim/test_node.py::test_fixed_seeds"

BUGS = (
    Bug(
        "sequences may skip",
        "A batch whose sequence leaves a gap is appended.",
        "partition/producers.py",
        "return sequence == last + 1 or",
        "return sequence >= last + 1 or",
        (PRODUCERS + "test_sequences_must_continue",),
    ),
    Bug(
        "sequence check off by one",
        "The last record of a producer may be sent again as a batch of its own.",
        "partition/producers.py",
        "return sequence == last + 1 or",
        "return sequence in (last, last + 1) or",
        (PRODUCERS + "test_sequences_must_continue",),
    ),
    Bug(
        "duplicates not recognised",
        "A batch that is sent again is answered with an error instead of its offset.",
        "partition/producers.py",
        "if client and (duplicate := entry.duplicate_of(header)):",
        "if not client and (duplicate := entry.duplicate_of(header)):",
        (PRODUCERS + "test_five_batches_are_remembered", SEEDS),
    ),
    Bug(
        "sequences not checked",
        "A repeated batch is appended again.",
        "partition/producers.py",
        "return self._check_slowly(header, entry, guard, client, verify)",
        "return _OK",
        (SEEDS,),
        r"^\d+ violations(.|\n)*T1",
    ),
    Bug(
        "four batches remembered",
        "A producer with five batches in flight gets an error for a retry of the first.",
        "partition/producer_entry.py",
        "BATCHES_KEPT = 5",
        "BATCHES_KEPT = 4",
        (PRODUCERS + "test_five_batches_are_remembered",),
    ),
    Bug(
        "wrapped sequence restored wrong",
        "The first sequence of a batch that wrapped is one off after a restart.",
        "partition/producer_entry.py",
        "last_sequence - delta + 2**31",
        "last_sequence - delta + 2**31 - 1",
        ("tests/unit/partition/test_producer_snapshot.py::test_a_sequence_that_wrapped",),
    ),
    Bug(
        "zombies may write",
        "A producer with an older epoch than the newest known is not fenced.",
        "partition/producers.py",
        "if epoch < entry.epoch:\n                return _INVALID_EPOCH",
        "if epoch < entry.epoch - 1:\n                return _INVALID_EPOCH",
        (PRODUCERS + "test_a_new_epoch_starts_at_zero_and_forgets",),
    ),
    Bug(
        "stable before the watermark",
        "A transaction counts as decided before its marker is below the high watermark.",
        "partition/producers.py",
        "while completed and completed[0][0] < high_watermark:",
        "while completed and completed[0][0] <= high_watermark:",
        (PRODUCERS + "test_the_last_stable_offset_waits_for_decision_and_watermark",),
    ),
    Bug(
        "open transaction forgotten by a restart",
        "The first offset of an open transaction is not taken from the producer snapshot.",
        "partition/producers.py",
        "if entry.txn_first_offset != NO_OFFSET",
        "if entry.txn_first_offset < NO_OFFSET",
        (PRODUCERS + "test_truncation_and_reload",),
    ),
    Bug(
        "open transaction expires",
        "A producer with an open transaction is forgotten when it is idle.",
        "partition/producer_entry.py",
        "return self.txn_first_offset < 0 and now_ms",
        "return now_ms",
        (PRODUCERS + "test_idle_producers_are_forgotten",),
    ),
    Bug(
        "last stable offset is the high watermark",
        "read_committed consumers read open transactions.",
        "partition/replica.py",
        "return first_unstable_offset",
        "return self.high_watermark",
        (
            "tests/unit/server/test_node_fetch.py::"
            "test_read_committed_stops_at_open_transactions_and_names_aborted_ones",
        ),
    ),
    Bug(
        "epoch ends at its own start",
        "OffsetForLeaderEpoch answers the start of an epoch instead of its end.",
        "partition/epochs.py",
        "higher = bisect_right(epochs, epoch)",
        "higher = bisect_right(epochs, epoch - 1)",
        (EPOCHS + "test_where_epochs_end",),
    ),
    Bug(
        "epoch survives the cut",
        "An epoch that begins exactly at the new log end is kept.",
        "partition/epochs.py",
        "keep = bisect_right(self._starts, offset - 1)",
        "keep = bisect_right(self._starts, offset)",
        (EPOCHS + "test_the_log_end_moves_back",),
    ),
    Bug(
        "older epochs commit",
        "A leader commits records of former epochs before one of its own.",
        "raft/leader.py",
        "if candidate <= self.epoch_start_offset or candidate <= self.high_watermark:",
        "if candidate <= self.high_watermark:",
        (RAFT + "test_nothing_is_committed_before_a_record_of_the_leaders_own_epoch_is",),
    ),
    Bug(
        "half is a majority",
        "With an even number of voters half of them commit.",
        "raft/leader.py",
        "candidate = ends[len(ends) // 2]",
        "candidate = ends[(len(ends) - 1) // 2]",
        (RAFT + "test_half_of_an_even_number_of_voters_is_no_majority",),
    ),
)
