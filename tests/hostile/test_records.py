"""Records from someone who means harm: bombs, lies in headers, damage behind good CRCs."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable
from random import Random

import cramjam
import pytest

from barnabas.records.batch import HEADER, iter_batches, write_crc
from barnabas.records.builder import NewRecord, build_batch
from barnabas.records.compression import XERIAL_MAGIC, Codec, compress, decompress
from barnabas.records.errors import CorruptRecord, InflateLimit
from barnabas.records.record import read_records
from barnabas.records.validate import ProduceRules, check_produce, walk

LIMIT = 1 << 20
ROWS: list[NewRecord] = [
    (b"key", b"value", 1000, (("h", b"x"),)),
    (None, b"other value", 1005, ()),
    (b"k", None, 1001, (("a", None), ("b", b""))),
]
RULES = ProduceRules(max_bytes=LIMIT, segment_bytes=LIMIT, after_ms=3_600_000, full=True)
CODECS = range(5)

FIELDS = {
    "base_offset": (0, "q"),
    "batch_length": (8, "i"),
    "leader_epoch": (12, "i"),
    "magic": (16, "b"),
    "attributes": (21, "h"),
    "last_offset_delta": (23, "i"),
    "base_timestamp": (27, "q"),
    "max_timestamp": (35, "q"),
    "producer_id": (43, "q"),
    "producer_epoch": (51, "h"),
    "base_sequence": (53, "i"),
    "records_count": (57, "i"),
}


def extremes(kind: str) -> list[int]:
    """Values at and around the ends of an integer type."""
    bits = 8 * struct.calcsize(kind)
    high = (1 << (bits - 1)) - 1
    return [-high - 1, -high, -2, -1, 0, 1, 2, high - 1, high]


def judge(batch: bytes | bytearray) -> int:
    """Everything a leader and a reader do with bytes; the error code. Must never raise else."""
    error, header, _ = check_produce(batch, RULES, 1000, 9)
    if header is not None:
        error = walk(batch, header, RULES, 1000, limit=LIMIT).error_code
    try:
        for pos, _ in iter_batches(batch):
            read_records(batch, pos, limit=LIMIT)
    except CorruptRecord:
        return error
    return error


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("field", list(FIELDS))
def test_header_fields_at_their_extremes(field: str, codec: int) -> None:
    at, kind = FIELDS[field]
    for value in extremes(kind):
        batch = build_batch(ROWS, codec=codec, producer_id=5, producer_epoch=0, base_sequence=0)
        struct.pack_into(f">{kind}", batch, at, value)
        if field not in ("batch_length", "magic"):
            write_crc(batch, 0, len(batch))
        assert judge(batch) in (0, 2, 10, 32, 76, 87)


@pytest.mark.parametrize("codec", CODECS)
def test_two_fields_at_once(codec: int, seed: int) -> None:
    random = Random(seed)
    for _ in range(400):
        batch = build_batch(ROWS, codec=codec)
        for field in random.sample(sorted(set(FIELDS) - {"batch_length"}), 2):
            at, kind = FIELDS[field]
            struct.pack_into(f">{kind}", batch, at, random.choice(extremes(kind)))
        write_crc(batch, 0, len(batch))
        assert judge(batch) in (0, 2, 10, 32, 76, 87)


@pytest.mark.parametrize("codec", CODECS)
def test_every_truncation(codec: int) -> None:
    whole = build_batch(ROWS, codec=codec)
    for end in range(len(whole)):
        assert judge(whole[:end]) == 87
        cut = whole[:end]
        if end >= HEADER.size:
            struct.pack_into(">i", cut, 8, end - 12)
            write_crc(cut, 0, end)
            assert judge(cut) == 87
            with pytest.raises(CorruptRecord):
                read_records(cut, limit=LIMIT)


@pytest.mark.parametrize("codec", CODECS)
def test_damage_behind_a_good_crc(codec: int, seed: int) -> None:
    random = Random(seed)
    for _ in range(500):
        batch = build_batch(ROWS, codec=codec)
        for _ in range(random.choice((1, 2, 8))):
            batch[random.randrange(61, len(batch))] = random.choice((0, 1, 127, 128, 255))
        write_crc(batch, 0, len(batch))
        assert judge(batch) in (0, 10, 32, 87)


@pytest.mark.parametrize("count", [2**31 - 1, 10**6, 100])
@pytest.mark.parametrize("codec", CODECS)
def test_counts_beyond_what_bytes_can_hold(codec: int, count: int) -> None:
    batch = build_batch(ROWS, codec=codec)
    struct.pack_into(">i", batch, 23, count - 1)
    struct.pack_into(">i", batch, 57, count)
    write_crc(batch, 0, len(batch))
    assert judge(batch) == 87
    with pytest.raises(CorruptRecord):
        read_records(batch, limit=LIMIT)


def test_header_counts_beyond_what_bytes_can_hold() -> None:
    for count in ("feffffff0f", "ffffff7f", "02", "ffffffffff"):
        body = bytes.fromhex("00 00 00 01 01") + bytes.fromhex(count)
        batch = build_batch(ROWS[:1])[:61] + bytes((len(body) * 2,)) + body
        struct.pack_into(">i", batch, 8, len(batch) - 12)
        write_crc(batch, 0, len(batch))
        assert judge(batch) == 87


def gzip_bomb(size: int) -> bytes:
    """A gigabyte in a megabyte."""
    return gzip.compress(bytes(size), 9)


def gzip_members(size: int) -> bytes:
    """Many members that each become a lot."""
    return gzip.compress(bytes(1 << 20), 9) * (size >> 20)


def snappy_bomb(size: int) -> bytes:
    """Framed blocks, 21 to 1."""
    block = bytes(cramjam.snappy.compress_raw(bytes(1 << 20)))
    return XERIAL_MAGIC + bytes(8) + (struct.pack(">i", len(block)) + block) * (size >> 20)


def snappy_claim(size: int) -> bytes:
    """A bare block of few bytes that says it becomes a lot."""
    claim = bytearray()
    while size > 127:
        claim.append(size & 127 | 128)
        size >>= 7
    return bytes(claim) + bytes((size,)) + b"\0" + b"a" * 40


def lz4_bomb(size: int) -> bytes:
    """255 to 1."""
    return compress(Codec.LZ4, bytes(size))


def zstd_bomb(size: int) -> bytes:
    """One frame with its size stated."""
    return compress(Codec.ZSTD, bytes(size))


def zstd_rle(size: int) -> bytes:
    """Blocks of four bytes that become 128 KiB each; the frame asks for a window of 128 MiB."""
    block = (1 << 17 << 3 | 2).to_bytes(3, "little") + b"a"
    last = (1 << 17 << 3 | 3).to_bytes(3, "little") + b"a"
    return bytes.fromhex("28b52ffd 00 88") + block * ((size >> 17) - 1) + last


def zstd_window(size: int) -> bytes:
    """Compressed blocks of few bytes, without stated size, in a window of 128 MiB."""
    stream = cramjam.zstd.Compressor(level=1)
    for _ in range(size >> 20):
        stream.compress(b"abcdefgh" * (1 << 17))
    packed = bytearray(bytes(stream.finish()))
    packed[5] = 0x88
    return bytes(packed)


def zstd_frames(size: int) -> bytes:
    """Many small frames."""
    return compress(Codec.ZSTD, bytes(1 << 17)) * (size >> 17)


def zstd_claim(size: int) -> bytes:
    """A tiny frame that states a huge size."""
    return bytes.fromhex("28b52ffd e0") + size.to_bytes(8, "little") + b"\x09\0\0a"


BOMBS: dict[str, tuple[Codec, Callable[[int], bytes]]] = {
    "gzip": (Codec.GZIP, gzip_bomb),
    "gzip members": (Codec.GZIP, gzip_members),
    "snappy": (Codec.SNAPPY, snappy_bomb),
    "snappy claim": (Codec.SNAPPY, snappy_claim),
    "lz4": (Codec.LZ4, lz4_bomb),
    "zstd": (Codec.ZSTD, zstd_bomb),
    "zstd rle": (Codec.ZSTD, zstd_rle),
    "zstd window": (Codec.ZSTD, zstd_window),
    "zstd frames": (Codec.ZSTD, zstd_frames),
    "zstd claim": (Codec.ZSTD, zstd_claim),
}


@pytest.mark.parametrize("name", list(BOMBS))
@pytest.mark.parametrize("limit", [0, 1000, 1 << 20])
def test_bombs_do_not_go_off(name: str, limit: int) -> None:
    codec, make = BOMBS[name]
    with pytest.raises(InflateLimit):
        decompress(codec, make(1 << 24), limit)


def test_claims_below_the_limit_are_not_believed_either() -> None:
    with pytest.raises(CorruptRecord, match="claim"):
        decompress(Codec.SNAPPY, snappy_claim(1 << 24), 1 << 30)
    with pytest.raises(CorruptRecord):
        decompress(Codec.ZSTD, zstd_claim(1 << 24), 1 << 30)
    assert decompress(Codec.ZSTD, zstd_rle(1 << 20), 1 << 20) == b"a" * (1 << 20)


MEASURE = """
    import sys
    from barnabas.records.compression import decompress
    from barnabas.records.errors import InflateLimit

    def status(name):
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith(name))

    data = sys.stdin.buffer.read()
    resident, virtual = status("VmRSS"), status("VmSize")
    try:
        decompress({codec}, data, {limit})
    except InflateLimit:
        print(status("VmHWM") - resident, status("VmPeak") - virtual)
