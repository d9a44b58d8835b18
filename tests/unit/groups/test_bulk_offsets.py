"""Offsets in bulk leave what the general way would have left."""

from __future__ import annotations

import random

from barnabas.coordinator.effects import Now, Origin, Rows
from barnabas.coordinator.framing import decode_record, encode_key, encode_value
from barnabas.groups.offsets import bulk, table
from barnabas.groups.record_types import GROUP_RECORDS
from barnabas.groups.records.group_metadata_key import GroupMetadataKey
from barnabas.groups.records.group_metadata_value import GroupMetadataValue
from barnabas.groups.records.offset_commit_key import OffsetCommitKey
from barnabas.groups.records.offset_commit_value import OffsetCommitValue
from barnabas.groups.settings import GroupSettings
from barnabas.groups.shard import GroupShard
from barnabas.wire.uuids import ZERO

Row = tuple[bytes, bytes | None]
KEY = encode_key(OffsetCommitKey("g", "t", 0))
PLAIN = encode_value(OffsetCommitValue(7, 2, "", 1_000), 4)
WITH_ID = encode_value(OffsetCommitValue(7, 2, "", 1_000, -1, b"i" * 16), 4)


def shard() -> GroupShard:
    """An empty one."""
    return GroupShard(GroupSettings(initial_rebalance_delay_ms=0), str)


def rows_of(records: list[Row], first: int = 0) -> Rows:
    """As the log would hand them over; the offsets have gaps."""
    numbers = range(first, first + len(records))
    keys, values = [key for key, _ in records], [value for _, value in records]
    return Rows(keys, values, [5 + 2 * at for at in numbers], [900 + at for at in numbers])


def load(records: list[Row], *, in_bulk: bool, at_once: int = 50) -> tuple[GroupShard, int]:
    """A shard that has replayed them, and how many it took in bulk."""
    loaded, taken = shard(), 0
    for first in range(0, len(records), at_once):
        rows = rows_of(records[first : first + at_once], first)
        at = 0
        while at < len(rows.keys):
            if in_bulk:
                begun, at = at, loaded.replay_rows(rows, at)
                taken += at - begun
                if at == len(rows.keys):
                    break
            record = decode_record(GROUP_RECORDS, rows.keys[at], rows.values[at])
            if record is not None:
                loaded.replay(record, Origin(rows.offsets[at], rows.timestamps[at], -1, -1))
            at += 1
    return loaded, taken


def state_of(loaded: GroupShard) -> object:
    """All that it knows of groups and offsets."""
    offsets = loaded.state.offsets
    return (
        len(offsets),
        {
            group: (type(held), held.state_ms, offsets.count_of(group))
            for group, held in loaded.state.groups.items()
            if hasattr(held, "state_ms")
        },
        [
            (group, topic, partition, *(getattr(committed, name) for name in committed.__slots__))
            for group in loaded.state.groups
            for topic, partitions in offsets.of_group(group).items()
            for partition, committed in partitions.items()
        ],
    )


def random_record(draw: random.Random) -> Row:
    """Mostly plain offsets, mixed with all that is not plain."""
    group, topic = draw.choice(["g", "h", "gruppe-ü", ""]), draw.choice(["t", "tt", "h"])
    kind = draw.randrange(20)
    if kind == 0:
        return encode_key(GroupMetadataKey(group)), None
    if kind == 1:
        value = encode_value(GroupMetadataValue("consumer", 3, None, None, 50, []), 3)
        return encode_key(GroupMetadataKey(group)), value
    key = encode_key(OffsetCommitKey(group, topic, draw.choice([-1, 0, 1, 2, 300, 2**31 - 1])))
    if kind < 4:
        return key, None
    committed = OffsetCommitValue(draw.randrange(-1, 2**60), draw.randrange(-1, 2**31), "", 1_000)
    committed.commit_timestamp += draw.randrange(3)
    version = draw.choice([0, 1, 2, 3, 3, 3, 4, 4, 4, 4])
    if version < 3:
        committed.leader_epoch = -1
    if version == 1:
        committed.expire_timestamp = draw.randrange(2_000)
    if version == 4:
        committed.topic_id = draw.choice([ZERO, b"i" * 16, b"j" * 16])
    if kind == 4:
        # As long as a plain one, and as one with an id.
        committed.metadata = draw.choice(["m", "m" * 17, "m" * 18])
    return key, encode_value(committed, version)


