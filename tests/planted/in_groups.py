"""Bugs in groups and committed offsets."""

from __future__ import annotations

from tests.planted.bug import Bug

GROUPS = "tests/unit/groups/test_classic_groups.py::"
OFFSETS = "tests/unit/groups/test_offsets.py::"
MODEL = "tests/property/coordinators/test_classic_model.py::test_random_lives"
CRASHES = "tests/sim/test_crash_groups.py::test_a_share_of_the_images"
SEEDS = "tests/sim/test_node_groups.py::test_fixed_seeds"
CONSUMERS = "tests/property/coordinators/test_consumer_invariants.py::test_random_lives"
OFFSETS_MODEL = "tests/property/coordinators/test_offsets_model.py::test_random_lives"

RUNTIME = "tests/unit/server/coordinators/test_runtime.py::"
REPEATS = "tests/unit/server/coordinators/test_repeats.py::"

BUGS = (
    Bug(
        "the short way knows no generations",
        "A member of an earlier generation goes on committing with the bytes that it always sent.",
        "groups/known.py",
        "and group.generation == self.generation",
        "and group.generation >= self.generation",
        (REPEATS + "test_a_former_generation_is_told_so",),
    ),
    Bug(
        "the short way forgets the topic's id",
        "Offsets of a topic that was deleted are committed for the new one under its name.",
        "server/coordinators/repeats.py",
        "or topics.get(topic.name) is not topic",
        "or topic.name not in topics",
        (REPEATS + "test_a_topic_that_is_gone_or_another_one_is_noticed",),
    ),
    Bug(
        "tags are taken for an offset",
        "The start of a commit with unknown tags is remembered: a later one is misread.",
        "server/coordinators/repeats.py",
        "or part.unknown_tags",
        "or False",
        (REPEATS + "test_what_is_not_quite_the_same_takes_the_long_way[9]",),
    ),
    Bug(
        "a heartbeat that counts for nothing",
        "Heartbeats on the short way are answered, and the session ends all the same.",
        "server/coordinators/repeats.py",
        "        runtime.timers.set(known.timer, request.began_ns // _MS + session_ms)\n",
        "",
        (REPEATS + "test_a_sign_of_life_begins_a_new_session[heartbeat]",),
    ),
    Bug(
        "stale generations commit",
        "A member of an earlier generation overwrites the offsets of the present owner.",
        "groups/offsets/commit.py",
        "if not error and generation != group.generation:",
        "if not error and generation > group.generation:",
        (OFFSETS + "test_members_commit_in_their_generation_only",),
    ),
    Bug(
        "a refused replacement stays",
        "A static member keeps the new id that the log did not take: a crash brings the old back.",
        "groups/classic/join.py",
        "    group.undo_replacement(new, old)\n",
        "",
        (GROUPS + "test_a_static_member_is_the_old_one_when_the_log_refuses_its_new_id",),
    ),
    Bug(
        "expiry ends with a refused write",
        "After the log has refused tombstones once, nothing expires until the next start.",
        "groups/shard.py",
        "effects.refused = lambda _: self._expire_later(now)",
        "pass",
        (OFFSETS + "test_expiry_goes_on_after_the_log_refused_its_tombstones",),
    ),
    Bug(
        "an earlier offset wins at the marker",
        "The end of a transaction brings back an offset that was overwritten since.",
        "groups/offsets/table.py",
        "committed.record_offset > current.record_offset",
        "committed.record_offset != current.record_offset",
        (
            OFFSETS + "test_a_later_plain_commit_wins_over_an_earlier_one_in_a_transaction",
            OFFSETS_MODEL,
        ),
    ),
    Bug(
        "assignments answered before they are written",
        "A leader's assignment is given out and not stored: after a crash members own other ones.",
        "groups/classic/sync.py",
        "    write_generation(effects, group, assignments)\n",
        "",
        (MODEL,),
    ),
    Bug(
        "late members keep their place",
        "A dynamic member that missed a rebalance stays, and owns what others got.",
        "groups/classic/rebalance.py",
        "if m.joining is None and m.instance_id is None]",
        "if m.joining is None and m.instance_id == m.member_id]",
        (GROUPS + "test_who_does_not_join_again_in_time_is_out", MODEL),
    ),
    Bug(
        "offsets answered before they are safe",
        "A commit is acknowledged when it is appended: a power cut takes it back.",
        "server/coordinators/runtime.py",
        "if pending.end_offset <= hosted.replica.high_watermark and not slot.pending:",
        "if not slot.pending:",
        (
            "tests/unit/server/coordinators/test_runtime.py"
            "::test_the_reply_waits_for_the_high_watermark",
            CRASHES + "[offset commits]",
        ),
    ),
    Bug(
        "the end of the log is not loaded",
        "A coordinator's shard lacks the last batch of its partition after a start.",
        "server/coordinators/loading.py",
        "read(source, offset, READ_BYTES, source.written_offset,",
        "read(source, offset, READ_BYTES, source.written_offset - 1,",
        (RUNTIME + "test_what_was_answered_is_there_after_a_power_cut",),
    ),
    Bug(
        "an offset is loaded into a group that is gone",
        "Behind a tombstone, offsets go where those of the former group were: nobody finds them.",
        "groups/shard.py",
        "self._bulk.forget()",
        "pass",
        ("tests/unit/groups/test_bulk_offsets.py::test_a_group_that_went_meanwhile_is_made_anew",),
    ),
    Bug(
        "a load never pauses",
        "A shard of very many records is loaded in one go: nobody else is served meanwhile.",
        "server/coordinators/turns.py",
        "return self._looks >= LOOKS or self._turns.over(self._end_ns)",
        "return False",
        (
            "tests/unit/server/coordinators/test_loading.py"
            "::test_a_turn_takes_few_records_even_when_time_stands_still",
        ),
    ),
    Bug(
        "markers are not loaded",
        "Offsets of a committed transaction stay pending after a start.",
        "server/coordinators/loading.py",
        "shard.replay_marker(header.producer_id, header.producer_epoch, commit=commit)",
        "pass",
        (SEEDS,),
        r"^\d+ violations|never|TimeoutError|not in time",
    ),
    Bug(
        "a joined member is not missed",
        "A rebalance ends while members are on their way: they are put out over and over.",
        "groups/classic/group.py",
        "return not self.pending_ids and self.joined == len(self.members)",
        "return self.joined == len(self.members)",
        (GROUPS + "test_an_id_that_was_given_out_may_leave", MODEL),
    ),
    Bug(
        "partitions handed over before they are free",
        "A member is given what another one has not given up yet.",
        "groups/consumer/reconcile.py",
        "free = [p for p in wanted if p in own or p not in taken]",
        "free = list(wanted)",
        (CONSUMERS,),
    ),
    Bug(
        "a revocation is over before it is confirmed",
        "What a member was asked to give up is free before the member says that it has.",
        "groups/consumer/reconcile.py",
        "            if _owns_any(owned, member.revoking):",
        "            if owned is None:",
        (
            "tests/property/coordinators/test_consumer_invariants.py"
            "::test_what_is_not_given_up_is_not_handed_over",
        ),
    ),
)