"""

if sys.platform == "linux":

    @pytest.mark.parametrize("name", list(BOMBS))
    def test_bombs_cost_no_more_memory_than_the_limit(name: str) -> None:
        codec, make = BOMBS[name]
        limit, slack = 8 << 20, 3 << 20
        script = textwrap.dedent(MEASURE).format(codec=int(codec), limit=limit)
        done = subprocess.run(
            [sys.executable, "-c", script], input=make(1 << 28), capture_output=True, check=True
        )
        resident, virtual = (int(word) << 10 for word in done.stdout.split())
        # zstd keeps a window beside the output: the next power of two at most.
        window = 2 * limit if name == "zstd window" else 0
        assert resident < limit + window / 2 + slack
        assert virtual < limit + window + slack


def test_many_empty_members_take_linear_time() -> None:
    """Counted, not timed: each step looks at no more than a chunk of what is left."""
    packed = gzip.compress(b"") * 20_000 + gzip.compress(b"end")
    assert decompress(Codec.GZIP, packed, 10) == b"end"
    blocks = XERIAL_MAGIC + bytes(8) + b"\0\0\0\1\0" * 50_000
    assert decompress(Codec.SNAPPY, blocks, 10) == b""


def test_a_snappy_header_behind_the_blocks() -> None:
    whole = compress(Codec.SNAPPY, b"data")
    for end in range(4, 16):
        with pytest.raises(CorruptRecord, match="header"):
            decompress(Codec.SNAPPY, whole + whole[:end], 100)
    assert decompress(Codec.SNAPPY, whole + whole[:16], 100) == b"data"
    assert decompress(Codec.SNAPPY, whole + whole[:7] + b"\1" * 9 + whole, 100) == b"data"
