"""Topic configs that work, seen on the topic, in the node's file, and changed while the node runs."""

from __future__ import annotations

import pytest

from barnabas.records.batch import read_header
from barnabas.records.compression import Codec, compress, decompress
from barnabas.wire.errors import ErrorCode
from tests.sim.node_host import DATA
from tests.unit.effects.levels import seen_at_every_level
from tests.unit.server.calm import Session

HOUR_MS = 3_600_000
SOON = {"log.retention.check.interval.ms": "500", "log.initial.task.delay.ms": "500"}
BATCH_OVERHEAD = 61
NUMBERS = b" ".join(b"%d" % (n * n) for n in range(3000))


def files(s: Session, suffix: str) -> list[str]:
    """Names of the partition's files."""
    return [name for name in s.node.host.disk.list_dir(f"{DATA}/t-0") if name.endswith(suffix)]


def size(s: Session, name: str) -> int:
    """Size of one of the partition's files."""
    file = s.node.host.disk.open(f"{DATA}/t-0/{name}")
    try:
        return file.size()
    finally:
        file.close()


async def stored(s: Session, value: bytes) -> bytes:
    """The batch that the node keeps of one event."""
    answer = await s.produce("t", s.batch(value))
    assert answer.error_code == ErrorCode.NONE
    data = (await s.fetch("t", answer.base_offset)).records
    assert data is not None
    return bytes(data)


async def error_of(s: Session, value: bytes, timestamp: int) -> ErrorCode:
    """What the node answers to one event."""
    answer = await s.produce("t", s.batch(value, timestamp=timestamp))
    return ErrorCode(answer.error_code)


@pytest.mark.effect_of("compression.type", "topic:compression.type", "runtime:compression.type")
def test_compression_type() -> None:
    async def codec(s: Session) -> int:
        return read_header(await stored(s, NUMBERS)).codec

    seen = seen_at_every_level(codec, "compression.type", "compression.type", "zstd")
    assert seen == (Codec.NONE, Codec.ZSTD)


@pytest.mark.effect_of(
    "compression.gzip.level", "topic:compression.gzip.level", "runtime:compression.gzip.level",
    "compression.lz4.level", "topic:compression.lz4.level", "runtime:compression.lz4.level",
    "compression.zstd.level", "topic:compression.zstd.level", "runtime:compression.zstd.level",
)  # fmt: skip
@pytest.mark.parametrize(("codec", "thorough"), [("gzip", "9"), ("lz4", "12"), ("zstd", "19")])
def test_compression_levels(codec: str, thorough: str) -> None:
    async def packed(s: Session) -> bytes:
        return (await stored(s, NUMBERS))[BATCH_OVERHEAD:]

    name = f"compression.{codec}.level"
    kind = {"compression.type": codec}
    default, changed = seen_at_every_level(packed, name, name, thorough, topic=kind)
    records = decompress(Codec[codec.upper()], changed, 1 << 20)
    assert default == compress(Codec[codec.upper()], records)
    assert changed == compress(Codec[codec.upper()], records, int(thorough)) != default


@pytest.mark.effect_of("message.max.bytes", "topic:max.message.bytes", "runtime:message.max.bytes")
def test_max_message_bytes() -> None:
    async def sizes(s: Session) -> tuple[ErrorCode, ErrorCode]:
        return await error_of(s, b"x" * 50, s.now), await error_of(s, b"x" * 300, s.now)

    default, changed = seen_at_every_level(sizes, "max.message.bytes", "message.max.bytes", "200")
    assert default == (ErrorCode.NONE, ErrorCode.NONE)
    assert changed == (ErrorCode.NONE, ErrorCode.MESSAGE_TOO_LARGE)


@pytest.mark.effect_of(
    "log.message.timestamp.type",
    "topic:message.timestamp.type",
    "runtime:log.message.timestamp.type",
)
def test_message_timestamp_type() -> None:
    async def kept(s: Session) -> bool:
        answer = await s.produce("t", s.batch(b"a", timestamp=5))
        data = (await s.fetch("t", answer.base_offset)).records
        assert data is not None
        header = read_header(data)
        assert header.log_append_time == (header.max_timestamp > HOUR_MS)
        return header.max_timestamp == 5

    name = "message.timestamp.type"
    assert seen_at_every_level(kept, name, f"log.{name}", "LogAppendTime") == (True, False)


@pytest.mark.effect_of(
    "log.message.timestamp.before.max.ms",
    "topic:message.timestamp.before.max.ms",
    "runtime:log.message.timestamp.before.max.ms",
)
def test_oldest_timestamp() -> None:
    async def tried(s: Session) -> tuple[ErrorCode, ErrorCode]:
        return await error_of(s, b"a", s.now - 500), await error_of(s, b"a", s.now - 5000)

    name = "message.timestamp.before.max.ms"
    default, changed = seen_at_every_level(tried, name, f"log.{name}", "1000")
    assert default == (ErrorCode.NONE, ErrorCode.NONE)
    assert changed == (ErrorCode.NONE, ErrorCode.INVALID_TIMESTAMP)


@pytest.mark.effect_of(
    "log.message.timestamp.after.max.ms",
    "topic:message.timestamp.after.max.ms",
    "runtime:log.message.timestamp.after.max.ms",
)
def test_newest_timestamp() -> None:
    async def tried(s: Session) -> tuple[ErrorCode, ErrorCode]:
        ahead = s.now + 2 * HOUR_MS
        return await error_of(s, b"a", ahead), await error_of(s, b"a", ahead + 2 * HOUR_MS)

    name = "message.timestamp.after.max.ms"
    default, changed = seen_at_every_level(tried, name, f"log.{name}", str(3 * HOUR_MS))
    assert default == (ErrorCode.INVALID_TIMESTAMP, ErrorCode.INVALID_TIMESTAMP)
    assert changed == (ErrorCode.NONE, ErrorCode.INVALID_TIMESTAMP)


