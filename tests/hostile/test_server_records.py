"""Bad record batches in Produce against the real process: Kafka's error code for each."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Iterator

import pytest

from barnabas.records.batch import write_crc
from barnabas.records.builder import build_batch
from barnabas.records.compression import Codec, compress
from barnabas.server.append import INFLATED_BYTES
from barnabas.wire.errors import ErrorCode
from tests.hostile.target import MEBIBYTE, Target, now_ms, produce

LENGTH, MAGIC, CRC, ATTRIBUTES, DELTA = 8, 16, 17, 21, 23
BASE_TIME, MAX_TIME, PRODUCER, EPOCH, SEQUENCE, COUNT = 27, 35, 43, 51, 53, 57
HEADER = 61
BOMB = 256 * MEBIBYTE
DAY_MS = 86_400_000


def good(count: int = 3) -> bytearray:
    return build_batch([(b"k", b"value", now_ms(), ())] * count)


def change(
    at: int, form: str, value: int, *, crc: bool = True, count: int = 3
) -> Callable[[], bytes]:
    """A good batch with one field replaced, and a CRC that agrees."""

    def make() -> bytes:
        batch = good(count)
        struct.pack_into(">" + form, batch, at, value)
        if crc:
            write_crc(batch, 0, len(batch))
        return bytes(batch)

    return make


def headers() -> Iterator[tuple[str, Callable[[], bytes], ErrorCode]]:
    corrupt, invalid = ErrorCode.CORRUPT_MESSAGE, ErrorCode.INVALID_RECORD
    for value in (-2, -1, 0, 13):
        yield f"length {value}", change(LENGTH, "i", value, crc=False), corrupt
    size = len(good()) - 12
    for value in (2**31 - 1, size + 1):
        yield f"length {value - size:+}", change(LENGTH, "i", value, crc=False), invalid
    yield "length -1 byte", change(LENGTH, "i", size - 1, crc=False), corrupt
    for value in (-2, -1, 3, 127):
        yield f"magic {value}", change(MAGIC, "b", value, crc=False), corrupt
    for value in (0, 1):
        yield f"magic {value}", change(MAGIC, "b", value, crc=False), invalid
    yield "crc", change(CRC, "I", 0xDEADBEEF, crc=False), corrupt
    yield "base offset", change(0, "q", 5), invalid
    for codec in (5, 6, 7):
        yield (
            f"codec {codec}",
            change(ATTRIBUTES, "h", codec),
            ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
        )
    yield "control", change(ATTRIBUTES, "h", 0x20), invalid
    for value in (-2, -1, 0, 1, 3, 2**31 - 1):
        yield f"delta {value}", change(DELTA, "i", value), invalid
    for value in (-2, -1, 0, 2, 4, 2**31 - 1):
        yield f"count {value}", change(COUNT, "i", value), invalid
    yield "producer without sequence", change(PRODUCER, "q", 9), invalid
    # The records decide, and the header is put right.
    yield "largest timestamp", change(MAX_TIME, "q", 2**62), ErrorCode.NONE
    yield "nothing", lambda: b"", invalid
    yield "less than a header", lambda: bytes(good()[:60]), invalid
    yield "two batches", lambda: bytes(good() + good()), invalid


HEADERS = list(headers())


def test_every_field_of_the_batch_header(target: Target) -> None:
    wrong = []
    with target.attack(lines=0), target.connect() as client:
        for what, make, expected in HEADERS:
            found = produce(client, "honest", make())
            if found.error_code != expected:
                wrong.append(f"{what}: {ErrorCode(found.error_code).name}, not {expected.name}")
    assert not wrong, "\n".join(wrong)


def test_every_byte_of_a_batch_that_must_be_read(target: Target) -> None:
    target.make_topic("compacted-bytes", cleanup_policy="compact")
    accepted = 0
    with target.connect() as client:
        produce(client, "compacted-bytes", bytes(good()))  # opens its files
    with target.attack(lines=0), target.connect() as client:
        for at in range(HEADER, len(good())):
            for value in (0x00, 0x01, 0x7F, 0x80, 0xFF):
                batch = good()
                batch[at] = value
                write_crc(batch, 0, len(batch))
                found = produce(client, "compacted-bytes", bytes(batch))
                assert found.error_code in (
                    0,
                    ErrorCode.INVALID_RECORD,
                    ErrorCode.INVALID_TIMESTAMP,
                )
                accepted += found.error_code == 0
    assert accepted


@pytest.mark.parametrize(
    ("configs", "timestamp"),
    [
        ({"message_timestamp_after_max_ms": "1000"}, lambda: now_ms() + 60_000),
        ({"message_timestamp_before_max_ms": "1000"}, lambda: now_ms() - DAY_MS),
    ],
    ids=["after", "before"],
)
def test_timestamps_out_of_bounds(
    target: Target, configs: dict[str, str], timestamp: Callable[[], int]
) -> None:
    topic = f"times-{next(iter(configs)).split('_')[2]}"
    target.make_topic(topic, **configs)
    with target.attack(lines=0), target.connect() as client:
        batch = bytes(build_batch([(b"k", b"v", timestamp(), ())]))
        assert produce(client, topic, batch).error_code == ErrorCode.INVALID_TIMESTAMP


def test_keys_are_needed_on_a_compacted_topic(target: Target) -> None:
    target.make_topic("compacted-keys", cleanup_policy="compact")
    with target.attack(lines=0), target.connect() as client:
        found = produce(client, "compacted-keys", bytes(build_batch([(None, b"v", now_ms(), ())])))
        assert found.error_code == ErrorCode.INVALID_RECORD
        assert [error.batch_index for error in found.record_errors] == [0]


def batch_around(codec: Codec, payload: bytes, count: int = 1) -> bytes:
    """A batch whose compressed records are `payload`."""
    batch = build_batch([(b"k", b"v", now_ms(), ())])[:HEADER] + payload
    struct.pack_into(">i", batch, LENGTH, len(batch) - 12)
    struct.pack_into(">h", batch, ATTRIBUTES, codec)
    struct.pack_into(">i", batch, DELTA, count - 1)
    struct.pack_into(">i", batch, COUNT, count)
    write_crc(batch, 0, len(batch))
    return bytes(batch)


def bomb(codec: Codec) -> bytes:
    """Few bytes that inflate to very many."""
    if codec is Codec.GZIP:
        return gzip.compress(bytes(BOMB), 6)
    return compress(codec, bytes(BOMB))


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD])
@pytest.mark.parametrize("configs", [{"compression_type": "zstd"}, {"cleanup_policy": "compact"}])
def test_compression_bombs(target: Target, codec: Codec, configs: dict[str, str]) -> None:
    topic = f"bombs-{codec}-{next(iter(configs.values()))}"
    # The bomb itself may be larger than one MiB.
    target.make_topic(topic, max_message_bytes=str(16 * MEBIBYTE), **configs)
    if codec is Codec.ZSTD and "compression_type" in configs:
        configs = {}  # nobody reads it there: it stays as it is
    attack = batch_around(codec, bomb(codec))
    # What may be inflated, its frame, and what the codec takes for itself.
    growth = INFLATED_BYTES + 2 * len(attack) + 24 * MEBIBYTE
    with target.attack(lines=0, growth=growth):
        with target.connect() as client:
            found = produce(client, topic, attack)
        if configs:
            assert found.error_code in (ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.INVALID_RECORD)


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.ZSTD])
def test_a_bomb_of_tiny_records(target: Target, codec: Codec) -> None:
    topic = f"tiny-{codec}"
    target.make_topic(topic, cleanup_policy="compact")
    count = 4_000_000
    attack = batch_around(codec, compress(codec, b"\x0c\0\0\0\1\1\0" * count), count)
    with target.attack(lines=0), target.connect() as client:
        found = produce(client, topic, attack)
        assert found.error_code == ErrorCode.MESSAGE_TOO_LARGE
