"""Classic groups and offsets against a naive model: random requests, time, refused writes, crashes.

Every answer is compared with the model's. What clients have really been told, which is what the
high watermark has passed, is held against G1 to G4 of the invariants.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from barnabas.coordinator.effects import Effects
from barnabas.groups.context import RequestContext
from barnabas.groups.settings import UNLIMITED
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.heartbeat_request import HeartbeatRequest
from barnabas.wire.messages.join_group_request import JoinGroupRequest, JoinGroupRequestProtocol
from barnabas.wire.messages.join_group_response import JoinGroupResponse
from barnabas.wire.messages.leave_group_request import LeaveGroupRequest, MemberIdentity
from barnabas.wire.messages.offset_commit_request import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from barnabas.wire.messages.offset_fetch_request import (
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from barnabas.wire.messages.sync_group_request import SyncGroupRequest, SyncGroupRequestAssignment
from barnabas.wire.messages.sync_group_response import SyncGroupResponse
from tests.property.coordinators.classic_model import ClassicModel
from tests.property.coordinators.classic_state import PREPARING, STABLE, Answer, Group
from tests.property.coordinators.late_desk import LateDesk, LatePaper

GROUPS = ("g", "h")
PROTOCOLS: tuple[tuple[tuple[str, bytes], ...], ...] = (
    (("range", b"1"),),
    (("range", b"2"),),
    (("sticky", b"s"), ("range", b"1")),
    (("range", b"1"), ("sticky", b"s")),
    (("sticky", b"s"),),
)
REFUSED = ErrorCode.COORDINATOR_NOT_AVAILABLE
PARTITIONS, CONVERGES_WITHIN = 4, 30

groups = strategies.sampled_from(GROUPS)
instances = strategies.sampled_from((None, None, "a", "b"))
whom = strategies.integers(0, 5)
wrong_generation = strategies.sampled_from((0, 0, 0, 0, -1, 1))
rarely = strategies.sampled_from((False, False, False, True))


class ClassicGroups(RuleBasedStateMachine):
    """One shard, its log, and clients that do anything."""

    @initialize(
        delay=strategies.sampled_from((0, 3_000)), size=strategies.sampled_from((UNLIMITED, 3))
    )
    def begin(self, delay: int, size: int) -> None:
        """An empty shard."""
        self.desk = LateDesk(
            initial_rebalance_delay_ms=delay, max_size=size, offsets_check_ms=10**12
        )
        self.model = ClassicModel(delay, size)
        self.ids: dict[str, list[str]] = {name: [] for name in GROUPS}
        self.owners: dict[str, str | None] = {}
        self.made = 0
        self.refuse_next = False
        self.commits = 0
        self.acked: dict[tuple[str, int], int] = {}
        self.in_flight: dict[int, tuple[tuple[str, int], int]] = {}
        self.leaders: dict[tuple[str, int], dict[str, bytes]] = {}
        self.syncs: dict[int, tuple[str, int, str]] = {}
        self.generations: dict[str, int] = {}

    # -- helpers -------------------------------------------------------------------------------------

    def _ask(self, decide: Any) -> LatePaper:
        """A request."""
        self.desk.refuse = self.model.refusing = REFUSED if self.refuse_next else None
        self.refuse_next = False
        return self.desk.ask(decide)

    def _tick(self) -> None:
        """Each request has an instant of its own, so that no two deadlines fall together."""
        self.desk.advance(1)
        self.model.advance(1)

    def _compare(self) -> None:
        """The answers of this step are those of the model."""
        decided = [(paper.number, answer_of(said)) for paper, said in self.desk.decided]
        assert sorted(decided, key=str) == sorted(self.model.said, key=str)
        self.desk.decided.clear()
        self.model.said.clear()

    def _id(self, group: str, who: int) -> str:
        known = self.ids[group][-6:]
        return known[who % len(known)] if known else "nobody"

    def _generation(self, group: str, delta: int) -> int:
        return self.model.groups.get(group, Group()).generation + delta

    def _not_refused(self) -> None:
        assert (self.desk.refuse is None) == (self.model.refusing is None)
        self.desk.refuse = self.model.refusing = None

    def _join(
        self,
        group: str,
        member_id: str,
        instance: str | None,
        protocols: tuple[tuple[str, bytes], ...],
        version: int = 9,
    ) -> LatePaper:
        """Its time-outs are unlike those of others, so that no two deadlines fall together."""
        self._tick()
        number = self.desk.next_number
        session_ms, rebalance_ms = 10_000 + 7 * (number % 50), 20_000 + 11 * (number % 50)
        request = JoinGroupRequest(
            group,
            session_ms,
            rebalance_ms,
            member_id,
            instance,
            "consumer",
            [JoinGroupRequestProtocol(name, data) for name, data in protocols],
        )
        context = RequestContext("c", "/h", version)
        desk = self.desk

        def decide(paper: LatePaper) -> Effects:
            made = f"{instance or 'c'}-id{self.made}"
            self.model.join(
                paper.number,
                group,
                member_id,
                made,
                instance,
                protocols,
                version,
                session_ms,
                rebalance_ms,
            )
            before = desk.shard.state.new_id

            def new_id() -> str:
                self.made += 1
                self.ids[group].append(made)
                self.owners[made] = instance
                return made.rpartition("-")[2]

            desk.shard.state.new_id = new_id
            effects = desk.shard.join_group(context, request, paper, desk.now)
            desk.shard.state.new_id = before
            return effects

        return self._ask(decide)

    def _sync(
        self,
        group: str,
        member_id: str,
        generation: int,
        protocol: str | None,
        instance: str | None,
    ) -> LatePaper:
        found = self.model.groups.get(group)
        members = [each.id for each in found.members] if found else []
        given = {
            each: b"%d" % self.desk.next_number + bytes(range(at, PARTITIONS, len(members)))
            for at, each in enumerate(members)
        }
        request = SyncGroupRequest(
            group,
            generation,
            member_id,
            instance,
            "consumer",
            protocol,
            [SyncGroupRequestAssignment(each, data) for each, data in given.items()],
        )

        def decide(paper: LatePaper) -> Effects:
            self.syncs[paper.number] = (group, generation, member_id)
            self.model.sync(paper.number, group, member_id, generation, instance, protocol, given)
            return self.desk.shard.sync_group(request, paper, self.desk.now)

        return self._ask(decide)

    # -- requests ------------------------------------------------------------------------------------

    @rule(
        group=groups,
        instance=instances,
        protocols=strategies.sampled_from(PROTOCOLS),
        version=strategies.sampled_from((9, 9, 3, 8)),
        refuse=rarely,
    )
    def join_anew(
        self,
        group: str,
        instance: str | None,
        protocols: tuple[tuple[str, bytes], ...],
        version: int,
        refuse: bool,
    ) -> None:
        """Somebody without an id; a client of version 4 comes back with the id that it is given."""
        self.refuse_next = refuse
        paper = self._join(group, "", instance, protocols, version)
        self._not_refused()
        found = [said for each, said in self.desk.decided if each is paper]
        self._compare()
        if found and found[0].error_code == ErrorCode.MEMBER_ID_REQUIRED:
            self._join(group, found[0].member_id, None, protocols)
            self._compare()

    @rule(group=groups, who=whom, instance=instances, protocols=strategies.sampled_from(PROTOCOLS))
    def join_again(
        self, group: str, who: int, instance: str | None, protocols: tuple[tuple[str, bytes], ...]
    ) -> None:
        """Somebody with an id, mostly its own instance id."""
        member_id = self._id(group, who)
        self._join(group, member_id, instance or self.owners.get(member_id), protocols)
        self._compare()

    @rule(group=groups)
    def join_for_an_id(self, group: str) -> None:
        """An id is given out, and not used yet."""
        self._join(group, "", None, PROTOCOLS[0])
        self._compare()

    @rule(group=groups, who=whom, delta=wrong_generation, refuse=rarely, bare=rarely)
    def sync(self, group: str, who: int, delta: int, refuse: bool, bare: bool) -> None:
        """SyncGroup, with or without the protocol's name."""
        self._tick()
        member_id = self._id(group, who)
        found = self.model.groups.get(group)
        protocol = None if bare or found is None else found.protocol
        self.refuse_next = refuse
        self._sync(
            group, member_id, self._generation(group, delta), protocol, self.owners.get(member_id)
        )
        self._not_refused()
        self._compare()

    @rule(group=groups, who=whom, delta=wrong_generation, instance=instances)
    def heartbeat(self, group: str, who: int, delta: int, instance: str | None) -> None:
        """Heartbeat."""
        self._tick()
        member_id, generation = self._id(group, who), self._generation(group, delta)
        code = self.heartbeat_of(
            group, member_id, generation, instance or self.owners.get(member_id)
        )
        assert code != ErrorCode.NONE or delta == 0, "G2"

    def heartbeat_of(
        self, group: str, member_id: str, generation: int, instance: str | None
    ) -> int:
        """Heartbeat: the error."""
        request = HeartbeatRequest(group, generation, member_id, instance)
        self._ask(lambda paper: self.desk.shard.heartbeat(request, paper, self.desk.now))
        expected = self.model.heartbeat(group, member_id, generation, instance)
        (_, said) = self.desk.decided.pop()
        assert said.error_code == expected
        self._compare()
        return expected

    @rule(group=groups, who=whom, by_instance=rarely)
    def leave(self, group: str, who: int, by_instance: bool) -> None:
        """LeaveGroup, of itself or by an administrator."""
        self._tick()
        member_id = self._id(group, who)
        instance = self.owners.get(member_id)
        if by_instance and instance:
            member_id = ""
        request = LeaveGroupRequest(group, members=[MemberIdentity(member_id, instance)])
        self._ask(lambda paper: self.desk.shard.leave_group(request, paper, self.desk.now))
        expected = self.model.leave(group, member_id, instance)
        (_, said) = self.desk.decided.pop()
        assert said.members[0].error_code == expected
        self._compare()

    @rule(
        group=groups,
        who=whom,
        delta=wrong_generation,
        partition=strategies.integers(0, PARTITIONS - 1),
        anonymous=rarely,
        refuse=rarely,
    )
    def commit(
        self, group: str, who: int, delta: int, partition: int, anonymous: bool, refuse: bool
    ) -> None:
        """OffsetCommit."""
        self._tick()
        member_id, generation = self._id(group, who), self._generation(group, delta)
        instance = self.owners.get(member_id)
        if anonymous:
            member_id, generation, instance = "", -1, None
        self.commits += 1
        offset = self.commits
        topic = OffsetCommitRequestTopic(
            "t", partitions=[OffsetCommitRequestPartition(partition, offset)]
        )
        request = OffsetCommitRequest(group, generation, member_id, instance, topics=[topic])
        context = RequestContext("c", "/h", 9)
        self.refuse_next = refuse
        paper = self._ask(
            lambda paper: self.desk.shard.commit_offsets(context, request, paper, self.desk.now)
        )
        expected = self.model.commit(group, member_id, generation, instance, partition, offset)
        self._not_refused()
        (_, said) = self.desk.decided.pop()
        refused = isinstance(said, ErrorCode)
        code = said if refused else said.topics[0].partitions[0].error_code
        assert code == expected
        if not code:
            self.in_flight[paper.number] = ((group, partition), offset)
        if delta < 0 and generation >= 0:
            assert code != ErrorCode.NONE, "G2"
        self._compare()

    @rule(group=groups, refuse=rarely)
    def delete(self, group: str, refuse: bool) -> None:
        """DeleteGroups."""
        self._tick()
        self.refuse_next = refuse
        self._ask(lambda paper: self.desk.shard.delete_group(group, paper, self.desk.now))
        expected = self.model.delete(group)
        self._not_refused()
        (_, said) = self.desk.decided.pop()
        code = said if isinstance(said, ErrorCode) else said.results[0].error_code
        assert code == expected
        if not code:
            self.acked = {place: at for place, at in self.acked.items() if place[0] != group}
            self.in_flight = {n: at for n, at in self.in_flight.items() if at[0][0] != group}
            self.generations.pop(group, None)
            self.leaders = {at: data for at, data in self.leaders.items() if at[0] != group}
            self.syncs = {n: at for n, at in self.syncs.items() if at[0] != group}
            # From here on a crash must not bring the group back.
            self._release(len(self.desk.ends))
        self._compare()

    # -- what befalls them ---------------------------------------------------------------------------

    @rule(ms=strategies.sampled_from((5, 2_000, 4_000, 9_500, 25_000)))
    def time_passes(self, ms: int) -> None:
        """Sessions and phases end."""
        self.desk.advance(ms)
        self.model.advance(ms)
        self._compare()

    @rule(batches=strategies.integers(0, 3))
    def log_is_synced(self, batches: int) -> None:
        """The high watermark moves: answers leave."""
        self._release(self.desk.committed + batches)

    @rule(batches=strategies.integers(0, 3))
    def crash(self, batches: int) -> None:
        """Another process reads the log; the last batches may be lost."""
        kept = min(self.desk.committed + batches, len(self.desk.ends))
        self.desk.advance(1)
        self.model.advance(1)
        self._compare()
        kept = max(kept, self.desk.committed)
        self.desk.crash(kept)
        self.model.crash(kept)
        self.in_flight.clear()
        self.syncs.clear()
        self._compare()

    @precondition(lambda self: self.model.groups)
    @rule(which=strategies.integers(0, 1))
    def everybody_behaves(self, which: int) -> None:
        """G4: members that do what they are told share everything soon."""
        names = sorted(self.model.groups)
        name = names[which % len(names)]
        for _ in range(CONVERGES_WITHIN):
            group = self.model.groups[name]
            if group.state == STABLE and not group.unsynced:
                break
            self._do_what_is_told(name, group)
            self.desk.advance(1_000)
            self.model.advance(1_000)
            self._compare()
        else:
            assert not self.model.groups[name].members, "G4"
        self._release(len(self.desk.ends))

    def _do_what_is_told(self, name: str, group: Group) -> None:
        for each in list(group.pending):
            if each in group.pending:
                self._join(name, each, None, PROTOCOLS[0] if not group.common() else _fit(group))
                self._compare()
        for member in list(group.members):
            if member.joining is not None or member.syncing is not None:
                continue
            if group.member(member.id) is None:
                continue
            if group.state == PREPARING:
                self._join(name, member.id, member.instance, member.protocols)
                self._compare()
                continue
            self._tick()
            if group.state == STABLE and member.id not in group.unsynced:
                self.heartbeat_of(name, member.id, group.generation, member.instance)
            else:
                self._sync(name, member.id, group.generation, group.protocol, member.instance)
            self._compare()

    # -- what clients were told ----------------------------------------------------------------------

    def _release(self, batches: int) -> None:
        for paper, said in self.desk.commit(batches):
            if paper.number in self.in_flight and not isinstance(said, ErrorCode):
                place, offset = self.in_flight.pop(paper.number)
                self.acked[place] = max(offset, self.acked.get(place, 0))
            synced = self.syncs.pop(paper.number, None)
            if synced and isinstance(said, SyncGroupResponse) and not said.error_code:
                self._told(*synced, said.assignment)

    def _told(self, group: str, generation: int, member_id: str, assignment: bytes) -> None:
        assert generation >= self.generations.get(group, 0), "G2"
        self.generations[group] = generation
        shares = self.leaders.setdefault((group, generation), {})
        shares[member_id] = assignment
        owned = [part for data in shares.values() for part in data.lstrip(b"0123456789")]
        same = {data.rstrip(bytes(range(PARTITIONS))) for data in shares.values() if data}
        replaced = {each for each in shares if self.owners.get(each)}
        if not replaced:  # a static member's successor has the share of its predecessor
            assert len(owned) == len(set(owned)), "G1"
        assert len(same) <= 1, "G1: two assignments in one generation"

    @invariant()
    def offsets_are_there(self) -> None:
        """G3, and the same state as the model."""
        if not hasattr(self, "model"):
            return
        state = self.desk.shard.state
        assert set(state.groups) == set(self.model.groups)
        for name, expected in self.model.groups.items():
            group = self.desk.group(name)
            assert (group.state.value, group.generation) == (expected.state, expected.generation)
            assert list(group.members) == [each.id for each in expected.members]
            assert list(group.pending_ids) == list(expected.pending)
        for name in GROUPS:
            asked = [OffsetFetchRequestTopics("t", partition_indexes=list(range(PARTITIONS)))]
            answer = self.desk.shard.fetch_offsets(
                OffsetFetchRequestGroup(name, topics=asked), require_stable=True
            )
            for part in answer.topics[0].partitions:
                place = (name, part.partition_index)
                assert part.committed_offset == self.model.offsets.get(place, -1)
                assert part.committed_offset >= self.acked.get(place, -1), "G3"


def _fit(group: Group) -> tuple[tuple[str, bytes], ...]:
    """Protocols that everybody supports."""
    return tuple((name, b"1") for name in sorted(group.common()))


def answer_of(said: Any) -> Answer:
    """An answer in the words of the model."""
    if isinstance(said, JoinGroupResponse):
        return (
            "join",
            said.error_code,
            said.generation_id,
            said.protocol_name,
            said.leader,
            said.member_id,
            tuple(each.member_id for each in said.members),
            said.skip_assignment,
        )
    assert isinstance(said, SyncGroupResponse), said
    return ("sync", said.error_code, said.assignment)


def test_random_lives() -> None:
    run_state_machine_as_test(
        ClassicGroups, settings=settings(max_examples=60, stateful_step_count=40)
    )


@pytest.mark.soak
def test_many_lives() -> None:
    run_state_machine_as_test(
        ClassicGroups, settings=settings(max_examples=3_000, stateful_step_count=60)
    )
