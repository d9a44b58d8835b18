"""Random lives of consumer groups: short ways lead where the long ones do."""

from __future__ import annotations

from unittest import mock

from barnabas.coordinator.framing import decode_record
from barnabas.groups.consumer import target
from barnabas.groups.consumer.group import ConsumerGroup
from barnabas.groups.record_types import GROUP_RECORDS
from barnabas.groups.shard import GroupShard
from tests.unit.groups.consumer_life import Life

LIVES = 10
STEPS = 60


def test_members_that_read_the_same_share_as_if_everything_were_looked_at(seed: int) -> None:
    """The targets of the usual group are found from what is kept; else from the whole of it."""
    taken = 0

    def share(*given: object) -> object:
        nonlocal taken
        found = usual(*given)  # type: ignore[arg-type]
        taken += found is not None
        return found

    usual = target.share
    for number in range(LIVES):
        name = f"{seed}-{number}"
        with mock.patch.object(target, "share", share):
            short = Life(name).live(STEPS)
        with mock.patch.object(target, "share", return_value=None):
            long = Life(name).live(STEPS)
        assert short.desk.log == long.desk.log
        assert short.answers == long.answers
    assert taken > LIVES


def read_from_log(life: Life) -> ConsumerGroup | None:
    """The group as somebody else reads it from the log."""
    shard = GroupShard(life.desk.settings, str, life.desk.world)
    for key, value, origin in life.desk.log:
        record = decode_record(GROUP_RECORDS, key, value)
        assert record is not None
        shard.replay(record, origin)
    return shard.state.consumer("g")


def test_a_group_is_at_any_time_what_its_log_says(seed: int) -> None:
    """Records that are replayed without their bytes do what their bytes would."""
    for number in range(LIVES):
        life = Life(f"{seed}-{number}")
        for _ in range(6):
            life.live(STEPS // 6)
            group, read = life.desk.shard.state.consumer("g"), read_from_log(life)
            assert group is not None
            assert read is not None
            for name in ConsumerGroup.__slots__:
                # What memory alone knows is left out; `targets` have no equality of their own.
                if name not in ("refresh_at", "refresh_epoch", "joins_awaited", "targets"):
                    assert getattr(group, name) == getattr(read, name), name
            for name in type(group.targets).__slots__:
                assert getattr(group.targets, name) == getattr(read.targets, name), name
            assert [list(m.assigned) for m in group.members.values()] == [
                list(m.assigned) for m in read.members.values()
            ]
