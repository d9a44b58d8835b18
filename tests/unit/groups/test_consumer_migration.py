"""Between the protocols, offline and online, both ways: facts/coordinators.md, section 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from barnabas.groups.classic.group import State
from barnabas.groups.consumer.embedded import read_assignment
from barnabas.groups.consumer.member import MemberState
from barnabas.groups.settings import ConsumerGroupSettings
from barnabas.wire.codec import writer
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.consumer_protocol_assignment import (
    ConsumerProtocolAssignment,
)
from barnabas.wire.messages.consumer_protocol_assignment import (
    TopicPartition as Assigned,
)
from barnabas.wire.messages.consumer_protocol_subscription import (
    ConsumerProtocolSubscription,
    TopicPartition,
)
from tests.unit.groups.consumer_desk import ConsumerDesk, World
from tests.unit.groups.desk import Paper


def subscription(
    topics: list[str], owned: Mapping[str, list[int]] | None = None, version: int = 3
) -> bytes:
    parts = [TopicPartition(name, numbers) for name, numbers in (owned or {}).items()]
    out = bytearray(version.to_bytes(2, "big"))
    message = ConsumerProtocolSubscription(topics, None, parts)
    writer(ConsumerProtocolSubscription, version)(message, out)
    return bytes(out)


def assignment(parts: Mapping[str, list[int]], user_data: bytes | None = None) -> bytes:
    out = bytearray((3).to_bytes(2, "big"))
    named = [Assigned(name, numbers) for name, numbers in parts.items()]
    writer(ConsumerProtocolAssignment, 3)(ConsumerProtocolAssignment(named, user_data), out)
    return bytes(out)


class MigrationDesk(ConsumerDesk):
    """A classic group of two members, `owner` of all partitions of topic t, and `idle`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.owner = self.idle = ""

    def classic(
        self, given: bytes | None = None, metadata: bytes | None = None, **options: Any
    ) -> None:
        meta = metadata if metadata is not None else subscription(["t"])
        self.meta = {"range": meta}
        first, waiting = self.new_member(protocols=self.meta, **options)
        self.advance(0)
        second, other = self.new_member(protocols=self.meta, **options)
        generation = self.join(first, protocols=self.meta, **options).response.generation_id
        assert waiting.done
        assert other.response.generation_id == generation
        everything = assignment({"t": list(range(6))}) if given is None else given
        rest = self.sync(second, generation, **options)
        self.sync(first, generation, {first: everything, second: b""}, **options)
        assert rest.done
        self.owner, self.idle = first, second
        self.generation = generation

    def rejoin(self, member: str, owned: Mapping[str, list[int]]) -> Any:
        return self.join(member, protocols={"range": subscription(["t"], owned)}).response

    def assigned(self, paper: Paper) -> dict[str, list[int]]:
        found = read_assignment(bytes(paper.response.assignment))
        return {each.topic: list(each.partitions) for each in found.assigned_partitions}


# -- offline -------------------------------------------------------------------------------------


def test_an_empty_classic_group_becomes_a_consumer_group() -> None:
    desk = ConsumerDesk()
    [member] = desk.stable()
    desk.leave((member, None))
    before = len(desk.log)
    assert desk.start("a").member_epoch == 2
    assert desk.written(before)[0] == "-GroupMetadata"
    desk.reload()
    assert list(desk.consumers().members) == ["a"]


def test_an_empty_consumer_group_becomes_a_classic_one() -> None:
    desk = ConsumerDesk()
    desk.settle("a")
    desk.beat("a", -1)
    before = len(desk.log)
    [member] = desk.stable()
    assert "-ConsumerGroupMetadata" in desk.written(before)
    assert desk.group().state is State.STABLE
    desk.reload()
    assert list(desk.group().members) == [member]


def test_a_refused_new_classic_group_leaves_the_consumer_group_there() -> None:
    desk = ConsumerDesk()
    desk.settle("a")
    desk.beat("a", -1)
    desk.refuse = ErrorCode.COORDINATOR_NOT_AVAILABLE
    desk.join()
    assert desk.consumers().epoch == 3


# -- online, up ----------------------------------------------------------------------------------


