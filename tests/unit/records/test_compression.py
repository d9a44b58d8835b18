"""The codecs: levels, what else Kafka's readers accept, damage."""

from __future__ import annotations

import gzip
import zlib
from random import Random

import cramjam
import pytest

from barnabas.records.compression import XERIAL_MAGIC, Codec, compress, decompress
from barnabas.records.errors import CorruptRecord, InflateLimit

COMPRESSING = [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD]
TEXT = b"The quick brown fox jumps over the lazy dog. " * 5000  # 220 KiB: several blocks


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("size", [1, 100, 32 * 1024, 64 * 1024, 64 * 1024 + 1, 300_000])
def test_there_and_back(codec: Codec, size: int, seed: int) -> None:
    noise = Random(seed).randbytes(size)
    for data in (noise, bytes(size), TEXT[:size]):
        packed = compress(codec, data)
        assert type(packed) is bytes
        assert decompress(codec, packed, len(data)) == data
        assert decompress(codec, memoryview(bytearray(packed)), 1 << 20) == data
        assert compress(codec, memoryview(data)) == packed


@pytest.mark.parametrize("codec", list(Codec))
def test_one_byte_too_many_is_refused(codec: Codec) -> None:
    packed = compress(codec, TEXT)
    with pytest.raises(InflateLimit):
        decompress(codec, packed, len(TEXT) - 1)
    with pytest.raises(InflateLimit):
        decompress(codec, packed, 0)


@pytest.mark.parametrize(
    ("codec", "levels"),
    [
        (Codec.GZIP, (-1, 1, 9)),
        (Codec.LZ4, (1, 9, 10, 12, 17)),
        (Codec.ZSTD, (-131072, -5, 1, 3, 19, 22)),
    ],
)
def test_levels_of_the_configs(codec: Codec, levels: tuple[int, ...]) -> None:
    for level in levels:
        assert decompress(codec, compress(codec, TEXT, level), len(TEXT)) == TEXT


def test_harder_work_packs_tighter() -> None:
    noise = Random(7)
    data = b"".join(b"user-%d,%d;" % (noise.randrange(999), at) for at in range(20_000))
    for codec, fast, slow in ((Codec.GZIP, 1, 9), (Codec.LZ4, 9, 12), (Codec.ZSTD, -131072, 19)):
        assert len(compress(codec, data, slow)) < len(compress(codec, data, fast))


@pytest.mark.parametrize("codec", [5, 6, 7, -1])
def test_there_are_five_codecs(codec: int) -> None:
    with pytest.raises(ValueError, match="codec"):
        compress(codec, b"")
    with pytest.raises(CorruptRecord, match="codec"):
        decompress(codec, b"", 10)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_every_truncation_is_damage(codec: Codec) -> None:
    packed = compress(codec, b"some records" * 9)
    for end in range(len(packed)):
        if codec == Codec.SNAPPY and end in range(16, 20):
            # A header and no block: Kafka reads it as no bytes at all.
            assert decompress(codec, packed[:end], 1000) == b""
            continue
        with pytest.raises(CorruptRecord):
            decompress(codec, packed[:end], 1000)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_changed_bytes_never_surprise(codec: Codec, seed: int) -> None:
    random = Random(seed)
    packed = compress(codec, TEXT[:3000] + random.randbytes(300))
    for _ in range(600):
        broken = bytearray(packed)
        for _ in range(random.choice((1, 2, 5))):
            broken[random.randrange(len(broken))] = random.randrange(256)
        try:
            assert len(decompress(codec, broken, 5000)) <= 5000
        except CorruptRecord:
            continue


def test_gzip_members_are_one_stream() -> None:
    packed = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two" * 9999)
    assert decompress(Codec.GZIP, packed, 30_001) == b"one " + b"two" * 9999
    with pytest.raises(InflateLimit):
        decompress(Codec.GZIP, packed, 30_000)
    with pytest.raises(CorruptRecord):
        decompress(Codec.GZIP, packed[:-1], 40_000)
    broken = bytearray(packed)
    broken[-6] ^= 1
    with pytest.raises(CorruptRecord):
        decompress(Codec.GZIP, broken, 40_000)


