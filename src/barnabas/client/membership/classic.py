"""A member of a classic group: JoinGroup, SyncGroup, Heartbeat, LeaveGroup as one state machine.

The rules for every error code are those of Kafka's Java consumer. Members whose assignors are all
cooperative keep their partitions while they rejoin (KIP-429); others give all of them up first.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from barnabas.client.errors import error_code
from barnabas.client.membership.assignors import ASSIGNORS
from barnabas.client.membership.events import (
    Answered,
    Assign,
    CommitAnswered,
    CoordinatorFound,
    CoordinatorRefused,
    Describe,
    Effect,
    Event,
    Fail,
    Failed,
    FindCoordinator,
    GroupConfig,
    Leave,
    Lose,
    Partitions,
    Released,
    Revoke,
    Send,
    Subscribed,
    Tick,
    Topics,
)
from barnabas.client.membership.protocol import (
    CONSUMER,
    NO_GENERATION,
    Subscription,
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)
from barnabas.wire.errors import ErrorCode, KafkaError, ProtocolError
from barnabas.wire.message import Message
from barnabas.wire.messages.heartbeat_request import HeartbeatRequest
from barnabas.wire.messages.heartbeat_response import HeartbeatResponse
from barnabas.wire.messages.join_group_request import JoinGroupRequest, JoinGroupRequestProtocol
from barnabas.wire.messages.join_group_response import JoinGroupResponse
from barnabas.wire.messages.leave_group_request import LeaveGroupRequest, MemberIdentity
from barnabas.wire.messages.leave_group_response import LeaveGroupResponse
from barnabas.wire.messages.sync_group_request import SyncGroupRequest, SyncGroupRequestAssignment
from barnabas.wire.messages.sync_group_response import SyncGroupResponse

JOIN_LAPSE_MS = 5_000
"""What JoinGroup may take beyond the rebalance timeout."""
NOBODY: Partitions = frozenset()
_UNSEEN = -1
_LOST_COORDINATOR = frozenset({ErrorCode.NOT_COORDINATOR, ErrorCode.COORDINATOR_NOT_AVAILABLE})
_PATIENCE = frozenset({ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.REQUEST_TIMED_OUT})


class Phase(Enum):
    """Where a member stands."""

    IDLE = "no subscription, or not in the group"
    PREPARING = "gives partitions up before it joins"
    JOINING = "waits for JoinGroup"
    DESCRIBING = "leads, and looks up the topics"
    SYNCING = "waits for SyncGroup"
    STABLE = "works"
    LEFT = "has left, or failed"


class ClassicMember:
    """One member; `step` takes an event and returns what to do. `wake_ms`: when to `Tick`."""

    def __init__(self, config: GroupConfig) -> None:
        self._config = config
        self._assignors = [ASSIGNORS[name] for name in config.partition_assignment_strategy]
        self.cooperative = all(each.cooperative for each in self._assignors)
        self.phase = Phase.IDLE
        self.member_id = ""
        self.generation = NO_GENERATION
        self.owned: Partitions = NOBODY
        self._topics: frozenset[str] = frozenset()
        self._joined_topics: frozenset[str] = frozenset()
        self._protocol = ""
        self._last: tuple[Partitions | None, int] = (None, NO_GENERATION)
        self._rejoin = False
        self._reason = ""
        self._going: Partitions = NOBODY
        self._coordinator = False
        self._finding = False
        self._losses = 0
        self._retry_ms = 0
        self._heartbeat_ms = 0
        self._token = 0
        self._heartbeat = 0
        self._beat_generation = NO_GENERATION
        self._call = 0
        self._members: Mapping[str, Subscription] = {}
        self._snapshot: Mapping[str, int] | None = None
        self._out: list[Effect] = []

    @property
    def wake_ms(self) -> int | None:
        """When time alone changes something; None: never."""
        times = []
        if self._beats and not self._heartbeat:
            times.append(self._heartbeat_ms)
        if self._rejoin and self.phase in (Phase.IDLE, Phase.STABLE) and not self._going:
            times.append(self._retry_ms)
        return min(times) if times and self._coordinator else None

    @property
    def commits_as(self) -> tuple[str, int]:
        """Member id and generation to commit with; no id while it is in no generation."""
        if self.generation < 0:
            return "", NO_GENERATION
        return self.member_id, self.generation

    @property
    def watched(self) -> frozenset[str]:
        """Topics whose partitions this member has to watch: the leader those of all members."""
        return frozenset(self._snapshot or ()) | self._topics

    @property
    def _beats(self) -> bool:
        return self.generation >= 0 and self.phase in (
            Phase.PREPARING,
            Phase.DESCRIBING,
            Phase.SYNCING,
            Phase.STABLE,
        )

    def step(self, event: Event, now: int) -> list[Effect]:
        """Take in what happened at `now` (monotonic ms)."""
        if self.phase is not Phase.LEFT:
            self._take(event, now)
        if self.phase is not Phase.LEFT:
            self._advance(now)
        out, self._out = self._out, []
        return out

    def _take(self, event: Event, now: int) -> None:
        match event:
            case Subscribed(topics):
                self._subscribed(topics)
            case CoordinatorFound():
                self._coordinator, self._finding = True, False
                self._heartbeat_ms = now
            case CoordinatorRefused(error):
                self._fail(error)
            case Answered(token, response):
                self._answered(token, response, now)
            case Failed(token):
                self._unanswered(token, now)
            case CommitAnswered(code, generation):
                self._commit(code, generation, now)
            case Topics(partitions, _):
                self._described(partitions)
            case Released():
                self._going = NOBODY
                if self.phase is Phase.PREPARING:
                    self.owned = frozenset(n for n in self.owned if self._keeps(n[0]))
                    self._join(now)
            case Leave(stay):
                self._leave(stay)
            case Tick():
                pass

    def _keeps(self, topic: str) -> bool:
        return self.cooperative and topic in self._topics

    # -- what moves by itself --

    def _advance(self, now: int) -> None:
        if not self._topics and self.phase is Phase.IDLE:
            return
        if not self._coordinator:
            if not self._finding:
                self._finding = True
                self._out.append(FindCoordinator(max(self._retry_ms - now, 0)))
            return
        resting = self.phase in (Phase.IDLE, Phase.STABLE) and not self._going
        if self._rejoin and resting and now >= self._retry_ms:
            self._prepare(now)
        if self._beats and not self._heartbeat and now >= self._heartbeat_ms:
            self._beat()

    def _prepare(self, now: int) -> None:
        """Before joining, give up what an eager member may not keep, or nobody subscribes to."""
        going = frozenset(name for name in self.owned if not self._keeps(name[0]))
        if going and self.generation >= 0:
            self.phase = Phase.PREPARING
            self._going = going
            self._out.append(Revoke(going))
            return
        self._join(now)

    def _join(self, now: int) -> None:
        if not self._coordinator:
            self.phase = Phase.IDLE
            return
        self.phase = Phase.JOINING
        self._rejoin = False
        self._joined_topics = self._topics
        config = self._config
        last, generation = self._last
        protocols = [
            JoinGroupRequestProtocol(
                each.name,
                encode_subscription(
                    Subscription(
                        tuple(self._topics),
                        each.user_data(last, generation),
                        tuple(self.owned),
                        self.generation,
                        config.client_rack,
                    )
                ),
            )
            for each in self._assignors
        ]
        request = JoinGroupRequest(
            group_id=config.group_id,
            session_timeout_ms=config.session_timeout_ms,
            rebalance_timeout_ms=config.max_poll_interval_ms,
            member_id=self.member_id,
            group_instance_id=config.group_instance_id,
            protocol_type=CONSUMER,
            protocols=protocols,
            reason=self._reason[:255],
        )
        timeout = max(config.request_timeout_ms, config.max_poll_interval_ms + JOIN_LAPSE_MS)
        self._call = self._send(request, JoinGroupResponse, timeout, waits=True)
        self._retry_ms = now

    def _send(
        self, request: Message, response: type[Message], timeout_ms: int, *, waits: bool = False
    ) -> int:
        self._token += 1
        self._out.append(Send(self._token, request, response, timeout_ms, waits))
        return self._token

    def _beat(self) -> None:
        config = self._config
        request = HeartbeatRequest(
            config.group_id, self.generation, self.member_id, config.group_instance_id
        )
        timeout = min(config.request_timeout_ms, config.session_timeout_ms)
        self._heartbeat = self._send(request, HeartbeatResponse, timeout)
        self._beat_generation = self.generation

    # -- what is heard --

    def _subscribed(self, topics: frozenset[str]) -> None:
        self._topics = topics
        if self.phase is Phase.IDLE or topics != self._joined_topics:
            self._request_rejoin("the subscription changed")

    def _request_rejoin(self, reason: str) -> None:
        self._rejoin = True
        self._reason = reason

    def _answered(self, token: int, response: Message, now: int) -> None:
        if token == self._heartbeat:
            self._heartbeat = 0
            self._heartbeat_ms = now + self._config.heartbeat_interval_ms
            if isinstance(response, HeartbeatResponse):
                self._beaten(error_code(response.error_code), now)
        elif token == self._call:
            self._call = 0
            if isinstance(response, JoinGroupResponse):
                self._joined(response, now)
            elif isinstance(response, SyncGroupResponse):
                self._synced(response, now)

    def _unanswered(self, token: int, now: int) -> None:
        if token == self._heartbeat:
            self._heartbeat = 0
        elif token == self._call:
            self._call = 0
            self._again("no answer from the coordinator", now)
        else:
            return
        self._lose_coordinator(now)

    def _lose_coordinator(self, now: int) -> None:
        self._coordinator = False
        self._losses += 1
        config = self._config
        pause = config.retry_backoff_ms << min(self._losses - 1, 10)
        self._retry_ms = now + min(pause, config.retry_backoff_max_ms)

    def _again(self, reason: str, now: int, pause_ms: int = 0) -> None:
        """A rebalance failed: back to where it begins."""
        self.phase = Phase.IDLE
        self._request_rejoin(reason)
        self._retry_ms = now + pause_ms

    def _reset(self, reason: str, *, forget_id: bool) -> None:
        """The coordinator no longer knows this generation: what it owned is lost."""
        self.generation = NO_GENERATION
        if forget_id:
            self.member_id = ""
        self._lose()
        if self.phase is not Phase.PREPARING:  # which goes on to join when its release is done
            self.phase = Phase.IDLE
            self._call = 0
        self._request_rejoin(reason)

    def _lose(self) -> None:
        if self.owned or self._going:
            self._out.append(Lose(self.owned | self._going))
            self.owned = NOBODY

    def _fail(self, error: Exception) -> None:
        self._lose()
        self.phase = Phase.LEFT
        self.generation = NO_GENERATION
        self._out.append(Fail(error))

    def _refuse(self, code: ErrorCode, what: str) -> None:
        self._fail(KafkaError(code, f"group {self._config.group_id!r}: {what}"))

    def _joined(self, response: JoinGroupResponse, now: int) -> None:
        code = error_code(response.error_code)
        if code == ErrorCode.NONE:
            self._welcomed(response, now)
        elif code == ErrorCode.MEMBER_ID_REQUIRED:
            self.member_id = response.member_id
            self.generation = NO_GENERATION
            self._again("need to re-join with the given member-id: " + response.member_id, now)
        elif code == ErrorCode.UNKNOWN_MEMBER_ID:
            self._reset("the coordinator does not know this member", forget_id=True)
        elif code in _LOST_COORDINATOR:
            self._again(code.name, now, self._config.retry_backoff_ms)
            self._lose_coordinator(now)
        elif code in _PATIENCE or code == ErrorCode.REBALANCE_IN_PROGRESS:
            self._again(code.name, now, self._config.retry_backoff_ms)
        else:
            self._refuse(code, "JoinGroup")

    def _welcomed(self, response: JoinGroupResponse, now: int) -> None:
        if response.protocol_type not in (None, CONSUMER):
            self._refuse(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, str(response.protocol_type))
            return
        self.member_id = response.member_id
        self.generation = response.generation_id
        self._protocol = response.protocol_name or ""
        self._heartbeat_ms = now + self._config.heartbeat_interval_ms
        self._snapshot = None
        if self._protocol not in {each.name for each in self._assignors}:
            self._refuse(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, self._protocol)
        elif response.leader != response.member_id:
            self._sync({})
        else:
            try:
                self._members = {
                    each.member_id: decode_subscription(each.metadata, each.group_instance_id)
                    for each in response.members
                }
            except ProtocolError as error:
                self._fail(error)
                return
            self._lead(skip=response.skip_assignment)

    def _lead(self, *, skip: bool) -> None:
        topics = frozenset(topic for each in self._members.values() for topic in each.topics)
        if skip:  # a static leader that is back: the assignment stands
            self._members = {}
            self._snapshot = dict.fromkeys(sorted(topics), _UNSEEN)
            self._sync({})
            return
        self.phase = Phase.DESCRIBING
        self._out.append(Describe(topics))

    def _described(self, partitions: Mapping[str, int]) -> None:
        if self.phase is Phase.DESCRIBING:
            wanted = {topic for each in self._members.values() for topic in each.topics}
            counts = {topic: partitions[topic] for topic in wanted if topic in partitions}
            # A topic that does not exist yet is watched, too.
            self._snapshot = {topic: counts.get(topic, 0) for topic in sorted(wanted)}
            assignor = ASSIGNORS[self._protocol]
            self._sync(assignor.assign(counts, self._members))
            self._members = {}
        elif self.phase is Phase.STABLE and self._snapshot:
            before = self._snapshot
            now = {topic: partitions.get(topic, 0) for topic in before}
            if any(before[topic] not in (_UNSEEN, count) for topic, count in now.items()):
                self._request_rejoin("the partitions of the group's topics changed")
            self._snapshot = now

    def _sync(self, assignment: Mapping[str, list[tuple[str, int]]]) -> None:
        self.phase = Phase.SYNCING
        request = SyncGroupRequest(
            group_id=self._config.group_id,
            generation_id=self.generation,
            member_id=self.member_id,
            group_instance_id=self._config.group_instance_id,
            protocol_type=CONSUMER,
            protocol_name=self._protocol,
            assignments=[
                SyncGroupRequestAssignment(member, encode_assignment(share))
                for member, share in assignment.items()
            ],
        )
        timeout = max(self._config.request_timeout_ms, self._config.max_poll_interval_ms)
        self._call = self._send(request, SyncGroupResponse, timeout, waits=True)

    def _synced(self, response: SyncGroupResponse, now: int) -> None:
        code = error_code(response.error_code)
        if code == ErrorCode.NONE:
            if (
                response.protocol_type not in (None, CONSUMER)
                or (response.protocol_name or self._protocol) != self._protocol
            ):
                self._refuse(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, "SyncGroup")
                return
            self._share(response.assignment)
        elif code == ErrorCode.REBALANCE_IN_PROGRESS:
            self._again("the group began another rebalance", now)
        elif code in (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.ILLEGAL_GENERATION):
            self._reset(code.name, forget_id=code == ErrorCode.UNKNOWN_MEMBER_ID)
        elif code in _LOST_COORDINATOR:
            self._again(code.name, now, self._config.retry_backoff_ms)
            self._lose_coordinator(now)
        elif code in _PATIENCE:
            self._again(code.name, now, self._config.retry_backoff_ms)
        else:
            self._refuse(code, "SyncGroup")

    def _share(self, data: bytes) -> None:
        """The assignment: begin with what is new; cooperative members give up what is gone."""
        try:
            assigned = decode_assignment(data)
        except ProtocolError as error:
            self._fail(error)
            return
        self.phase = Phase.STABLE
        self._losses = 0
        if any(topic not in self._topics for topic, _ in assigned):
            self._request_rejoin("received assignment does not match the current subscription")
            return
        revoked = self.owned - assigned
        added = assigned - self.owned
        self.owned = assigned
        self._last = (assigned, self.generation)
        if revoked:
            self._going = revoked
            self._out.append(Revoke(revoked))
            self._request_rejoin("need to revoke partitions and re-join")
        self._out.append(Assign(added))

    def _beaten(self, code: ErrorCode, now: int) -> None:
        if code == ErrorCode.NONE:
            self._losses = 0
        elif code == ErrorCode.REBALANCE_IN_PROGRESS:
            if self.phase is Phase.STABLE:
                self._request_rejoin("group is already rebalancing")
                self._retry_ms = now
        elif code in (ErrorCode.ILLEGAL_GENERATION, ErrorCode.UNKNOWN_MEMBER_ID):
            # A heartbeat of an earlier generation may be answered late.
            if self._beats and self._beat_generation == self.generation:
                self._reset(code.name, forget_id=code == ErrorCode.UNKNOWN_MEMBER_ID)
        elif code in _LOST_COORDINATOR:
            self._lose_coordinator(now)
        elif code not in _PATIENCE:
            self._refuse(code, "Heartbeat")

    def _commit(self, code: ErrorCode, generation: int, now: int) -> None:
        if code in _LOST_COORDINATOR:
            self._lose_coordinator(now)
        if generation != self.generation or generation < 0:
            return
        if code in (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.ILLEGAL_GENERATION):
            self._reset(code.name, forget_id=code == ErrorCode.UNKNOWN_MEMBER_ID)
        elif code == ErrorCode.FENCED_INSTANCE_ID:
            self._refuse(code, "OffsetCommit")
        elif code == ErrorCode.REBALANCE_IN_PROGRESS and self.phase is Phase.STABLE:
            self._request_rejoin("offset commit failed since group is already rebalancing")

    def _leave(self, stay: bool) -> None:
        if self._coordinator and self.member_id and not stay:
            config = self._config
            member = MemberIdentity(
                self.member_id, config.group_instance_id, "the consumer is being closed"
            )
            request = LeaveGroupRequest(config.group_id, members=[member])
            self._send(request, LeaveGroupResponse, config.request_timeout_ms)
        self.phase = Phase.LEFT
        self.generation = NO_GENERATION
        self.owned = NOBODY