def test_the_first_member_of_the_new_protocol_converts_the_group() -> None:
    """The generation becomes the group epoch; members are kept as classic members."""
    desk = MigrationDesk()
    desk.classic()
    answer = desk.start("new")
    assert answer.error_code == ErrorCode.NONE
    group = desk.consumers()
    assert group.classics == 2
    assert group.epoch == desk.generation + 1
    assert desk.held(desk.owner) == [0, 1, 2, 3, 4, 5]
    assert set(desk.member(desk.owner).assigned[World.id_of("t")].values()) == {desk.generation}
    desk.reload()
    assert desk.consumers().members.keys() == {desk.owner, desk.idle, "new"}
    assert desk.consumers().classics == 2


def test_who_waits_for_a_rebalance_is_told_to_join_again() -> None:
    desk = MigrationDesk()
    desk.classic()
    waiting = desk.join(desk.owner, protocols=desk.meta)
    assert not waiting.done
    desk.start("new")
    assert waiting.response is not None
    assert waiting.response.error_code == ErrorCode.REBALANCE_IN_PROGRESS


def test_a_refused_upgrade_leaves_everybody_waiting() -> None:
    desk = MigrationDesk()
    desk.classic()
    waiting = desk.join(desk.owner, protocols=desk.meta)
    desk.refuse = ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert desk.start("new").error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert not waiting.done
    assert desk.join(desk.idle, protocols=desk.meta).done
    assert waiting.response.error_code == ErrorCode.NONE


@pytest.mark.parametrize(
    ("consumer", "options"),
    [
        (ConsumerGroupSettings(upgrade=False), {}),
        (ConsumerGroupSettings(max_size=1), {}),
        (ConsumerGroupSettings(), {"metadata": b"\0"}),
        (ConsumerGroupSettings(), {"given": assignment({"t": [0]}, b"custom")}),
    ],
    ids=["policy", "size", "malformed", "custom"],
)
def test_a_group_that_cannot_be_upgraded_is_no_consumer_group(
    consumer: ConsumerGroupSettings, options: dict[str, Any]
) -> None:
    desk = MigrationDesk(consumer=consumer)
    desk.classic(**options)
    assert desk.start("new").error_code == ErrorCode.GROUP_ID_NOT_FOUND
    assert desk.group().state is State.STABLE


def test_classic_members_are_reconciled_through_joins() -> None:
    """Heartbeats say when to join again; SyncGroup brings the assignment."""
    desk = MigrationDesk()
    desk.classic()
    desk.start("new")
    assert desk.heartbeat(desk.owner, desk.generation) == ErrorCode.REBALANCE_IN_PROGRESS
    joined = desk.rejoin(desk.owner, {"t": list(range(6))})
    assert (joined.error_code, joined.leader, joined.members) == (0, "", [])
    assert (joined.protocol_type, joined.protocol_name) == ("consumer", "range")
    assert joined.generation_id == desk.generation  # it has to give up some first
    assert desk.assigned(desk.sync(desk.owner, joined.generation_id)) == {"t": [0, 1]}
    assert desk.member(desk.owner).state is MemberState.UNREVOKED
    assert desk.heartbeat(desk.owner, desk.generation) == ErrorCode.REBALANCE_IN_PROGRESS
    joined = desk.rejoin(desk.owner, {"t": [0, 1]})
    assert joined.generation_id == desk.consumers().epoch
    assert desk.assigned(desk.sync(desk.owner, joined.generation_id)) == {"t": [0, 1]}
    assert desk.heartbeat(desk.owner, joined.generation_id) == ErrorCode.NONE
    joined = desk.rejoin(desk.idle, {})
    assert len(desk.assigned(desk.sync(desk.idle, joined.generation_id))["t"]) == 2
    desk.live("new")
    assert len(desk.held("new")) == 2


def test_a_classic_member_waits_for_what_others_still_have() -> None:
    desk = MigrationDesk()
    desk.classic()
    desk.start("new")
    joined = desk.rejoin(desk.idle, {})
    desk.sync(desk.idle, joined.generation_id)
    assert desk.member(desk.idle).state is MemberState.UNRELEASED
    assert desk.heartbeat(desk.idle, joined.generation_id) == ErrorCode.NONE
    desk.rejoin(desk.owner, {"t": list(range(6))})
    desk.rejoin(desk.owner, {"t": [0, 1]})
    assert desk.heartbeat(desk.idle, joined.generation_id) == ErrorCode.REBALANCE_IN_PROGRESS


