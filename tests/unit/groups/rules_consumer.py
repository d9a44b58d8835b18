"""The rules of consumer groups (KIP-848), sections 3 and 4 of the facts, and their tests.

See `rules`, which puts all of them together.
"""

from __future__ import annotations

from typing import Final

BEAT, MOVE, REGEX = "test_consumer_heartbeat", "test_consumer_migration", "test_consumer_regexes"
MODEL, INVARIANTS = "test_consumer_model", "test_consumer_invariants"
HELD, ASSIGNORS = "test_consumer_offsets", "test_assignors"

HEARTBEAT: Final = {
    "3 request checks": (f"{BEAT}.test_request_checks",),
    "3 version 0: the coordinator makes the id": (
        f"{BEAT}.test_version_0_gives_an_id_to_a_member_without_one",
    ),
    "3 a new group starts at epoch 1, its first member gets 2": (
        f"{BEAT}.test_the_first_member_gets_everything_in_epoch_2",
    ),
    "3 an epoch is the member's, or the one before while it owns no more than it may": (
        f"{BEAT}.test_an_epoch_that_is_not_the_member_s_is_fenced",
        f"{BEAT}.test_the_previous_epoch_is_taken_while_nothing_more_is_owned",
        f"{BEAT}.test_a_restarted_member_joins_again_with_what_it_had",
    ),
    "3 epoch -1: it leaves, which bumps": (
        f"{BEAT}.test_leaving_bumps_the_group_and_frees_the_partitions",
    ),
    "3 epoch -2: a static member leaves for a while": (
        f"{BEAT}.test_a_static_member_that_left_for_a_while_keeps_its_place",
        f"{BEAT}.test_a_static_member_that_does_not_come_back_is_fenced",
        f"{BEAT}.test_a_member_that_left_while_it_had_to_revoke_owes_nothing_but_its_return",
    ),
    "3 GROUP_ID_NOT_FOUND, UNKNOWN_MEMBER_ID": (
        f"{BEAT}.test_unknown_groups_and_members",
        f"{BEAT}.test_a_group_of_another_type_is_not_found",
        f"{BEAT}.test_an_unknown_instance_cannot_go_on",
    ),
    "3 GROUP_MAX_SIZE_REACHED": (f"{BEAT}.test_a_full_group_takes_nobody_but_its_members",),
    "3 UNRELEASED_INSTANCE_ID, FENCED_INSTANCE_ID": (
        f"{BEAT}.test_an_instance_in_use_is_not_released",
    ),
    "3 step 1 to 4: what is new is written, and nothing else": (
        f"{BEAT}.test_nothing_new_writes_nothing_and_says_no_assignment",
        f"{BEAT}.test_a_refused_write_leaves_no_group",
        f"{BEAT}.test_a_reloaded_group_is_the_same",
    ),
    "3 step 2: other subscriptions or other topics bump the group": (
        f"{BEAT}.test_changed_topics_bump_the_group_with_the_next_heartbeat",
        f"{BEAT}.test_topics_that_nobody_reads_bump_nothing",
        f"{BEAT}.test_another_subscription_bumps_the_group_and_revokes",
    ),
    "3 step 3: the assignor most members prefer, once per interval": (
        f"{BEAT}.test_the_assignor_that_most_members_prefer",
        f"{BEAT}.test_an_assignment_is_kept_for_its_interval",
        f"{BEAT}.test_the_assignment_interval_of_a_group_wins",
    ),
    "3 step 5: the session": (
        f"{BEAT}.test_a_silent_member_is_fenced_when_its_session_ends",
        f"{BEAT}.test_a_silent_member_is_fenced_once_the_log_takes_it",
        f"{BEAT}.test_a_heartbeat_that_the_log_refuses_is_a_sign_of_life",
        f"{BEAT}.test_session_and_heartbeat_of_a_group_win",
        f"{BEAT}.test_deadlines_begin_anew_after_a_load",
    ),
    "3 reconciliation: revoked first, then given, kept ones keep their epochs": (
        f"{BEAT}.test_a_second_member_gets_its_share_after_the_first_gave_it_up",
        f"{BEAT}.test_a_member_that_does_not_say_what_it_owns_has_not_given_up_anything",
        f"{BEAT}.test_kept_partitions_keep_their_epoch_and_added_ones_get_the_target_s",
    ),
    "3 reconciliation: who does not revoke in time is fenced": (
        f"{BEAT}.test_a_member_that_does_not_revoke_in_time_is_fenced",
    ),
    "3 reconciliation: a state that nobody knows": (
        f"{BEAT}.test_a_state_of_a_later_release_makes_the_member_start_over",
    ),
}

