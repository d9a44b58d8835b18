"""Committed offsets from the log in bulk: the plain ones, straight from their bytes into the table.

A shard may have a million of them. `BulkOffsets` reads an offset's key and value without their
messages and remembers where the offsets of a group for a topic go; what is not of the plainest form
is left to the general way (`framing.decode_record`, `GroupShard.replay`).
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from barnabas.groups.classic.group import ClassicGroup
from barnabas.groups.offsets.table import NO_EXPIRY, Committed
from barnabas.groups.records.offset_commit_key import OffsetCommitKey
from barnabas.wire.codec import decode
from barnabas.wire.errors import ProtocolError
from barnabas.wire.uuids import ZERO

if TYPE_CHECKING:
    from barnabas.coordinator.effects import Rows
    from barnabas.groups.state import GroupsState

#: What begins a key of this type, and what ends it.
_KEY_TYPE: Final = b"\0\1"
_PARTITION: Final = Struct(">i")

#: Version, offset, leader epoch, length of the metadata (0), time of the commit.
_V3: Final = Struct(">hqihq")
#: The same with a compact length (1 is empty), and a number of tagged fields: 0.
_V4: Final = Struct(">hqiBqB")
#: The same with one tagged field, the topic's id: its number (0), its size (16), the id.
_V4_ID: Final = Struct(">hqiBqBBB16s")

MEMO_MAX: Final = 10_000
"""Places and numbers that are remembered at once."""


class BulkOffsets:
    """The way of plain offsets into the state of one shard while it is loaded."""

    def __init__(self, state: GroupsState) -> None:
        self._state = state
        self._places: dict[bytes, dict[int, Committed]] = {}
        """A key without its partition -> where the offsets go."""
        self._numbers: dict[bytes, int] = {}

    def forget(self) -> None:
        """A group or an offset may be gone, so what is remembered may be no part of the state."""
        self._places.clear()

    def take(self, rows: Rows, start: int) -> int:
        """See `coordinator.effects.BulkShard.replay_rows`."""
        places, numbers = self._places, self._numbers
        table = self._state.offsets
        new = Committed.__new__
        last_ms, last_id, added = -1, ZERO, 0
        at = start
        for at in range(start, len(rows.keys)):
            key, value = rows.keys[at], rows.values[at]
            if key is None or value is None:
                break
            topic_id = ZERO
            if len(value) == _V4_ID.size:
                version, offset, epoch, empty, ms, tags, tag, size, topic_id = _V4_ID.unpack(value)
                if (version, empty, tags, tag, size) != (4, 1, 1, 0, 16):
                    break
            elif len(value) != _V4.size:
                break
            elif value[1] == 4:
                version, offset, epoch, empty, ms, tags = _V4.unpack(value)
                if (version, empty, tags) != (4, 1, 0):
                    break
            else:
                version, offset, epoch, empty, ms = _V3.unpack(value)
                if (version, empty) != (3, 0):
                    break
            place = places.get(key[:-4])
            if place is None:
                place = self._place(key, rows.timestamps[at])
                if place is None:
                    break
            partition = numbers.get(key[-4:])
            if partition is None:
                partition = self._number(key[-4:])
            if ms != last_ms:
                last_ms = table.shared_time(ms)
            if topic_id != last_id:
                last_id = table.shared_id(topic_id)
            committed = new(Committed)
            committed.offset = offset
            committed.leader_epoch = epoch
            committed.metadata = ""
            committed.commit_ms = last_ms
            committed.expire_ms = NO_EXPIRY
            committed.topic_id = last_id
            committed.record_offset = rows.offsets[at]
            added += partition not in place
            place[partition] = committed
        else:
            at = len(rows.keys)
        table.added(added)
        return at

    def _place(self, key: bytes, timestamp: int) -> dict[int, Committed] | None:
        """Where the offset of this key goes, None when it is no plain key. Its group is there then."""
        if key[:2] != _KEY_TYPE:
            return None
        try:
            decoded = decode(OffsetCommitKey, 0, key, 2, exact=True)
        except ProtocolError:
            return None
        group_id = decoded.group
        if group_id not in self._state.groups:
            self._state.groups[group_id] = ClassicGroup(group_id, timestamp)
        if len(self._places) >= MEMO_MAX:
            self._places.clear()
        place = self._state.offsets.place(group_id, decoded.topic)
        self._places[key[:-4]] = place
        return place

    def _number(self, written: bytes) -> int:
        if len(self._numbers) >= MEMO_MAX:
            self._numbers.clear()
        partition = self._state.offsets.shared_number(_PARTITION.unpack(written)[0])
        self._numbers[written] = partition
        return partition