def test_errors_of_classic_members() -> None:
    """22 for another epoch, 25 for a member of the new protocol or none, 23 for other protocols."""
    desk = MigrationDesk()
    desk.classic()
    desk.start("new")
    assert desk.heartbeat(desk.owner, 99) == ErrorCode.ILLEGAL_GENERATION
    assert desk.heartbeat("new", desk.member("new").epoch) == ErrorCode.UNKNOWN_MEMBER_ID
    assert desk.heartbeat("nobody", 1) == ErrorCode.UNKNOWN_MEMBER_ID
    sync = desk.sync(desk.owner, desk.generation, protocol="other").response
    assert sync.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    sync = desk.sync(desk.owner, desk.generation).response
    assert sync.error_code == ErrorCode.REBALANCE_IN_PROGRESS
    other = desk.join(protocols={"magic": subscription(["t"])}).response
    assert other.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    broken = desk.join(desk.owner, protocols={"range": b"\0"}).response
    assert (broken.error_code, broken.member_id) == (ErrorCode.UNKNOWN_SERVER_ERROR, "")


def test_a_new_classic_member_is_given_an_id_first() -> None:
    desk = MigrationDesk()
    desk.classic()
    desk.start("new")
    first = desk.join(protocols=desk.meta).response
    assert first.error_code == ErrorCode.MEMBER_ID_REQUIRED
    assert desk.join(first.member_id, protocols=desk.meta).response.error_code == ErrorCode.NONE
    assert desk.consumers().classics == 3


def test_no_classic_member_where_migration_is_disabled() -> None:
    desk = ConsumerDesk(consumer=ConsumerGroupSettings(mixed=False, upgrade=False, downgrade=False))
    desk.settle("a")
    joined = desk.join("x", protocols={"range": subscription(["t"])}).response
    assert joined.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL


def test_a_classic_member_that_does_not_join_again_in_time_is_fenced() -> None:
    desk = MigrationDesk()
    desk.classic()
    desk.start("new")
    for _ in range(6):
        desk.heartbeat(desk.owner, desk.generation)
        desk.heartbeat(desk.idle, desk.generation)
        desk.live("new", rounds=1)
        desk.advance(5_001)
    assert list(desk.consumers().members) == ["new"]


def test_a_classic_member_that_does_not_sync_in_time_is_fenced() -> None:
    desk = MigrationDesk()
    desk.classic()
    desk.start("new")
    joined = desk.rejoin(desk.idle, {})
    for _ in range(6):
        desk.heartbeat(desk.idle, joined.generation_id)
        desk.live("new", rounds=1)
        desk.advance(5_001)
    assert desk.idle not in desk.consumers().members


def test_a_classic_member_becomes_one_of_the_new_protocol() -> None:
    """A rolling restart of static members: the same instance, another protocol."""
    desk = MigrationDesk()
    desk.classic()
    desk.start("new")
    joined = desk.join(instance="i", protocols=desk.meta).response
    assert joined.error_code == ErrorCode.NONE
    answer = desk.start("fresh", instance_id="i")
    assert answer.error_code == ErrorCode.NONE
    assert desk.member("fresh").classic is None
    assert desk.consumers().static_ids == {"i": "fresh"}
    assert joined.member_id not in desk.consumers().members


# -- online, down --------------------------------------------------------------------------------


def mixed(**options: Any) -> MigrationDesk:
    desk = MigrationDesk(**options)
    desk.classic()
    desk.note("new", desk.start("new"))
    desk.rejoin(desk.owner, {"t": list(range(6))})
    for member, owned in ((desk.owner, {"t": [0, 1]}), (desk.idle, {})):
        desk.sync(member, desk.rejoin(member, owned).generation_id)
    desk.live("new")
    assert len(desk.held("new")) == 2
    return desk


def test_the_last_member_of_the_new_protocol_leaves_a_classic_group() -> None:
    desk = mixed()
    epoch = desk.consumers().epoch
    before = len(desk.log)
    desk.beat("new", -1)
    assert desk.written(before)[-1] == "GroupMetadata"
    assert desk.written(before)[-2] == "-ConsumerGroupMetadata"
    group = desk.group()
    assert (group.generation, list(group.members)) == (epoch, [desk.owner, desk.idle])
    assert group.state is State.PREPARING
    one = desk.join(desk.owner, protocols=desk.meta)
    desk.join(desk.idle, protocols=desk.meta)
    assert one.response.generation_id == epoch + 1


