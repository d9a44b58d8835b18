"""The rules of transactions and idempotence, sections 9 to 12 of the facts, and their tests.

Also the old faults of other systems (section 1 of the project's notes on proof) that concern them.
See tests/unit/groups/rules.py, which puts all rules together.
"""

from __future__ import annotations

from typing import Final

INIT, PARTS, END, LOG = "test_init_producer_id", "test_partitions", "test_end", "test_records"
PRODUCERS, NODE, OFFSETS = "test_producers", "test_node_transactions", "test_node_txn_offsets"
MODEL, INVARIANTS = "test_transaction_model", "test_transaction_invariants"

BEGINNING: Final = {
    "9 InitProducerId: an empty id, time-outs, two-phase commit": (
        f"{INIT}.test_an_empty_transactional_id_is_refused",
        f"{INIT}.test_a_time_out_that_is_none_or_beyond_the_maximum_is_refused",
        f"{INIT}.test_the_largest_time_out_is_allowed",
        f"{INIT}.test_two_phase_commit_has_to_be_enabled_and_then_knows_no_time_out",
        f"{INIT}.test_keeping_a_prepared_transaction_is_not_supported",
    ),
    "9 InitProducerId: an unknown id gets a new producer id": (
        f"{INIT}.test_an_unknown_id_gets_a_new_producer_id_with_epoch_0",
        f"{INIT}.test_an_unknown_id_ignores_what_its_caller_was",
        f"{INIT}.test_without_a_producer_id_at_hand_the_client_comes_again",
    ),
    "9 InitProducerId: another producer is fenced": (
        f"{INIT}.test_another_producer_is_fenced",
        f"{INIT}.test_a_fenced_caller_learns_it_also_while_a_transaction_is_prepared",
    ),
    "9 InitProducerId: prepared": (
        f"{INIT}.test_while_a_transaction_is_prepared_the_client_waits",
    ),
    "9 InitProducerId: ongoing": (
        f"{INIT}.test_an_ongoing_transaction_is_aborted_first_and_its_producer_fenced",
        f"{INIT}.test_a_fence_that_the_log_refuses_bumps_once_when_repeated",
    ),
    "9 InitProducerId: at rest, the next epoch, or the same for a repeated request": (
        f"{INIT}.test_the_next_instance_gets_the_next_epoch",
        f"{INIT}.test_the_current_producer_may_bump_its_epoch",
        f"{INIT}.test_a_repeated_bump_gets_the_same_epoch_again",
        f"{INIT}.test_after_a_load_a_repeated_bump_is_fenced_since_only_memory_knew_it",
        f"{INIT}.test_a_bump_of_another_instance_forgets_the_last_epoch",
    ),
    "9 InitProducerId: the epochs are used up": (
        f"{INIT}.test_an_exhausted_epoch_gives_a_new_producer_id",
        f"{INIT}.test_the_producer_before_a_new_producer_id_may_repeat_itself",
        f"{INIT}.test_a_new_producer_id_of_another_instance_fences_the_former_producer",
    ),
    "9 AddPartitionsToTxn: who may": (
        f"{PARTS}.test_an_unknown_id_or_another_producer_id",
        f"{PARTS}.test_an_empty_transactional_id",
        f"{PARTS}.test_another_epoch_is_fenced",
        f"{PARTS}.test_while_the_former_transaction_is_prepared_the_producer_waits",
    ),
    "9 AddPartitionsToTxn: what is written": (
        f"{PARTS}.test_the_first_partition_begins_the_transaction",
        f"{PARTS}.test_what_is_in_the_transaction_already_is_not_written_again",
        f"{PARTS}.test_the_next_transaction_begins_without_the_partitions_of_the_last",
        f"{PARTS}.test_the_record_says_which_version_the_client_uses",
    ),
    "9 AddPartitionsToTxn: verify only": (
        f"{PARTS}.test_verification_tells_each_partition_and_adds_none",
        f"{PARTS}.test_verification_outside_of_a_transaction_finds_nothing",
    ),
}