def test_what_follows_gzip_and_is_none_is_ignored() -> None:
    assert decompress(Codec.GZIP, gzip.compress(b"data") + b"\0" * 30, 10) == b"data"
    assert decompress(Codec.GZIP, gzip.compress(b"data") + b"\x1f", 10) == b"data"


def test_bare_deflate_is_not_gzip() -> None:
    with pytest.raises(CorruptRecord):
        decompress(Codec.GZIP, zlib.compress(b"data"), 10)


def test_snappy_framed_bare_and_strung_together() -> None:
    framed = compress(Codec.SNAPPY, TEXT)
    assert framed.startswith(XERIAL_MAGIC + bytes((0, 0, 0, 1, 0, 0, 0, 1)))
    bare = bytes(cramjam.snappy.compress_raw(TEXT))
    assert decompress(Codec.SNAPPY, bare, len(TEXT)) == TEXT
    assert decompress(Codec.SNAPPY, framed + framed, 2 * len(TEXT)) == TEXT + TEXT
    with pytest.raises(InflateLimit):
        decompress(Codec.SNAPPY, framed + framed, 2 * len(TEXT) - 1)


@pytest.mark.parametrize("size", ["7fffffff", "ffffffff", "80000000", "00000001", "00000000"])
def test_snappy_blocks_with_lengths_that_lie(size: str) -> None:
    head = compress(Codec.SNAPPY, b"")
    with pytest.raises(CorruptRecord):
        decompress(Codec.SNAPPY, head + bytes.fromhex(size), 100)


def test_lz4_frames_are_those_that_kafka_reads() -> None:
    packed = compress(Codec.LZ4, TEXT)
    assert packed[:4] == bytes.fromhex("04224d18")
    assert packed[4] & 0xE3 == 0x60  # version 1, independent blocks, no dictionary
    assert packed[5] == 0x40  # blocks of 64 KiB
    assert packed[-4:] == bytes(4)


def test_only_the_first_lz4_frame_counts() -> None:
    packed = compress(Codec.LZ4, b"first")
    assert decompress(Codec.LZ4, packed + compress(Codec.LZ4, b"second"), 5) == b"first"
    assert decompress(Codec.LZ4, packed + b"what ever", 5) == b"first"


def test_linked_lz4_blocks_are_refused() -> None:
    linked = bytes(cramjam.lz4.compress(TEXT))
    assert linked[4] & 0x20 == 0
    with pytest.raises(CorruptRecord, match="independent"):
        decompress(Codec.LZ4, linked, 1 << 20)


@pytest.mark.parametrize(("at", "value"), [(4, 0x71), (4, 0xB0), (5, 0x30), (5, 0xC0), (5, 0x41)])
def test_lz4_descriptors_out_of_range(at: int, value: int) -> None:
    packed = bytearray(compress(Codec.LZ4, b"data"))
    packed[at] = value
    with pytest.raises(CorruptRecord):
        decompress(Codec.LZ4, packed, 100)


def test_zstd_frames_strung_together_and_skippable_ones() -> None:
    frame = compress(Codec.ZSTD, TEXT)
    skippable = bytes.fromhex("5a2a4d18 03000000") + b"xyz"
    packed = skippable + frame + skippable + frame
    assert decompress(Codec.ZSTD, packed, 2 * len(TEXT)) == TEXT + TEXT
    with pytest.raises(InflateLimit):
        decompress(Codec.ZSTD, packed, 2 * len(TEXT) - 1)
    with pytest.raises(CorruptRecord):
        decompress(Codec.ZSTD, frame + b"\0\0\0\0", 1 << 20)


def test_zstd_streams_without_stated_size() -> None:
    for level in (1, 19, 22):
        stream = cramjam.zstd.Compressor(level=level)
        for pos in range(0, len(TEXT), 10_000):
            stream.compress(TEXT[pos : pos + 10_000])
        packed = bytes(stream.finish())
        assert packed[4] & 0xE0 == 0, "a stream states no size"
        assert decompress(Codec.ZSTD, packed, len(TEXT)) == TEXT
        assert decompress(Codec.ZSTD, packed, 1 << 24) == TEXT
        with pytest.raises(InflateLimit):
            decompress(Codec.ZSTD, packed, len(TEXT) - 1)