def test_nobody_is_given_what_another_may_still_have_after_a_downgrade() -> None:
    """Assignments of the target are for the log; the members have to join again at once."""
    desk = MigrationDesk()
    desk.classic()
    desk.note("new", desk.start("new"))
    joined = desk.rejoin(desk.idle, {})
    assert desk.member(desk.idle).state is MemberState.UNRELEASED
    assert joined.generation_id == desk.consumers().epoch
    desk.beat("new", -1)  # the owner still has everything
    sync = desk.sync(desk.idle, joined.generation_id).response
    assert (sync.error_code, sync.assignment) == (ErrorCode.REBALANCE_IN_PROGRESS, b"")


def test_a_downgraded_group_knows_all_protocols_of_its_members() -> None:
    desk = MigrationDesk()
    both = {"range": subscription(["t"]), "roundrobin": subscription(["t"])}
    desk.classic()
    desk.note("new", desk.start("new"))
    for member in (desk.owner, desk.idle):
        desk.join(member, protocols=both)
    desk.beat("new", -1)
    other = desk.join(protocols={"roundrobin": subscription(["t"])}).response
    assert other.error_code == ErrorCode.MEMBER_ID_REQUIRED
    desk.reload()
    group = desk.group()
    assert (group.state, group.subscribed) == (State.STABLE, frozenset({"t"}))


def test_a_refused_downgrade_leaves_the_consumer_group_there() -> None:
    desk = mixed()
    epoch = desk.consumers().epoch
    desk.refuse = ErrorCode.COORDINATOR_NOT_AVAILABLE
    desk.beat("new", -1)
    assert desk.consumers().epoch == epoch
    desk.beat("new", -1)
    assert list(desk.group().members) == [desk.owner, desk.idle]
    assert desk.group().state is State.PREPARING


def test_a_fenced_last_member_leaves_a_classic_group() -> None:
    desk = mixed()
    for _ in range(5):
        desk.advance(9_500)
        for member in (desk.owner, desk.idle):
            if desk.shard.state.consumer("g") is not None:
                desk.heartbeat(member, desk.member(member).epoch)
    assert desk.group().state is State.PREPARING


def test_no_downgrade_where_it_is_disabled() -> None:
    desk = mixed(consumer=ConsumerGroupSettings(downgrade=False, assignment_ms=0))
    desk.beat("new", -1)
    assert desk.consumers().classics == 2


def test_no_downgrade_to_a_group_that_would_be_too_large() -> None:
    desk = mixed()
    desk.shard.state.settings = ConsumerDesk(max_size=1).settings
    desk.beat("new", -1)
    assert desk.consumers().classics == 2


def test_a_static_member_replaced_by_a_classic_one_downgrades_the_group() -> None:
    """No rebalance while the assignment is up to date: the newcomer takes over what was there."""
    desk = ConsumerDesk()
    desk.settle("a", instance_id="i")
    desk.beat("a", -2, instance_id="i")
    joined = desk.join(instance="i", protocols={"range": subscription(["t"])}).response
    assert joined.error_code == ErrorCode.NONE
    group = desk.group()
    assert group.static_ids == {"i": joined.member_id}
    assert (group.state, joined.generation_id) == (State.STABLE, group.generation)
    sync = desk.sync(joined.member_id, joined.generation_id, instance="i").response
    found = read_assignment(bytes(sync.assignment))
    assert [list(each.partitions) for each in found.assigned_partitions] == [[0, 1, 2, 3, 4, 5]]
    desk.advance(0)
    assert group.state is State.STABLE
    desk.reload()
    assert list(desk.group().members) == [joined.member_id]


def test_a_downgrade_with_a_stale_assignment_rebalances() -> None:
    desk = ConsumerDesk()
    desk.settle("a", instance_id="i")
    desk.beat("a", -2, instance_id="i")
    desk.join(instance="i", protocols={"range": subscription(["u"])})
    desk.advance(0)
    assert desk.group().state is State.PREPARING


def test_members_of_both_protocols_leave_by_leave_group() -> None:
    """LeaveGroup names members of either kind; an administrator removes by instance."""
    desk = mixed()
    desk.start("s", instance_id="i")
    codes = desk.leave((desk.owner, None), ("", "i"), ("x", None), ("", "none"), ("y", "i"))
    assert codes == [0, 0, 25, 25, 82]
    assert desk.consumers().members.keys() == {desk.idle, "new"}