ENDING: Final = {
    "9 EndTxn: who may": (f"{END}.test_an_unknown_id_or_another_producer_id",),
    "9 EndTxn below v5": (
        f"{END}.test_below_v5_what_is_not_ongoing_is_answered_by_its_outcome",
        f"{END}.test_below_v5_a_transaction_keeps_its_epoch",
    ),
    "9 EndTxn v5: a bump with each transaction; repeated requests": (
        f"{END}.test_from_v5_on_markers_and_producer_have_the_next_epoch",
        f"{END}.test_from_v5_on_what_is_not_ongoing_is_answered_by_outcome_and_epoch",
    ),
    "9 EndTxn v5: the epochs are used up": (
        f"{END}.test_an_exhausted_epoch_gives_a_new_producer_id_once_complete",
        f"{END}.test_a_repeated_end_of_an_exhausted_epoch_is_answered_by_the_new_producer",
        f"{END}.test_the_coordinator_itself_aborts_at_an_exhausted_epoch_with_a_new_producer_id",
        f"{END}.test_at_the_highest_epoch_of_all_fencing_and_abort_keep_it",
    ),
    "9 a refused write changes nothing": (
        f"{END}.test_a_refused_end_changes_nothing",
        f"{END}.test_a_complete_record_that_is_refused_is_tried_again",
    ),
    "9 markers to all partitions, then Complete": (
        f"{NODE}.test_a_transaction_is_seen_as_a_whole_or_not_at_all",
        f"{NODE}.test_a_deleted_topic_does_not_hold_up_the_end",
        f"{NODE}.test_a_marker_is_written_however_small_a_topics_batches_must_be",
    ),
    "9 a load goes on with what is prepared": (
        f"{END}.test_a_load_goes_on_with_the_markers_of_what_is_prepared",
        f"{NODE}.test_after_a_crash_between_prepare_and_complete_the_markers_follow",
    ),
    "9 time-outs": (
        f"{END}.test_a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced",
        f"{END}.test_the_look_for_late_transactions_goes_on_and_takes_many",
        f"{END}.test_a_late_transaction_that_the_log_refuses_to_end_holds_up_no_other",
        f"{END}.test_a_late_transaction_that_ends_before_its_turn_is_left_alone",
        f"{END}.test_without_a_producer_id_at_hand_a_late_transaction_waits_for_the_next_look",
    ),
    "9 transactional ids expire": (
        f"{END}.test_a_transactional_id_that_nobody_uses_is_forgotten",
        f"{END}.test_very_many_transactional_ids_are_forgotten_in_pieces",
        f"{END}.test_use_keeps_a_transactional_id",
    ),
    "9 DescribeTransactions, ListTransactions": (
        f"{LOG}.test_describe",
        f"{LOG}.test_list_and_its_filters",
    ),
    "10 key, versions and fields of the record": (
        f"{LOG}.test_the_key_is_type_0_and_the_transactional_id",
        f"{LOG}.test_the_version_of_the_value_follows_the_transaction_version",
        f"{LOG}.test_an_empty_transaction_has_null_partitions_and_a_complete_one_none",
        f"{LOG}.test_previous_and_next_producer_ids_are_in_the_log",
        f"{LOG}.test_what_version_0_cannot_say_is_remembered_by_the_coordinator",
        f"{LOG}.test_a_state_that_is_none_is_damage_and_leaves_the_others",
        f"{LOG}.test_the_times_of_a_transaction",
    ),
}