@pytest.mark.effect_of(
    "log.index.interval.bytes", "topic:index.interval.bytes", "runtime:log.index.interval.bytes"
)
def test_index_interval_bytes() -> None:
    async def entries(s: Session) -> int:
        """Index entries of two small batches that follow one with an entry."""
        (index,) = files(s, ".index")
        for value in (b"x" * 5000, b"next"):
            await s.produce("t", s.batch(value))
        before = size(s, index)
        for _ in range(2):
            await s.produce("t", s.batch(b"small"))
        return (size(s, index) - before) // 8

    name = "index.interval.bytes"
    assert seen_at_every_level(entries, name, f"log.{name}", "0") == (0, 2)


async def segments_of_ten(s: Session) -> int:
    """How many segments ten small batches take."""
    before = len(files(s, ".log"))
    for _ in range(10):
        await s.produce("t", s.batch(b"x"))
    return len(files(s, ".log")) - before


@pytest.mark.effect_of(
    "log.index.size.max.bytes", "topic:segment.index.bytes", "runtime:log.index.size.max.bytes"
)
def test_segment_index_bytes() -> None:
    seen = seen_at_every_level(
        segments_of_ten,
        "segment.index.bytes",
        "log.index.size.max.bytes",
        "36",
        topic={"index.interval.bytes": "0"},
    )
    assert seen == (0, 3)


@pytest.mark.effect_of("log.segment.bytes", "topic:segment.bytes", "runtime:log.segment.bytes")
def test_segment_bytes() -> None:
    async def rolled(s: Session) -> int:
        before = len(files(s, ".log"))
        for _ in range(3):
            await s.produce("t", s.batch(b"x" * 600_000))
        return len(files(s, ".log")) - before

    name = "segment.bytes"
    assert seen_at_every_level(rolled, name, f"log.{name}", str(1 << 20)) == (0, 2)


async def segments_of_a_minute(s: Session) -> int:
    """How many segments an event in each second of a minute takes."""
    before = len(files(s, ".log"))
    for _ in range(60):
        await s.sleep(1000)
        await s.produce("t", s.batch(b"x"))
    return len(files(s, ".log")) - before


@pytest.mark.effect_of("log.roll.ms", "topic:segment.ms", "runtime:log.roll.ms")
def test_segment_ms() -> None:
    seen = seen_at_every_level(segments_of_a_minute, "segment.ms", "log.roll.ms", "9500")
    assert seen == (0, 6)


@pytest.mark.effect_of(
    "log.roll.jitter.ms", "topic:segment.jitter.ms", "runtime:log.roll.jitter.ms"
)
def test_segment_jitter_ms() -> None:
    async def more_often(s: Session) -> bool:
        return await segments_of_a_minute(s) > 6

    name = "segment.jitter.ms"
    fixed = {"segment.ms": "9500"}
    seen = seen_at_every_level(more_often, name, "log.roll.jitter.ms", "9500", topic=fixed)
    assert seen == (False, True)


@pytest.mark.effect_of("log.retention.ms", "topic:retention.ms", "runtime:log.retention.ms")
def test_retention_ms() -> None:
    async def forgotten(s: Session) -> int:
        """How many of two events are gone when one of them is old."""
        old = await s.produce("t", s.batch(b"old", timestamp=s.now - HOUR_MS))
        await s.sleep(3000)
        await s.produce("t", s.batch(b"new"))
        await s.sleep(3000)
        return (await s.fetch("t", old.base_offset + 1)).log_start_offset - old.base_offset

    # Beside an old event a young one of the same segment keeps it.
    default, changed = seen_at_every_level(
        forgotten,
        "retention.ms",
        "log.retention.ms",
        "600000",
        node=SOON,
        topic={"internal.segment.bytes": "72"},
    )
    assert default <= 0
    assert changed == 1


@pytest.mark.effect_of(
    "log.retention.bytes", "topic:retention.bytes", "runtime:log.retention.bytes",
    "topic:internal.segment.bytes",
)  # fmt: skip
def test_retention_bytes() -> None:
    async def kept(s: Session) -> int:
        for _ in range(6):
            end = (await s.produce("t", s.batch(b"x" * 60))).base_offset + 1
        await s.sleep(3000)
        return end - (await s.fetch("t", end)).log_start_offset

    default, changed = seen_at_every_level(
        kept,
        "retention.bytes",
        "log.retention.bytes",
        "300",
        node=SOON,
        topic={"internal.segment.bytes": "140"},
    )
    assert default >= 6
    assert changed == 3


@pytest.mark.effect_of(
    "log.segment.delete.delay.ms",
    "topic:file.delete.delay.ms",
    "runtime:log.segment.delete.delay.ms",
)
def test_file_delete_delay_ms() -> None:
    async def lingering(s: Session) -> bool:
        """Whether files of deleted segments are still there after three seconds."""
        for _ in range(3):
            await s.produce("t", s.batch(b"x" * 60))
        await s.sleep(3000)
        return bool(files(s, ".deleted"))

    seen = seen_at_every_level(
        lingering,
        "file.delete.delay.ms",
        "log.segment.delete.delay.ms",
        "100",
        node=SOON,
        topic={"internal.segment.bytes": "140", "retention.bytes": "140"},
    )
    assert seen == (True, False)
