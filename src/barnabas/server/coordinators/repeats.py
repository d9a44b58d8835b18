"""Heartbeats and commits that a member of a classic group repeats, answered without decoding them.

The bytes of a request, or those before the offset of a commit, are looked up; what they stand for was
learned when such a request was decoded for the first time. All that may have changed since is asked
each time: authorizer, topics, shard, member, generation. A request that is not known, or is not in
order, takes the long way (`handlers/heartbeat.py`, `handlers/offset_commit.py`).

Unlike there, the answer to a Heartbeat does not wait for what else was appended to the partition: it
says only that a stable group is as its member knows it (so does Kafka, whose heartbeats only read).
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, Final, Protocol

from barnabas.groups.known import NEEDS_A_LOOK, KnownMember, KnownPlace
from barnabas.groups.offsets.commit import refuse_commit
from barnabas.records.one_record import OneRecord
from barnabas.security.operations import Operation, ResourceType
from barnabas.server.append import append_one
from barnabas.server.coordinators.tickets import RequestTicket
from barnabas.wire import codec
from barnabas.wire.apis import API
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.heartbeat_response import HeartbeatResponse
from barnabas.wire.messages.offset_commit_request import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)

if TYPE_CHECKING:
    from barnabas.metadata.image.topics import Topic
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request
    from barnabas.wire.message import Message
    from barnabas.wire.messages.heartbeat_request import HeartbeatRequest

#: Requests that are remembered, some 700 bytes each; then all are forgotten, and learned again.
KNOWN_MAX: Final = 32_768

EPOCH_FROM: Final = 6
IDS_FROM: Final = 10
_MS: Final = 1_000_000
_CORRELATION = Struct(">i")
_OFFSET_EPOCH = Struct(">qi")
#: How a commit ends behind offset and leader epoch: no metadata (empty or null), and, where they
#: are flexible, the tags of partition, topic and request.
_PLAIN_END: Final = (b"\0\0", b"\xff\xff")
_FLEXIBLE_END: Final = (b"\x01\0\0\0", b"\0\0\0\0")


class KnownRequests:
    """What the node has learned, of all versions and listeners; bounded."""

    def __init__(self) -> None:
        self.tables: list[dict[bytes, Any]] = []
        self._count = 0

    def table(self) -> dict[bytes, Any]:
        """A new table, for one version of one API."""
        self.tables.append({})
        return self.tables[-1]

    def remember(self, table: dict[bytes, Any], key: bytes, known: object) -> None:
        """Keep one more."""
        if self._count >= KNOWN_MAX:
            for each in self.tables:
                each.clear()
            self._count = 0
        self._count += key not in table
        table[key] = known


class Shortcut(Protocol):
    """A short way for some requests of one version of an API."""

    def take(self, request: Request) -> bool:
        """Answer it, now or later; false: take the long way, nothing has happened."""

    def learn(self, message: Any) -> None:
        """A decoded request takes the long way; the next one that says the same need not."""


def shortcut(broker: Broker, key: int, version: int) -> Shortcut:
    """The one for a version of Heartbeat or OffsetCommit."""
    return (Heartbeats if key == HeartbeatResponse.API_KEY else Commits)(broker, version)


class _Known:
    """Where a request belongs, and the answer to it behind the correlation id."""

    __slots__ = ("answer", "home", "member", "number", "timer")

    def __init__(self, home: Topic, number: int, member: KnownMember, answer: bytes) -> None:
        self.home = home
        self.number = number
        self.member = member
        self.timer = (number, member.timer)
        self.answer = answer


class _Base:
    """What both have in common."""

    def __init__(self, broker: Broker, version: int) -> None:
        self._broker = broker
        self._version = version
        groups = broker.coordinators.groups
        self._runtime = groups.runtime
        self._known = groups.known
        self._table: dict[bytes, Any] = groups.known.table()

    def _place(self, member: KnownMember, answer: bytes) -> _Known | None:
        """Where a member's group is at work; None when its request is out of order, or not here."""
        runtime = self._runtime
        home = self._broker.image.topics.by_name.get(runtime.topic)
        if home is None:
            return None
        number = runtime.partition_of(member.group_id)
        shard = runtime.shard(number)
        if shard is None or member.session_ms(shard.state) == NEEDS_A_LOOK:
            return None
        return _Known(home, number, member, answer)


