"""Bugs in groups and committed offsets."""

from __future__ import annotations

from tests.planted.bug import Bug

GROUPS = "tests/unit/groups/test_classic_groups.py::"
OFFSETS = "tests/unit/groups/test_offsets.py::"
MODEL = "tests/property/coordinators/test_classic_model.py::TestClassicGroups::runTest"
OFFSETS_MODEL = "tests/property/coordinators/test_offsets_model.py::TestOffsets::runTest"

BUGS = (
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
)
