"""What members of classic groups say again and again: that they live, and how far they have come.

A consumer sends the same Heartbeat for as long as its generation lasts, and commits that differ in
the offset alone. What the rest of such a request stands for is kept in a `KnownMember` and a
`KnownPlace`; whether it still holds is asked each time, with the rules of `classic` and `offsets`.
Everything else is decided there.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from barnabas.coordinator.framing import encode_key, encode_value
from barnabas.groups.classic.group import ClassicGroup, State
from barnabas.groups.classic.timers import SessionTimer
from barnabas.groups.offsets.commit import PLAIN_VERSION
from barnabas.groups.offsets.table import Committed
from barnabas.groups.records.offset_commit_key import OffsetCommitKey
from barnabas.groups.records.offset_commit_value import OffsetCommitValue

if TYPE_CHECKING:
    from barnabas.groups.state import GroupsState

NEEDS_A_LOOK: Final = -1

#: Version, offset, leader epoch, empty metadata, time of the commit.
_VALUE = Struct(">hqibq")


class KnownMember:
    """Who a request comes from, as it says itself."""

    __slots__ = ("generation", "group_id", "instance_id", "member_id", "timer")

    def __init__(
        self, group_id: str, generation: int, member_id: str, instance_id: str | None
    ) -> None:
        self.group_id = group_id
        self.generation = generation
        self.member_id = member_id
        self.instance_id = instance_id
        self.timer = SessionTimer(group_id, member_id)

    def session_ms(self, state: GroupsState) -> int:
        """How long its next session lasts, when this is a member of a stable classic group, in its
        present generation: then a Heartbeat and a commit are in order. Else `NEEDS_A_LOOK`."""
        group = state.groups.get(self.group_id)
        if (
            isinstance(group, ClassicGroup)
            and group.state is State.STABLE
            and group.generation == self.generation
            and not group.check_member(self.member_id, self.instance_id)
        ):
            return group.members[self.member_id].session_timeout_ms
        return NEEDS_A_LOOK


class KnownPlace:
    """What a commit is about; it has no metadata, and does not say when it expires."""

    __slots__ = ("_tags", "key_bytes", "place", "topic_id", "value_size")

    def __init__(self, group_id: str, topic: str, topic_id: bytes, partition: int) -> None:
        self.place = (group_id, topic, partition)
        self.key_bytes = encode_key(OffsetCommitKey(*self.place))
        self.topic_id = topic_id
        plain = encode_value(OffsetCommitValue(topic_id=topic_id), PLAIN_VERSION)
        self._tags = plain[_VALUE.size :]
        self.value_size = len(plain)

    def committed(
        self, offset: int, leader_epoch: int, now_ms: int, record_offset: int
    ) -> Committed:
        """What such a commit of this time (wall ms) leaves behind once its record is replayed."""
        value = OffsetCommitValue(offset, leader_epoch, "", now_ms, -1, self.topic_id)
        return Committed(value, record_offset)

    def value_bytes(self, offset: int, leader_epoch: int, now_ms: int) -> bytes:
        """The value of the record of such a commit."""
        return _VALUE.pack(PLAIN_VERSION, offset, leader_epoch, 1, now_ms) + self._tags