class Heartbeats(_Base):
    """Heartbeats of one version."""

    def take(self, request: Request) -> bool:
        """See `Shortcut`."""
        known: _Known | None = self._table.get(bytes(request.view[request.body :]))
        if known is None:
            return False
        broker, member, runtime = self._broker, known.member, self._runtime
        slot = runtime.serving(known.number)
        if (
            slot is None
            or broker.quotas.active
            or broker.image.topics.by_name.get(runtime.topic) is not known.home
            or not broker.allowed.resource(
                request, Operation.READ, ResourceType.GROUP, member.group_id
            )
        ):
            return False
        session_ms = member.session_ms(slot.shard.state)
        if session_ms == NEEDS_A_LOOK:
            return False
        runtime.timers.set(known.timer, request.began_ns // _MS + session_ms)
        request.payload = _CORRELATION.pack(request.correlation_id) + known.answer
        request.settled = True
        request.exclusive = False
        return True

    def learn(self, message: HeartbeatRequest) -> None:
        """See `Shortcut`."""
        member = KnownMember(
            message.group_id, message.generation_id, message.member_id, message.group_instance_id
        )
        known = self._place(member, _answer(HeartbeatResponse(), self._version))
        if known is not None:
            self._known.remember(self._table, codec.encode(message, self._version), known)


class _KnownCommit(_Known):
    """And what it says before the offset."""

    __slots__ = ("place", "record", "topic")

    def __init__(self, known: _Known, topic: Topic, place: KnownPlace) -> None:
        super().__init__(known.home, known.number, known.member, known.answer)
        self.topic = topic
        self.place = place
        self.record = OneRecord(place.key_bytes, place.value_size)


class _CommitTicket:
    """A commit that waits for the high watermark (`coordinator.Ticket`)."""

    __slots__ = ("_known", "_request")

    def __init__(self, request: Request, known: _KnownCommit) -> None:
        self._request = request
        self._known = known

    def answer(self, response: Message) -> None:
        """Send it; it is encoded already."""
        del response
        request = self._request
        request.respond(_CORRELATION.pack(request.correlation_id) + self._known.answer)

    def fail(self, error: ErrorCode) -> None:
        """Send a response that says `error`."""
        topic, (*_, index) = self._known.topic, self._known.place.place
        parts = [OffsetCommitRequestPartition(index)]
        said = OffsetCommitRequestTopic(topic.name, topic.id, parts)
        message = OffsetCommitRequest(topics=[said])
        RequestTicket(self._request, lambda code: refuse_commit(message, code)).fail(error)


class Commits(_Base):
    """OffsetCommits of one version: one partition, no metadata."""

    def __init__(self, broker: Broker, version: int) -> None:
        super().__init__(broker, version)
        flexible = version >= API[OffsetCommitRequest.API_KEY].flexible
        self._end = _FLEXIBLE_END if flexible else _PLAIN_END
        self._tail = _OFFSET_EPOCH.size + len(self._end[0])
        self._learns = version >= EPOCH_FROM and not self._runtime.codec

    def take(self, request: Request) -> bool:
        """See `Shortcut`."""
        at = request.size - self._tail
        known: _KnownCommit | None = self._table.get(bytes(request.view[request.body : at]))
        if known is None or not request.frame.endswith(self._end):
            return False
        broker, member, runtime = self._broker, known.member, self._runtime
        topics, topic = broker.image.topics.by_name, known.topic
        slot = runtime.serving(known.number)
        if (
            slot is None
            or broker.quotas.active
            or topics.get(topic.name) is not topic
            or topics.get(runtime.topic) is not known.home
            or not broker.allowed.resource(
                request, Operation.READ, ResourceType.GROUP, member.group_id
            )
            or not broker.allowed.topic(request, Operation.READ, topic.name)
        ):
            return False
        session_ms = member.session_ms(slot.shard.state)
        hosted = slot.hosted
        if session_ms == NEEDS_A_LOOK or hosted is None:
            return False
        offset, epoch = _OFFSET_EPOCH.unpack_from(request.frame, at)
        now_ms, place = broker.clock.wall_ms(), known.place
        value = place.value_bytes(offset, epoch, now_ms)
        written = append_one(hosted, known.record, value, now_ms)
        if written < 0:
            return False
        slot.shard.replay_commit(place.place, place.committed(offset, epoch, now_ms, written))
        began_ms = request.began_ns // _MS
        runtime.timers.set(known.timer, began_ms + session_ms)
        runtime.reply_later(slot, _CommitTicket(request, known), began_ms)
        request.exclusive = False
        return True

    def learn(self, message: OffsetCommitRequest) -> None:
        """See `Shortcut`."""
        found = self._only_place(message)
        if found is None:
            return
        topic, index = found
        member = KnownMember(
            message.group_id,
            message.generation_id_or_member_epoch,
            message.member_id,
            message.group_instance_id,
        )
        parts = [OffsetCommitRequestPartition(index)]
        said = OffsetCommitRequestTopic(topic.name, topic.id, parts)
        response = refuse_commit(OffsetCommitRequest(topics=[said]), ErrorCode.NONE)
        answer = _answer(response, self._version)
        known = self._place(member, answer)
        if known is not None:
            place = KnownPlace(message.group_id, topic.name, topic.id, index)
            key = codec.encode(message, self._version)[: -self._tail]
            self._known.remember(self._table, key, _KnownCommit(known, topic, place))

    def _only_place(self, message: OffsetCommitRequest) -> tuple[Topic, int] | None:
        """The only partition of a commit of the usual form: when its key is the start of a request,
        offset, leader epoch and `_end` are all that can follow."""
        if not self._learns or message.unknown_tags or len(message.topics) != 1:
            return None
        (topic,) = message.topics
        if topic.unknown_tags or len(topic.partitions) != 1:
            return None
        (part,) = topic.partitions
        topics, by_id = self._broker.image.topics, self._version >= IDS_FROM
        there = topics.by_id.get(topic.topic_id) if by_id else topics.by_name.get(topic.name)
        if (
            there is None
            or part.partition_index not in there.partitions
            or part.unknown_tags
            or part.committed_metadata
        ):
            return None
        return there, part.partition_index


def _answer(response: Message, version: int) -> bytes:
    """An answer without its correlation id."""
    head = b"\0" * API[response.API_KEY].response_header_version(version)
    return head + codec.encode(response, version)
