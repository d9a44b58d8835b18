"""The rules of groups, offsets and transactions, and the tests that hold the code to them.

Numbers are the sections of the project's facts about Kafka 4.3.1's coordinators. `test_rules.py`
sees to it that every rule has a test that is there, and that no test of these files stands for none.
"""

from __future__ import annotations

from typing import Final

from tests.unit.groups.rules_consumer import CONSUMER_FILES, CONSUMER_RULES
from tests.unit.transactions.rules import (
    TRANSACTION_FILES,
    TRANSACTION_FOLDERS,
    TRANSACTION_RULES,
)

CLASSIC, RULES_, OFFSETS = "test_classic_groups", "test_classic_rules", "test_offsets"
FOLDERS: Final = {
    CLASSIC: "tests/unit/groups",
    RULES_: "tests/unit/groups",
    OFFSETS: "tests/unit/groups",
    "test_placement": "tests/unit/coordinator",
    "test_framing": "tests/unit/coordinator",
    "test_runtime": "tests/unit/server/coordinators",
    "test_server_groups": "tests/hostile",
    **dict.fromkeys(CONSUMER_FILES, "tests/unit/groups"),
    "test_consumer_model": "tests/property/coordinators",
    "test_consumer_invariants": "tests/property/coordinators",
    "test_classic_model": "tests/property/coordinators",
    "test_offsets_model": "tests/property/coordinators",
    **TRANSACTION_FOLDERS,
}
WHOLE: Final = (CLASSIC, RULES_, OFFSETS, *CONSUMER_FILES, *TRANSACTION_FILES)
"""Files whose every test is named here."""

PLACEMENT: Final = {
    "1 partition: Java's hash of the id, arithmetic absolute value, modulo": (
        "test_placement.test_hash_of_java",
        "test_placement.test_the_absolute_value_is_taken_not_a_mask",
        "test_placement.test_the_smallest_hash_has_no_absolute_value",
    ),
    "1 key: type, then fields; value: version, then fields; null is a tombstone": (
        "test_framing.test_offset_commit_is_laid_out_as_kafka_does",
        "test_framing.test_a_null_value_is_a_tombstone",
        "test_framing.test_types_and_versions_of_later_releases_are_skipped",
        "test_framing.test_damage_is_told",
        "test_framing.test_a_cut_value_is_damage",
    ),
    "1 who is no coordinator says so": (
        "test_runtime.test_without_the_topic_nobody_is_responsible",
        "test_runtime.test_stop_sends_everybody_away",
    ),
    "1 a load reads the whole partition": (
        "test_runtime.test_used_partitions_are_loaded_at_the_start",
    ),
    "1 an answer that depends on records waits for the high watermark": (
        "test_runtime.test_the_reply_waits_for_the_high_watermark",
        "test_runtime.test_what_was_answered_is_there_after_a_power_cut",
    ),
    "1 a refused write changes nothing": (
        "test_runtime.test_a_record_that_is_too_large_is_refused_and_changes_nothing",
        f"{CLASSIC}.test_a_new_group_that_the_log_refuses_is_forgotten",
    ),
}

