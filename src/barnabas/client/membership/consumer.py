"""A member of a KIP-848 group: ConsumerGroupHeartbeat as a state machine.

The coordinator assigns; the member gives up what is not in its target before it takes what is new,
and tells with its next heartbeat what it has. Rules for errors: Kafka's Java consumer.
"""

from __future__ import annotations

from collections.abc import Iterable

from barnabas.client.errors import error_code
from barnabas.client.fetch_core import TopicPartition
from barnabas.client.membership.classic import NOBODY, Phase
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
from barnabas.client.membership.protocol import by_topic
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.consumer_group_heartbeat_request import (
    ConsumerGroupHeartbeatRequest,
    TopicPartitions,
)
from barnabas.wire.messages.consumer_group_heartbeat_response import (
    Assignment,
    ConsumerGroupHeartbeatResponse,
)

JOIN = 0
LEAVE = -1
LEAVE_FOR_NOW = -2
"""A static member that will be back (KIP-345)."""
_LOST_COORDINATOR = frozenset({ErrorCode.NOT_COORDINATOR, ErrorCode.COORDINATOR_NOT_AVAILABLE})
_PATIENCE = frozenset({ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.REQUEST_TIMED_OUT})
_FENCED = frozenset({ErrorCode.FENCED_MEMBER_EPOCH, ErrorCode.UNKNOWN_MEMBER_ID})


