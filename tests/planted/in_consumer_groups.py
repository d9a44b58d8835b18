"""Bugs in consumer groups (KIP-848): who owns what, in which epoch, and who may say so."""

from __future__ import annotations

from tests.planted.bug import Bug

BEAT = "tests/unit/groups/test_consumer_heartbeat.py::"
MOVE = "tests/unit/groups/test_consumer_migration.py::"
COMMIT = "tests/unit/groups/test_consumer_offsets.py::"
REGEX = "tests/unit/groups/test_consumer_regexes.py::"
ASSIGN = "tests/unit/groups/test_assignors.py::"

MODEL = "tests/property/coordinators/test_consumer_model.py::test_random_groups_beside_a_model"

BUGS = (
    Bug(
        "a partition's epoch is the member's",
        "A partition counts as held since the member's former epoch: stale commits are taken.",
        "groups/consumer/reconcile.py",
        "**dict.fromkeys(parts, goal.epoch)",
        "**dict.fromkeys(parts, member.epoch)",
        (MODEL,),
    ),
    Bug(
        "who left for a while owes what it had to revoke",
        "After a load a static member is taken out before its session ends.",
        "groups/consumer/leaving.py",
        "member.state is not MemberState.UNREVOKED or member.epoch == AWAY",
        "member.state is not MemberState.UNREVOKED",
        (BEAT + "test_a_member_that_left_while_it_had_to_revoke_owes_nothing_but_its_return",),
    ),
    Bug(
        "a partition with two owners",
        "A member gets a partition that another one has not given up.",
        "groups/consumer/reconcile.py",
        "free = [p for p in wanted if p in own or p not in taken]",
        "free = wanted",
        (BEAT + "test_a_second_member_gets_its_share_after_the_first_gave_it_up",),
    ),
    Bug(
        "revoked without a word",
        "A member that does not say what it owns counts as having given up all.",
        "groups/consumer/reconcile.py",
        "    if owned is None:\n        return True",
        "    if owned is None:\n        return False",
        (BEAT + "test_a_member_that_does_not_say_what_it_owns_has_not_given_up_anything",),
    ),
    Bug(
        "a former epoch for everything",
        "A heartbeat of the former epoch is taken whatever the member owns.",
        "groups/consumer/heartbeat.py",
        "if epoch == member.previous_epoch and epoch < member.epoch and owned is not None:",
        "if epoch == member.previous_epoch:\n        return\n    if owned is not None:",
        (BEAT + "test_an_epoch_that_is_not_the_member_s_is_fenced",),
    ),
    Bug(
        "a late commit for another's partition",
        "A commit of an earlier epoch is taken for a partition that the member got later.",
        "groups/consumer/commits.py",
        "return since is not None and since <= epoch",
        "return since is not None",
        (COMMIT + "test_a_late_commit_counts_for_a_partition_that_was_held_since",),
    ),
    Bug(
        "an instance taken away",
        "A second process gets the place of a static member that is there.",
        "groups/consumer/heartbeat.py",
        "if found.classic is None and found.epoch != AWAY:",
        "if False:",
        (BEAT + "test_an_instance_in_use_is_not_released",),
    ),
    Bug(
        "an assignment at every join",
        "The interval between assignments is not kept.",
        "groups/consumer/target.py",
        "if group.assignment_epoch >= group_epoch or not _is_time(state, group, now):",
        "if group.assignment_epoch >= group_epoch:",
        (BEAT + "test_an_assignment_is_kept_for_its_interval",),
    ),
    Bug(
        "topics that nobody notices",
        "A group does not go on when its topics get partitions.",
        "groups/shard.py",
        "                group.metadata_changed()",
        "                group.refresh_epoch = 0",
        (BEAT + "test_changed_topics_bump_the_group_with_the_next_heartbeat",),
    ),
    Bug(
        "a member that revokes for ever",
        "Nobody looks at how long a member takes to give up its partitions.",
        "groups/consumer/steps.py",
        "            effects.set_timer(timer, now.monotonic + after.rebalance_timeout_ms)",
        "            pass",
        (BEAT + "test_a_member_that_does_not_revoke_in_time_is_fenced",),
    ),
    Bug(
        "lost in the upgrade",
        "Who waits in a classic group hears nothing when it becomes a consumer group.",
        "groups/consumer/upgrade.py",
        "        if member.joining is not None:\n",
        "        if False:\n",
        (MOVE + "test_who_waits_for_a_rebalance_is_told_to_join_again",),
    ),
    Bug(
        "no rebalance after a downgrade",
        "The partitions of the member that left stay without an owner.",
        "groups/consumer/downgrade.py",
        "    if rebalance:\n",
        "    if False:\n",
        (MOVE + "test_the_last_member_of_the_new_protocol_leaves_a_classic_group",),
    ),
    Bug(
        "a target handed out by a downgrade",
        "A member of a downgraded group is given what another may still have.",
        "groups/shard.py",
        "self.state.take_downgraded(value) or group_of(group_id, value)",
        "group_of(group_id, value)",
        (MOVE + "test_nobody_is_given_what_another_may_still_have_after_a_downgrade",),
    ),
    Bug(
        "a deadline that counts once",
        "A dead member keeps its partitions for good because the log did not take its end.",
        "groups/shard.py",
        "            effects.refused = lambda _: _again(key, now)\n",
        "",
        (BEAT + "test_a_silent_member_is_fenced_once_the_log_takes_it",),
    ),
    Bug(
        "topics that must not be known",
        "A regular expression matches topics that its member may not describe.",
        "server/coordinators/groups.py",
        "allowed = {name for name in set().union(*found.values()) if may_describe(name)}",
        "allowed = set().union(*found.values())",
        (
            "tests/unit/effects/test_consumer_group_configs.py::"
            "test_what_a_client_may_not_know_of_it_cannot_read",
        ),
    ),
    Bug(
        "a part of a name",
        "A regular expression need not match the whole name.",
        "groups/consumer/regex.py",
        "re2.Set.FullMatchSet(",
        "re2.Set.SearchSet(",
        (REGEX + "test_a_whole_name_has_to_match",),
    ),
    Bug(
        "uneven shares",
        "The uniform assignor gives the extra partitions to one member.",
        "groups/consumer/assignors/uniform.py",
        "            extra -= 1\n        elif extra:",
        "            extra -= 0\n        elif extra:",
        (ASSIGN + "test_uniform_is_even_and_moves_no_more_than_it_must",),
    ),
)