JOINING: Final = {
    "2 an empty group id": ("test_server_groups.test_a_group_without_a_name",),
    "2 bounds of the session timeout": (f"{CLASSIC}.test_session_timeouts_have_bounds",),
    "2 a member id without a group": (f"{CLASSIC}.test_a_member_of_an_unknown_group_is_unknown",),
    "2 a full group": (
        f"{CLASSIC}.test_a_group_that_is_full_takes_nobody",
        f"{RULES_}.test_while_a_rebalance_is_prepared_those_who_joined_count_against_the_maximum",
    ),
    "2 protocols have to fit": (f"{CLASSIC}.test_protocols_have_to_fit",),
    "2 v4+: MEMBER_ID_REQUIRED, a pending id with a session": (
        f"{CLASSIC}.test_a_dynamic_member_comes_back_with_the_id_that_it_is_given",
        f"{CLASSIC}.test_an_id_that_is_not_used_expires_with_its_session",
        f"{CLASSIC}.test_an_id_that_was_given_out_may_leave",
    ),
    "2 v0-3: added at once": (f"{CLASSIC}.test_before_version_4_it_is_taken_at_once",),
    "2 a known instance id without a member id replaces the member": (
        f"{CLASSIC}.test_a_static_member_that_comes_back_takes_its_place_without_a_rebalance",
        f"{CLASSIC}.test_a_static_member_is_the_old_one_when_the_log_refuses_its_new_id",
        f"{CLASSIC}.test_a_static_leader_that_comes_back_need_not_assign",
        f"{CLASSIC}.test_a_static_member_with_another_protocol_causes_a_rebalance",
        f"{CLASSIC}.test_who_waits_under_the_old_id_is_fenced",
    ),
    "2 a known id in CompletingRebalance or Stable": (
        f"{CLASSIC}.test_the_same_member_may_ask_again_for_the_generation_that_is_there",
        f"{CLASSIC}.test_a_leader_that_joins_again_asks_for_a_rebalance",
    ),
    "2 a known id in Empty": (f"{RULES_}.test_an_empty_group_knows_no_member",),
    "2 ids: client or instance, and something new": (
        f"{RULES_}.test_an_id_that_was_given_out_is_a_name_and_something_new",
    ),
    "2 a new member has five minutes for its first rebalance": (
        f"{CLASSIC}.test_a_new_member_whose_client_is_gone_does_not_block_for_ever",
    ),
}

REBALANCING: Final = {
    "2 the first rebalance waits, longer while members come": (
        f"{CLASSIC}.test_the_first_rebalance_waits_while_members_keep_coming",
        f"{CLASSIC}.test_the_first_rebalance_waits_no_longer_than_the_rebalance_timeout",
    ),
    "2 complete when all have joined; generation + 1": (
        f"{CLASSIC}.test_a_new_member_makes_the_others_join_again",
    ),
    "2 who has not rejoined is dropped, static members stay": (
        f"{CLASSIC}.test_who_does_not_join_again_in_time_is_out",
        f"{CLASSIC}.test_static_members_stay_when_they_miss_a_rebalance",
    ),
    "2 the vote for the protocol": (
        f"{CLASSIC}.test_the_protocol_with_most_votes_among_those_common_to_all_is_taken",
    ),
    "2 the leader is kept if it rejoined, else the first who did": (
        f"{CLASSIC}.test_a_leader_that_does_not_come_back_is_replaced",
    ),
    "2 an empty group: generation bump and record": (
        f"{CLASSIC}.test_when_the_last_member_is_gone_the_group_is_empty_and_the_log_says_so",
    ),
    "2 who waits in SyncGroup during a new rebalance": (
        f"{CLASSIC}.test_a_second_rebalance_sends_away_who_waits_for_an_assignment",
    ),
    "2 SyncGroup: generation, protocol, phase": (
        f"{CLASSIC}.test_sync_checks_generation_and_protocol",
    ),
    "2 SyncGroup of the leader writes, then all are answered; missing members get nothing": (
        f"{CLASSIC}.test_members_without_an_assignment_get_an_empty_one",
        f"{RULES_}.test_the_generation_is_written_when_the_leader_brings_the_assignment",
    ),
    "2 SyncGroup whose write fails": (
        f"{CLASSIC}.test_an_assignment_that_the_log_refuses_starts_another_rebalance",
    ),
    "2 who does not sync in time is out": (
        f"{CLASSIC}.test_who_does_not_ask_for_its_assignment_is_out",
    ),
}

STAYING: Final = {
    "2 Heartbeat, and sessions that end": (
        f"{CLASSIC}.test_heartbeats_keep_a_session",
        f"{RULES_}.test_a_heartbeat_during_a_rebalance_is_a_sign_of_life",
    ),
    "2 LeaveGroup, member by member": (
        f"{CLASSIC}.test_who_leaves_makes_the_others_share_anew",
        f"{CLASSIC}.test_who_waits_and_is_removed_learns_it",
        f"{CLASSIC}.test_an_administrator_removes_a_static_member_by_its_instance",
    ),
    "2 DescribeGroups": (
        f"{RULES_}.test_an_unknown_group_is_described_as_dead",
        f"{RULES_}.test_metadata_is_described_once_the_group_is_stable_and_assignments_always",
    ),
    "2 DeleteGroups": (f"{OFFSETS}.test_a_group_is_deleted_with_all_its_offsets",),
    "2 after a load sessions begin anew; what is too large rebalances": (
        f"{CLASSIC}.test_a_stable_group_is_stable_after_a_reload_and_its_sessions_begin_anew",
        f"{CLASSIC}.test_a_rebalance_under_way_is_forgotten_by_a_reload",
        f"{CLASSIC}.test_a_group_that_is_too_large_after_a_reload_has_to_shrink",
        f"{CLASSIC}.test_unload_hands_out_everybody_who_waits",
    ),
}