class ConsumerMember:
    """One member, whose id (a uuid as text) it brings along; see `ClassicMember`."""

    cooperative = True

    def __init__(self, config: GroupConfig, member_id: str) -> None:
        self._config = config
        self.member_id = member_id
        self.phase = Phase.IDLE
        self.epoch = JOIN
        self.owned: Partitions = NOBODY
        self._topics: frozenset[str] = frozenset()
        self._sent_topics: frozenset[str] | None = None
        self._told: Partitions | None = None
        self._target: dict[bytes, list[int]] | None = None
        """What the coordinator wants this member to have, until that is so."""
        self._names: dict[bytes, str] = {}
        self._ids: dict[str, bytes] = {}
        self._describing = False
        self._going: Partitions = NOBODY
        self._rejoining = False
        self._coordinator = False
        self._finding = False
        self._losses = 0
        self._interval_ms = config.heartbeat_interval_ms
        self._due_ms = 0
        self._token = 0
        self._heartbeat = 0
        self._out: list[Effect] = []

    @property
    def generation(self) -> int:
        """The member epoch, -1 while it is in no group."""
        return self.epoch if self.epoch > 0 else -1

    @property
    def commits_as(self) -> tuple[str, int]:
        """Member id and epoch to commit with."""
        return (self.member_id, self.epoch) if self.epoch > 0 else ("", -1)

    @property
    def watched(self) -> frozenset[str]:
        """Topics whose metadata this member needs."""
        return self._topics

    @property
    def wake_ms(self) -> int | None:
        """When time alone changes something; None: never."""
        waits = self._heartbeat or not self._coordinator or not self._topics or self._rejoining
        return None if waits or self.phase is Phase.LEFT else self._due_ms

    def step(self, event: Event, now: int) -> list[Effect]:
        """Take in what happened at `now` (monotonic ms)."""
        if self.phase is not Phase.LEFT:
            self._take(event, now)
        if self.phase is not Phase.LEFT:
            self._reconcile(now)
            self._advance(now)
        out, self._out = self._out, []
        return out

    def _take(self, event: Event, now: int) -> None:
        match event:
            case Subscribed(topics):
                self._topics = topics
                if topics != self._sent_topics:
                    self._due_ms = now
            case CoordinatorFound():
                self._coordinator, self._finding = True, False
                self._due_ms = now
            case CoordinatorRefused(error):
                self._fail(error)
            case Answered(token, response):
                if token == self._heartbeat:
                    self._heartbeat = 0
                    self._due_ms = now + self._interval_ms
                    if isinstance(response, ConsumerGroupHeartbeatResponse):
                        self._heard(response, now)
            case Failed(token):
                if token == self._heartbeat:
                    self._heartbeat = 0
                    self._forget_told()
                    self._lose_coordinator(now)
            case CommitAnswered(code, _):
                if code in _LOST_COORDINATOR:
                    self._lose_coordinator(now)
            case Topics(_, ids):
                self._describing = False
                self._names.update(ids)
                self._ids.update({name: each for each, name in ids.items()})
            case Released():
                self._released(now)
            case Leave(stay):
                self._leave(stay)
            case Tick():
                pass

    # -- what moves by itself --

    def _advance(self, now: int) -> None:
        if not self._topics:
            return
        if not self._coordinator:
            if not self._finding:
                self._finding = True
                self._out.append(FindCoordinator(max(self._due_ms - now, 0)))
            return
        # A fenced member joins again when it has put down what it had.
        if not self._heartbeat and not self._rejoining and now >= self._due_ms:
            self._beat()

    def _beat(self) -> None:
        config, joins = self._config, self.epoch == JOIN
        if joins:
            self._forget_told()
        request = ConsumerGroupHeartbeatRequest(
            group_id=config.group_id,
            member_id=self.member_id,
            member_epoch=self.epoch,
        )
        if joins or self._sent_topics is None:
            request.instance_id = config.group_instance_id
            request.rack_id = config.client_rack
            request.rebalance_timeout_ms = config.max_poll_interval_ms
            request.server_assignor = config.group_remote_assignor
        if self._topics != self._sent_topics:
            request.subscribed_topic_names = sorted(self._topics)
            self._sent_topics = self._topics
        if self.owned != self._told:
            request.topic_partitions = self._wire(self.owned)
            self._told = self.owned
        if self.epoch == JOIN:
            self.phase = Phase.JOINING
        timeout = min(config.request_timeout_ms, config.session_timeout_ms)
        self._heartbeat = self._send(request, timeout)

    def _send(self, request: Message, timeout_ms: int) -> int:
        self._token += 1
        self._out.append(Send(self._token, request, ConsumerGroupHeartbeatResponse, timeout_ms))
        return self._token

    def _wire(self, partitions: Iterable[TopicPartition]) -> list[TopicPartitions]:
        return [
            TopicPartitions(self._ids[topic], numbers)
            for topic, numbers in by_topic(partitions).items()
        ]

    def _reconcile(self, now: int) -> None:
        """Move towards the target: first give up, then take."""
        if self._target is None or self._going or self._rejoining:
            return
        unknown = frozenset(each for each in self._target if each not in self._names)
        if unknown and not self._describing:
            # What has no name yet waits for it; what has one need not.
            self._describing = True
            self._out.append(Describe(self._topics, unknown))
        target = frozenset(
            (self._names[each], number)
            for each, numbers in self._target.items()
            if each in self._names
            for number in numbers
        )
        going = self.owned - target
        if going:
            self._going = going
            self.phase = Phase.PREPARING
            self._out.append(Revoke(going))
            return
        added = target - self.owned
        if unknown and not added:
            return
        if not unknown:
            self._target = None
        if added or self.phase is not Phase.STABLE:
            self.owned = target
            self.phase = Phase.STABLE
            self._out.append(Assign(added))
            self._due_ms = now  # the coordinator waits to hear of it
        elif self.owned != self._told:
            self._due_ms = now

    # -- what is heard --

    def _heard(self, response: ConsumerGroupHeartbeatResponse, now: int) -> None:
        code = error_code(response.error_code)
        if code == ErrorCode.NONE:
            self.epoch = response.member_epoch
            self._losses = 0
            self._interval_ms = response.heartbeat_interval_ms or self._interval_ms
            self._due_ms = now + self._interval_ms
            if response.assignment is not None:
                self._target = _targets(response.assignment)
            return
        self._forget_told()
        if code in _FENCED:
            self._fenced(now)
        elif code in _LOST_COORDINATOR:
            self._lose_coordinator(now)
        elif code in _PATIENCE or code == ErrorCode.TOPIC_AUTHORIZATION_FAILED:
            # Topics that may not be seen yet: the member waits in the group (as Java's does).
            self._due_ms = now + self._config.retry_backoff_ms
        elif code == ErrorCode.UNRELEASED_INSTANCE_ID:
            self._fail(KafkaError(code, f"{self._config.group_instance_id!r} is in use"))
        else:
            message = f"group {self._config.group_id!r}: {response.error_message or 'heartbeat'}"
            self._fail(KafkaError(code, message))

    def _fenced(self, now: int) -> None:
        """Somebody else may have the partitions already: put them down, and join again."""
        self.epoch = JOIN
        self._target = None
        self._due_ms = now
        if self.owned:
            self._out.append(Lose(self.owned))
            self.owned = NOBODY
        self.phase = Phase.IDLE
        self._rejoining = bool(self._going)

    def _released(self, now: int) -> None:
        self.owned -= self._going
        self._going = NOBODY
        self._rejoining = False
        self._due_ms = now

    def _forget_told(self) -> None:
        """An answer is missing: the next heartbeat says everything."""
        self._sent_topics = None
        self._told = None

    def _lose_coordinator(self, now: int) -> None:
        self._coordinator = False
        self._losses += 1
        config = self._config
        pause = config.retry_backoff_ms << min(self._losses - 1, 10)
        self._due_ms = now + min(pause, config.retry_backoff_max_ms)

    def _fail(self, error: Exception) -> None:
        if self.owned:
            self._out.append(Lose(self.owned))
            self.owned = NOBODY
        self.phase = Phase.LEFT
        self.epoch = LEAVE
        self._out.append(Fail(error))

    def _leave(self, stay: bool) -> None:
        config = self._config
        if self._coordinator and self.epoch > 0:
            epoch = LEAVE_FOR_NOW if stay and config.group_instance_id is not None else LEAVE
            request = ConsumerGroupHeartbeatRequest(
                group_id=config.group_id,
                member_id=self.member_id,
                member_epoch=epoch,
                instance_id=config.group_instance_id,
            )
            self._send(request, config.request_timeout_ms)
        self.phase = Phase.LEFT
        self.epoch = LEAVE
        self.owned = NOBODY


def _targets(assignment: Assignment) -> dict[bytes, list[int]]:
    return {each.topic_id: each.partitions for each in assignment.topic_partitions}
