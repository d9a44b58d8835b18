"""The records that a rebalance writes for each member: made bytes, and replayed, without messages.

Their bytes are those of the messages, and what they do to a group is what `replay.py` does with them.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct, pack
from typing import TYPE_CHECKING, Final

from barnabas.coordinator.effects import Effects
from barnabas.coordinator.framing import ReadyRecord, encode_value
from barnabas.groups.consumer.member import ConsumerMember, Epochs, Partitions
from barnabas.groups.consumer.records import current_value, member_value, target_value
from barnabas.groups.records.consumer_group_current_member_assignment_key import (
    ConsumerGroupCurrentMemberAssignmentKey,
)
from barnabas.groups.records.consumer_group_member_metadata_key import (
    ConsumerGroupMemberMetadataKey,
)
from barnabas.groups.records.consumer_group_target_assignment_member_key import (
    ConsumerGroupTargetAssignmentMemberKey,
)
from barnabas.wire.limits import MAX_STRING_BYTES
from barnabas.wire.primitives import write_uvarint

if TYPE_CHECKING:
    from barnabas.groups.consumer.group import ConsumerGroup
    from barnabas.wire.message import Message

_TYPED: Final = Struct(">hH")
_LENGTH: Final = Struct(">H")
_STATE: Final = Struct(">hiib")
_VERSION_0: Final = b"\0\0"
_NO_TAGS: Final = b"\0"
_INT_BYTES: Final = 4


def write_member(effects: Effects, group_id: str, member: ConsumerMember) -> None:
    """Who a member is, and what it subscribes to."""
    effects.records.append(MemberRecord(group_id, member))


def write_target(effects: Effects, group_id: str, member_id: str, target: Partitions) -> None:
    """What a member is to own."""
    effects.records.append(TargetRecord(group_id, member_id, target))


def write_current(effects: Effects, group_id: str, member: ConsumerMember) -> None:
    """The member's epoch, and what it owns."""
    effects.records.append(CurrentRecord(group_id, member))


class MemberOfGroup(ReadyRecord):
    """A record about one member."""

    __slots__ = ("group_id",)

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id

    def replay(self, group: ConsumerGroup) -> None:
        """Take it over."""
        raise NotImplementedError


class MemberRecord(MemberOfGroup):
    """ConsumerGroupMemberMetadata."""

    __slots__ = ("member",)

    def __init__(self, group_id: str, member: ConsumerMember) -> None:
        self.group_id = group_id
        self.member = member

    @property
    def key(self) -> Message:
        """As a message."""
        return ConsumerGroupMemberMetadataKey(self.group_id, self.member.member_id)

    @property
    def value(self) -> Message:
        """As a message."""
        return member_value(self.member)

    def encode(self) -> tuple[bytes, bytes]:
        """As bytes."""
        key = _key(ConsumerGroupMemberMetadataKey, self.group_id, self.member.member_id)
        return key, encode_value(member_value(self.member), 0)

    def replay(self, group: ConsumerGroup) -> None:
        """What the member owns stays as it is."""
        member = self.member
        state = group.member(member.member_id) or ConsumerMember(member.member_id)
        group.put(member.with_state_of(state))


class TargetRecord(MemberOfGroup):
    """ConsumerGroupTargetAssignmentMember."""

    __slots__ = ("member_id", "target")

    def __init__(self, group_id: str, member_id: str, target: Partitions) -> None:
        self.group_id = group_id
        self.member_id = member_id
        self.target = target

    @property
    def key(self) -> Message:
        """As a message."""
        return ConsumerGroupTargetAssignmentMemberKey(self.group_id, self.member_id)

    @property
    def value(self) -> Message:
        """As a message."""
        return target_value(self.target)

    def encode(self) -> tuple[bytes, bytes]:
        """As bytes."""
        parts = [_VERSION_0, _count(len(self.target))]
        for topic, numbers in self.target.items():
            parts += (topic, _count(len(numbers)), pack(f">{len(numbers)}i", *numbers), _NO_TAGS)
        parts.append(_NO_TAGS)
        key = _key(ConsumerGroupTargetAssignmentMemberKey, self.group_id, self.member_id)
        return key, b"".join(parts)

    def replay(self, group: ConsumerGroup) -> None:
        """The member has this target."""
        group.targets.put(self.member_id, self.target)


class CurrentRecord(MemberOfGroup):
    """ConsumerGroupCurrentMemberAssignment."""

    __slots__ = ("member",)

    def __init__(self, group_id: str, member: ConsumerMember) -> None:
        self.group_id = group_id
        self.member = member

    @property
    def key(self) -> Message:
        """As a message."""
        return ConsumerGroupCurrentMemberAssignmentKey(self.group_id, self.member.member_id)

    @property
    def value(self) -> Message:
        """As a message."""
        return current_value(self.member)

    def encode(self) -> tuple[bytes, bytes]:
        """As bytes."""
        member = self.member
        parts = [_STATE.pack(0, member.epoch, member.previous_epoch, member.state)]
        _put_epochs(parts, member.assigned)
        _put_epochs(parts, member.revoking)
        parts.append(_NO_TAGS)
        key = _key(ConsumerGroupCurrentMemberAssignmentKey, self.group_id, member.member_id)
        return key, b"".join(parts)

    def replay(self, group: ConsumerGroup) -> None:
        """Who the member is stays as it is."""
        member = self.member
        known = group.member(member.member_id) or ConsumerMember(member.member_id)
        group.put(known.with_state_of(member))


def _put_epochs(parts: list[bytes], epochs: Epochs) -> None:
    """Partitions, and in a tagged field the epochs in which the member got them."""
    parts.append(_count(len(epochs)))
    for topic, held in epochs.items():
        size = len(held)
        count = _count(size)
        parts += (topic, count, pack(f">{size}i", *held))
        if size:
            form, field = f">{size}i", _uvarint(len(count) + _INT_BYTES * size)
            parts += (b"\1\0", field, count, pack(form, *held.values()))
        else:
            parts.append(_NO_TAGS)


def _key(kind: type[Message], group_id: str, member_id: str) -> bytes:
    member = member_id.encode()
    return _key_start(kind.API_KEY, group_id) + _LENGTH.pack(_checked(len(member))) + member


@lru_cache(maxsize=64)
def _key_start(number: int, group_id: str) -> bytes:
    group = group_id.encode()
    return _TYPED.pack(number, _checked(len(group))) + group


def _checked(size: int) -> int:
    if size > MAX_STRING_BYTES:
        raise ValueError(f"a string of {size} bytes is longer than {MAX_STRING_BYTES}")
    return size


@lru_cache(maxsize=4096)
def _uvarint(value: int) -> bytes:
    out = bytearray()
    write_uvarint(out, value)
    return bytes(out)


@lru_cache(maxsize=4096)
def _count(size: int) -> bytes:
    """The length of an array of the flexible versions."""
    return _uvarint(size + 1)