EXPRESSIONS: Final = {
    "3 regular expressions are RE2's": (
        f"{REGEX}.test_what_re2_does_not_take",
        f"{REGEX}.test_what_re2_makes_of_it",
        f"{REGEX}.test_a_whole_name_has_to_match",
        f"{REGEX}.test_a_bad_expression_takes_linear_time",
    ),
    "3 they are resolved aside, against what the member may describe": (
        f"{REGEX}.test_the_topics_are_looked_up_aside_and_then_bump_the_group",
        f"{REGEX}.test_only_topics_that_the_member_may_describe_count",
        f"{REGEX}.test_one_look_at_a_time",
        f"{REGEX}.test_an_answer_for_a_group_that_is_gone_changes_nothing",
        f"{REGEX}.test_many_topics_are_looked_at_a_few_at_a_time",
    ),
    "3 they are resolved again after 10 s for new topics, 10 min in any case": (
        f"{REGEX}.test_a_new_topic_is_found_no_sooner_than_10_s_after_the_last_look",
        f"{REGEX}.test_the_topics_are_looked_up_again_after_10_minutes",
        f"{REGEX}.test_a_known_expression_of_another_member_is_not_looked_up_again",
    ),
    "3 what they match is in the log": (
        f"{REGEX}.test_an_expression_without_members_is_forgotten",
        f"{REGEX}.test_names_in_the_place_of_an_expression",
        f"{REGEX}.test_resolved_expressions_survive_a_load",
    ),
    "3 assignor uniform": (
        f"{ASSIGNORS}.test_uniform_keeps_what_a_member_has_up_to_its_share",
        f"{ASSIGNORS}.test_uniform_levels_members_with_different_topics",
        f"{ASSIGNORS}.test_uniform_is_even_and_moves_no_more_than_it_must",
    ),
    "3 assignor range": (
        f"{ASSIGNORS}.test_range_gives_contiguous_pieces_the_same_in_every_topic",
        f"{ASSIGNORS}.test_range_puts_static_members_first_by_their_instances",
    ),
    "3 either gives every partition to one reader": (
        f"{ASSIGNORS}.test_every_partition_of_a_topic_with_readers_has_one_of_them",
        f"{ASSIGNORS}.test_nobody_and_nothing",
    ),
    "3 ConsumerGroupDescribe": (
        f"{HELD}.test_describe_tells_epochs_targets_and_what_is_being_revoked",
        f"{HELD}.test_describe_tells_the_protocol_of_each_member",
        f"{HELD}.test_describe_knows_no_groups_of_other_types",
        f"{HELD}.test_list_groups_tells_type_and_state",
    ),
    "3 deletion": (f"{HELD}.test_only_an_empty_group_can_be_deleted",),
}

