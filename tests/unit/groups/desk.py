"""A shard of groups without a node: its records are kept, its timers run when time passes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from barnabas.coordinator.effects import Effects, Now, Origin, TimerKey
from barnabas.coordinator.framing import decode_record, encode_record
from barnabas.groups.classic.group import ClassicGroup
from barnabas.groups.context import RequestContext
from barnabas.groups.record_types import GROUP_RECORDS
from barnabas.groups.settings import GroupSettings
from barnabas.groups.shard import GroupShard
from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message
from barnabas.wire.messages.heartbeat_request import HeartbeatRequest
from barnabas.wire.messages.heartbeat_response import HeartbeatResponse
from barnabas.wire.messages.join_group_request import JoinGroupRequest, JoinGroupRequestProtocol
from barnabas.wire.messages.join_group_response import JoinGroupResponse
from barnabas.wire.messages.leave_group_request import LeaveGroupRequest, MemberIdentity
from barnabas.wire.messages.leave_group_response import LeaveGroupResponse
from barnabas.wire.messages.sync_group_request import SyncGroupRequest, SyncGroupRequestAssignment
from barnabas.wire.messages.sync_group_response import SyncGroupResponse

START_MS = 1_700_000_000_000


class Paper:
    """A ticket that remembers its answer."""

    def __init__(self) -> None:
        self.response: Any = None
        self.error: ErrorCode | None = None

    def answer(self, response: Message) -> None:
        """Once only."""
        assert not self.done, f"answered twice: {self.response}, {response}"
        self.response = response

    def fail(self, error: ErrorCode) -> None:
        """Once only."""
        assert not self.done
        self.error = error

    @property
    def done(self) -> bool:
        """Whether it was told anything."""
        return self.response is not None or self.error is not None


class Desk:
    """Runs decisions as the runtime does, on a clock that moves when told to."""

    def __init__(self, **settings: int) -> None:
        numbers: dict[str, Any] = {"initial_rebalance_delay_ms": 0, **settings}
        self.settings = GroupSettings(**numbers)
        self.ms = 0
        self.log: list[tuple[bytes, bytes | None, Origin]] = []
        self.timers: dict[TimerKey, int] = {}
        self.refuse: ErrorCode | None = None
        self._numbers = count()
        self.shard = self._new()
        self._do(self.shard.activate(self.now))

    def _new(self) -> GroupShard:
        return GroupShard(self.settings, lambda: f"id{next(self._numbers)}")

    @property
    def now(self) -> Now:
        """Now."""
        return Now(START_MS + self.ms, self.ms)

    def group(self, group_id: str = "g") -> ClassicGroup:
        """A group that is there."""
        found = self.shard.state.classic(group_id)
        assert found is not None
        return found

    def reload(self) -> None:
        """The node dies, and another one reads the log."""
        self.timers.clear()
        self.shard = self._new()
        for key, value, origin in self.log:
            record = decode_record(GROUP_RECORDS, key, value)
            assert record is not None
            self.shard.replay(record, origin)
        self._do(self.shard.activate(self.now))

    def run(self, decide: Callable[[Paper], Effects]) -> Paper:
        """A request."""
        paper = Paper()
        self._do(decide(paper))
        return paper

    def _do(self, effects: Effects) -> None:
        if effects.records and self.refuse is not None:
            code, self.refuse = self.refuse, None
            if effects.refused is None:
                for ticket, _ in effects.replies:
                    ticket.fail(code)
                return
            self._do(effects.refused(code))
            return
        producer_id, epoch = effects.producer or (-1, -1)
        for record in effects.records:
            key, value = encode_record(record)
            assert decode_record(GROUP_RECORDS, key, value) == record
            origin = Origin(len(self.log), self.now.wall, producer_id, epoch)
            self.log.append((key, value, origin))
            self.shard.replay(record, origin)
        for key_, at in effects.timers:
            if at is None:
                self.timers.pop(key_, None)
            else:
                self.timers[key_] = at
        for ticket, response in effects.replies:
            ticket.answer(response)

    def advance(self, ms: int) -> None:
        """Time passes."""
        end = self.ms + ms
        while self.timers:
            key = min(self.timers, key=lambda each: self.timers[each])
            if self.timers[key] > end:
                break
            self.ms = max(self.ms, self.timers.pop(key))
            self._do(self.shard.timer(key, self.now))
        self.ms = end

    # -- requests --------------------------------------------------------------------------------

    def join(
        self,
        member_id: str = "",
        *,
        group: str = "g",
        instance: str | None = None,
        protocols: dict[str, bytes] | None = None,
        kind: str = "consumer",
        version: int = 9,
        session_ms: int = 10_000,
        rebalance_ms: int = 30_000,
        client: str = "c",
    ) -> Paper:
        """JoinGroup."""
        named = {"range": b"meta"} if protocols is None else protocols
        request = JoinGroupRequest(
            group,
            session_ms,
            rebalance_ms,
            member_id,
            instance,
            kind,
            [JoinGroupRequestProtocol(name, data) for name, data in named.items()],
        )
        context = RequestContext(client, "/127.0.0.1", version)
        return self.run(lambda paper: self.shard.join_group(context, request, paper, self.now))

    def new_member(self, **options: Any) -> tuple[str, Paper]:
        """The two joins of a dynamic member: its id, and the one that waits."""
        first = self.join(**options).response
        assert first.error_code == ErrorCode.MEMBER_ID_REQUIRED
        return first.member_id, self.join(first.member_id, **options)

    def sync(
        self,
        member_id: str,
        generation: int,
        assignments: dict[str, bytes] | None = None,
        *,
        group: str = "g",
        instance: str | None = None,
        protocol: str | None = "range",
        kind: str = "consumer",
    ) -> Paper:
        """SyncGroup."""
        given = [SyncGroupRequestAssignment(k, v) for k, v in (assignments or {}).items()]
        request = SyncGroupRequest(group, generation, member_id, instance, kind, protocol, given)
        return self.run(lambda paper: self.shard.sync_group(request, paper, self.now))

    def heartbeat(
        self, member_id: str, generation: int, *, group: str = "g", instance: str | None = None
    ) -> ErrorCode:
        """Heartbeat."""
        request = HeartbeatRequest(group, generation, member_id, instance)
        answer = self.run(lambda paper: self.shard.heartbeat(request, paper, self.now)).response
        assert isinstance(answer, HeartbeatResponse)
        return ErrorCode(answer.error_code)

    def leave(self, *members: tuple[str, str | None], group: str = "g") -> list[ErrorCode]:
        """LeaveGroup of (member id, instance id)."""
        request = LeaveGroupRequest(group, members=[MemberIdentity(m, i) for m, i in members])
        answer = self.run(lambda paper: self.shard.leave_group(request, paper, self.now)).response
        assert isinstance(answer, LeaveGroupResponse)
        return [ErrorCode(each.error_code) for each in answer.members]

    def stable(self, members: int = 1, **options: Any) -> list[str]:
        """A stable group: the ids of its members, the leader first."""
        papers = {}
        for _ in range(members):
            member_id, paper = self.new_member(**options)
            papers[member_id] = paper
        self.advance(0)
        while not all(paper.done for paper in papers.values()):
            self._rejoin(papers, **options)
        first = next(iter(papers.values())).response
        assert isinstance(first, JoinGroupResponse)
        leader = first.leader
        rest = [each for each in papers if each != leader]
        generation, kind = first.generation_id, options.get("kind", "consumer")
        waiting = [self.sync(each, generation, kind=kind) for each in rest]
        given = {each: each.encode() for each in papers}
        answers = [self.sync(leader, generation, given, kind=kind), *waiting]
        for member_id, answer in zip([leader, *rest], answers, strict=True):
            assert isinstance(answer.response, SyncGroupResponse)
            assert answer.response.assignment == member_id.encode()
        return [leader, *rest]

    def _rejoin(self, papers: dict[str, Paper], **options: Any) -> None:
        for member_id, paper in papers.items():
            if paper.done:
                papers[member_id] = self.join(member_id, **options)