COMMITTED: Final = {
    "5 OffsetCommit without a group": (
        f"{OFFSETS}.test_somebody_without_members_keeps_offsets_here",
        f"{OFFSETS}.test_an_unknown_group_with_a_generation",
    ),
    "5 OffsetCommit of members": (
        f"{OFFSETS}.test_members_commit_in_their_generation_only",
        f"{OFFSETS}.test_no_commits_between_join_and_sync_but_before",
        f"{OFFSETS}.test_a_commit_is_a_sign_of_life",
    ),
    "5 metadata has a bound": (f"{OFFSETS}.test_metadata_has_a_bound",),
    "5 OffsetFetch: topics null, other topic ids, unstable offsets": (
        f"{OFFSETS}.test_all_topics_of_a_group",
        f"{OFFSETS}.test_another_topic_of_that_name_has_no_offset",
        f"{OFFSETS}.test_offsets_of_a_transaction_count_when_it_is_committed",
    ),
    "5 OffsetDelete": (f"{OFFSETS}.test_offsets_can_be_deleted_unless_somebody_reads_the_topic",),
    "5 TxnOffsetCommit: pending until the marker; the later record wins": (
        f"{OFFSETS}.test_offsets_of_an_aborted_transaction_are_forgotten",
        f"{OFFSETS}.test_a_later_plain_commit_wins_over_an_earlier_one_in_a_transaction",
        f"{OFFSETS}.test_of_two_transactions_the_later_record_wins_whatever_ends_first",
        f"{OFFSETS}.test_members_commit_in_transactions_too",
    ),
    "5 expiry: an empty group, since it became empty": (
        f"{OFFSETS}.test_offsets_of_an_empty_group_expire_with_it",
        f"{OFFSETS}.test_offsets_of_an_empty_group_of_old_expire_with_their_age",
    ),
    "5 expiry: a stable group of consumers, topics that it does not read": (
        f"{OFFSETS}.test_offsets_of_topics_that_are_read_do_not_expire",
    ),
    "5 expiry: a simple group": (
        f"{OFFSETS}.test_very_many_offsets_expire_a_little_at_a_time",
        f"{OFFSETS}.test_a_group_of_very_many_offsets_expires_a_little_at_a_time",
        f"{OFFSETS}.test_a_look_at_very_many_offsets_pauses",
        f"{OFFSETS}.test_expiry_goes_on_after_the_log_refused_its_tombstones",
    ),
    "5 expiry: otherwise never": (
        f"{RULES_}.test_offsets_of_members_that_are_no_consumers_do_not_expire",
        f"{RULES_}.test_offsets_do_not_expire_while_a_group_rebalances",
    ),
    "5 expiry: an explicit time": (f"{OFFSETS}.test_a_commit_may_say_how_long_it_is_good_for",),
    "5 pending offsets block expiry": (f"{OFFSETS}.test_pending_offsets_do_not_expire",),
    "5 a deleted topic takes its offsets along": (
        f"{OFFSETS}.test_a_topic_that_is_deleted_takes_its_offsets_along",
    ),
    "8 numbers and fields of the records": (
        "test_framing.test_every_type_survives_in_every_version",
    ),
    "8 versions that are written": (f"{RULES_}.test_the_versions_of_the_records",),
    "8 type 0 is read only": (f"{RULES_}.test_records_of_before_2014_are_read_and_left_alone",),
}

MODELS: Final = {
    "2 all of it, beside a naive model": ("test_classic_model.test_random_lives",),
    "5 all of it, beside a naive model": ("test_offsets_model.test_random_lives",),
}

RULES: Final = {
    **MODELS,
    **PLACEMENT,
    **JOINING,
    **REBALANCING,
    **STAYING,
    **COMMITTED,
    **CONSUMER_RULES,
    **TRANSACTION_RULES,
}