LEADERS: Final = {
    "11 a leader asks the coordinator before the first records": (
        f"{NODE}.test_producers_before_epochs_per_transaction_add_their_partitions_first",
        f"{NODE}.test_without_verification_an_old_producer_is_believed",
        f"{NODE}.test_a_transaction_that_cannot_be_verified_now_is_tried_again",
        f"{PRODUCERS}.test_verification_refuses_old_epochs",
        f"{PRODUCERS}.test_verification_may_be_off",
    ),
    "11 the guard": (
        f"{PRODUCERS}.test_a_transaction_from_its_verification_to_its_marker",
        f"{PRODUCERS}.test_an_old_guard_does_not_open_a_new_transaction",
        f"{PRODUCERS}.test_a_marker_leaves_the_verification_of_the_next_transaction",
        f"{PRODUCERS}.test_verification_is_shared_by_waiting_batches",
    ),
    "11 transactions v2: an epoch for each, sequence 0 where nothing is known": (
        f"{NODE}.test_the_next_transaction_has_the_next_epoch_and_begins_at_sequence_0",
        f"{NODE}.test_a_producer_without_state_begins_at_sequence_0",
        f"{PRODUCERS}.test_version_2_producers_start_at_zero_where_nothing_is_known",
    ),
    "11 epochs of markers": (
        f"{PRODUCERS}.test_markers",
        f"{PRODUCERS}.test_a_marker_with_nothing_open_sets_the_epoch",
        f"{PRODUCERS}.test_a_marker_of_the_same_epoch_keeps_the_sequence",
    ),
    "12 duplicates of the last five batches": (f"{PRODUCERS}.test_five_batches_are_remembered",),
    "12 sequences and epochs": (
        f"{PRODUCERS}.test_a_producer_never_seen_may_start_anywhere",
        f"{PRODUCERS}.test_sequences_must_continue",
        f"{PRODUCERS}.test_each_producer_counts_for_itself",
        f"{PRODUCERS}.test_sequences_wrap_to_zero",
        f"{PRODUCERS}.test_a_new_epoch_starts_at_zero_and_forgets",
        f"{PRODUCERS}.test_a_coordinators_write_has_no_sequence",
    ),
    "12 followers and recovery believe the log": (
        f"{PRODUCERS}.test_replicas_believe_the_log",
        f"{PRODUCERS}.test_truncation_and_reload",
    ),
    "12 the last stable offset": (
        f"{PRODUCERS}.test_the_last_stable_offset_waits_for_decision_and_watermark",
        f"{PRODUCERS}.test_an_inner_transaction_may_be_decided_first",
        f"{PRODUCERS}.test_the_log_start_passes_decided_transactions",
    ),
    "12 expiry, and transactions that hang": (
        f"{PRODUCERS}.test_idle_producers_are_forgotten",
        f"{PRODUCERS}.test_transactions_that_hang",
    ),
    "12 what administrators see": (f"{PRODUCERS}.test_the_view_of_producers_is_read_only",),
}

TOGETHER: Final = {
    "5 TxnOffsetCommit: with the transaction or not at all": (
        f"{OFFSETS}.test_offsets_count_with_their_transaction_or_not_at_all",
        f"{OFFSETS}.test_a_crash_leaves_offsets_undecided_until_the_transaction_ends",
        f"{OFFSETS}.test_offsets_outside_of_a_transaction_are_refused",
    ),
    "9 markers of an old coordinator": (
        f"{OFFSETS}.test_markers_of_old_epochs_and_of_old_coordinators_are_refused",
        f"{OFFSETS}.test_a_coordinator_whose_markers_are_fenced_gives_the_transaction_up",
    ),
    "9 all of it, beside a naive model": (f"{MODEL}.test_random_lives_beside_a_model",),
    "proof 4 T1 to T7": (f"{INVARIANTS}.test_random_lives",),
}

OLD_BUGS: Final = {
    "proof 1 Redpanda, Kafka: a delayed offset commit acts on a later transaction": (
        f"{OFFSETS}.test_old_bug_a_delayed_offset_commit_does_not_join_a_later_transaction",
        f"{OFFSETS}.test_old_bug_a_delayed_plain_offset_commit_opens_no_hanging_transaction",
    ),
    "proof 1 Bufstream, Kafka: a delayed EndTxn acts on a later transaction": (
        f"{END}.test_old_bug_a_delayed_end_does_not_end_a_later_transaction",
        f"{END}.test_old_bug_markers_reported_late_do_not_complete_a_later_transaction",
    ),
    "proof 1 Bufstream, Kafka: a delayed Produce acts on a later transaction": (
        f"{NODE}.test_old_bug_a_delayed_produce_does_not_join_a_later_transaction",
        f"{NODE}.test_old_bug_a_delayed_produce_of_a_plain_transaction_opens_no_hanging_one",
    ),
    "proof 1 Redpanda 3039: out of order without a look at duplicates": (
        f"{NODE}.test_old_bug_a_batch_sent_again_after_later_ones_is_known_and_not_out_of_order",
    ),
    "proof 1 Redpanda 10670: a torn transaction": (
        f"{NODE}.test_old_bug_a_marker_torn_by_a_crash_does_not_tear_the_transaction",
    ),
}

TRANSACTION_RULES: Final = {**BEGINNING, **ENDING, **LEADERS, **TOGETHER, **OLD_BUGS}
TRANSACTION_FOLDERS: Final = {
    INIT: "tests/unit/transactions",
    PARTS: "tests/unit/transactions",
    END: "tests/unit/transactions",
    LOG: "tests/unit/transactions",
    PRODUCERS: "tests/unit/partition",
    NODE: "tests/unit/server",
    OFFSETS: "tests/unit/server",
    MODEL: "tests/property/coordinators",
    INVARIANTS: "tests/property/coordinators",
}
TRANSACTION_FILES: Final = (INIT, PARTS, END, LOG, PRODUCERS)