MIGRATION: Final = {
    "4 empty groups change their type": (
        f"{MOVE}.test_an_empty_classic_group_becomes_a_consumer_group",
        f"{MOVE}.test_an_empty_consumer_group_becomes_a_classic_one",
        f"{MOVE}.test_a_refused_new_classic_group_leaves_the_consumer_group_there",
    ),
    "4 online upgrade": (
        f"{MOVE}.test_the_first_member_of_the_new_protocol_converts_the_group",
        f"{MOVE}.test_who_waits_for_a_rebalance_is_told_to_join_again",
        f"{MOVE}.test_a_refused_upgrade_leaves_everybody_waiting",
        f"{MOVE}.test_a_group_that_cannot_be_upgraded_is_no_consumer_group",
        f"{MOVE}.test_no_classic_member_where_migration_is_disabled",
    ),
    "4 classic members inside a consumer group": (
        f"{MOVE}.test_classic_members_are_reconciled_through_joins",
        f"{MOVE}.test_a_classic_member_waits_for_what_others_still_have",
        f"{MOVE}.test_errors_of_classic_members",
        f"{MOVE}.test_a_new_classic_member_is_given_an_id_first",
        f"{MOVE}.test_a_classic_member_that_does_not_join_again_in_time_is_fenced",
        f"{MOVE}.test_a_classic_member_that_does_not_sync_in_time_is_fenced",
        f"{MOVE}.test_a_classic_member_becomes_one_of_the_new_protocol",
        f"{MOVE}.test_members_of_both_protocols_leave_by_leave_group",
    ),
    "4 the last member of the new protocol leaves a classic group": (
        f"{MOVE}.test_the_last_member_of_the_new_protocol_leaves_a_classic_group",
        f"{MOVE}.test_nobody_is_given_what_another_may_still_have_after_a_downgrade",
        f"{MOVE}.test_a_downgraded_group_knows_all_protocols_of_its_members",
        f"{MOVE}.test_a_refused_downgrade_leaves_the_consumer_group_there",
        f"{MOVE}.test_a_fenced_last_member_leaves_a_classic_group",
        f"{MOVE}.test_no_downgrade_where_it_is_disabled",
        f"{MOVE}.test_no_downgrade_to_a_group_that_would_be_too_large",
        f"{MOVE}.test_a_static_member_replaced_by_a_classic_one_downgrades_the_group",
        f"{MOVE}.test_a_downgrade_with_a_stale_assignment_rebalances",
    ),
}

OFFSETS_OF_CONSUMERS: Final = {
    "5 OffsetCommit in a consumer group": (
        f"{HELD}.test_a_member_commits_and_reads_in_its_epoch",
        f"{HELD}.test_who_may_not_commit",
        f"{HELD}.test_classic_members_get_the_classic_error",
        f"{HELD}.test_an_administrator_sets_offsets_of_an_empty_group_only",
    ),
    "5 a late commit counts for what was held since (KIP-1251)": (
        f"{HELD}.test_a_late_commit_counts_for_a_partition_that_was_held_since",
        f"{HELD}.test_a_partition_that_is_being_revoked_still_counts",
        f"{HELD}.test_one_partition_that_is_not_held_fails_the_whole",
    ),
    "5 OffsetFetch in a consumer group": (f"{HELD}.test_who_may_not_read",),
    "5 TxnOffsetCommit in a consumer group": (f"{HELD}.test_commits_in_transactions",),
    "5 OffsetDelete in a consumer group": (
        f"{HELD}.test_offsets_of_a_topic_that_is_read_cannot_be_deleted",
    ),
    "5 expiry in a consumer group; offsets outlive a change of type": (
        f"{HELD}.test_offsets_of_topics_that_nobody_reads_expire_and_then_the_empty_group",
        f"{HELD}.test_offsets_outlive_the_way_to_the_new_protocol_and_back",
    ),
}

TOGETHER: Final = {
    "3 all but regular expressions, beside a naive model": (
        f"{MODEL}.test_random_groups_beside_a_model",
    ),
    "proof 4 G1 to G4": (
        f"{INVARIANTS}.test_random_lives",
        f"{INVARIANTS}.test_what_is_not_given_up_is_not_handed_over",
    ),
}

CONSUMER_RULES: Final = {
    **TOGETHER,
    **HEARTBEAT,
    **EXPRESSIONS,
    **MIGRATION,
    **OFFSETS_OF_CONSUMERS,
}
CONSUMER_FILES: Final = (BEAT, MOVE, REGEX, HELD, ASSIGNORS)