def test_both_ways_leave_the_same(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(20):
        records = [random_record(draw) for _ in range(300)]
        quick, taken = load(records, in_bulk=True, at_once=draw.choice([1, 7, 300]))
        general, _ = load(records, in_bulk=False)
        assert state_of(quick) == state_of(general)
        assert taken > 100


def test_plain_offsets_need_no_messages() -> None:
    records: list[Row] = []
    for number in range(300):
        key = encode_key(OffsetCommitKey("g", "t", number))
        records.append((key, (PLAIN, WITH_ID, encode_value(OffsetCommitValue(1), 3))[number % 3]))
    assert load(records, in_bulk=True)[1] == 300


def test_what_is_not_plain_is_left_alone() -> None:
    odd: list[tuple[bytes | None, bytes | None]] = [
        (None, PLAIN),
        (KEY, None),
        (b"", PLAIN),
        (b"\0\1", PLAIN),
        (b"\0\0" + KEY[2:], PLAIN),
        (KEY + b"\0", PLAIN),
        (KEY[:-1], PLAIN),
        (KEY, b""),
        (KEY, PLAIN + b"\0"),
        (KEY, b"\0\5" + PLAIN[2:]),
        (KEY, b"\1\4" + PLAIN[2:]),
        (KEY, PLAIN[:-1] + b"\1"),
        (KEY, WITH_ID[:23] + b"\2" + WITH_ID[24:]),
        (KEY, WITH_ID[:24] + b"\1" + WITH_ID[25:]),
        (KEY, WITH_ID[:25] + b"\x0f" + WITH_ID[26:]),
    ]
    for key, value in odd:
        fresh = shard()
        assert fresh.replay_rows(Rows([key], [value], [0], [0]), 0) == 0, (key, value)
        assert not fresh.state.groups
        assert not len(fresh.state.offsets)


def test_a_group_that_went_meanwhile_is_made_anew() -> None:
    records: list[Row] = [
        (KEY, PLAIN),
        (encode_key(GroupMetadataKey("g")), None),
        (KEY, WITH_ID),
        (KEY, None),
        (KEY, WITH_ID),
    ]
    loaded, taken = load(records, in_bulk=True)
    assert taken == 3
    assert state_of(loaded) == state_of(load(records, in_bulk=False)[0])
    assert len(loaded.state.offsets) == 1


def test_once_loaded_nothing_goes_in_by_this_way() -> None:
    fresh = shard()
    fresh.activate(Now(0, 0))
    assert fresh.replay_rows(rows_of([(KEY, PLAIN)]), 0) == 0


def test_what_is_shared_is_bounded() -> None:
    offsets = table.OffsetTable()
    count = table.SHARED_MAX + 10
    for number in range(count):
        value = OffsetCommitValue(1, topic_id=number.to_bytes(16, "big"))
        offsets.put(("g", f"t{number}", number), table.Committed(value, number))
    shared = (offsets._names, offsets._ids, offsets._numbers)
    assert [len(each) <= table.SHARED_MAX for each in shared] == [True] * 3
    assert len(offsets) == count


def test_what_is_remembered_of_places_is_bounded() -> None:
    loaded = shard()
    count = bulk.MEMO_MAX + 10
    rows = rows_of([(encode_key(OffsetCommitKey(f"g{n}", "t", n)), PLAIN) for n in range(count)])
    assert loaded.replay_rows(rows, 0) == count
    assert loaded._bulk is not None
    assert len(loaded._bulk._places) <= bulk.MEMO_MAX
    assert len(loaded._bulk._numbers) <= bulk.MEMO_MAX
    assert len(loaded.state.offsets) == count
