"""What the fuzzer calls: each target takes any bytes, and raises only when something is wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from barnabas.config.log_config import LogConfig
from barnabas.log.errors import LogDamaged
from barnabas.records.batch import HEADER_SIZE, LOG_OVERHEAD, read_header, write_crc
from barnabas.records.builder import build_batch
from barnabas.records.compression import Codec
from barnabas.records.errors import CorruptRecord, InflateLimit
from barnabas.records.record import read_records
from barnabas.records.validate import ProduceRules, check_produce, walk
from barnabas.testing.sim.disk import SimDisk
from barnabas.wire.apis import API
from barnabas.wire.codec import decode, encode
from barnabas.wire.errors import ProtocolError
from barnabas.wire.frames import FrameReader
from barnabas.wire.headers import parse_request_header
from barnabas.wire.message import Message
from tests.unit.log.world import DIRECTORY, World, read_all
from tests.wire_samples import random_message

NOW_MS = 1_700_000_000_000
FRAME_MAX = 1 << 16
INFLATED_MAX = 1 << 20
VERSIONS = 2
"""Bytes in front of a body that choose API and version."""

REQUESTS: list[tuple[type[Message], int]] = [
    (api.request, version)
    for api in API.values()
    for version in range(api.min_version, api.max_version + 1)
]
RULES = (
    ProduceRules(max_bytes=1 << 20, segment_bytes=1 << 30),
    ProduceRules(max_bytes=1 << 20, segment_bytes=1 << 30, compacted=True),
    ProduceRules(max_bytes=1 << 20, segment_bytes=1 << 30, codec=Codec.GZIP, full=True),
    ProduceRules(max_bytes=1 << 20, segment_bytes=1 << 30, append_time=True, full=True),
    ProduceRules(max_bytes=1 << 20, segment_bytes=1 << 30, before_ms=1000, after_ms=1000),
)


class Target(NamedTuple):
    """`run` is called with what the fuzzer makes of `seeds`."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]


def frame(data: bytes) -> None:
    """A stream in two pieces: whole frames, each with a header that is one or is refused."""
    if not data:
        return
    cut = data[0] * len(data) // 256
    reader = FrameReader(FRAME_MAX)
    with contextlib.suppress(ProtocolError):
        frames = reader.feed(data[1:cut]) + reader.feed(data[max(cut, 1) :])
        whole = FrameReader(FRAME_MAX)
        assert whole.feed(data[1:]) == frames
        assert whole.pending == reader.pending <= len(data)
        for each in frames:
            with contextlib.suppress(ProtocolError):
                assert parse_request_header(each).end <= len(each)


def frame_seeds() -> Iterator[bytes]:
    """Requests with their sizes."""
    for key, version in ((18, 4), (3, 1), (0, 13)):
        head = key.to_bytes(2, "big") + version.to_bytes(2, "big") + b"\0\0\0\1\0\1x\0"
        yield b"\x40" + (len(head).to_bytes(4, "big") + head) * 2


def request(data: bytes) -> None:
    """A body for any decoder: a message, which is written and read again as itself, or an error."""
    cls, version = REQUESTS[int.from_bytes(data[:VERSIONS], "big") % len(REQUESTS)]
    try:
        message = decode(cls, version, memoryview(data)[VERSIONS:])
    except ProtocolError:
        return
    again = encode(message, version)
    assert encode(decode(cls, version, again, exact=True), version) == again


def request_seeds() -> Iterator[bytes]:
    """A message of each API and version."""
    for number, (cls, version) in enumerate(REQUESTS):
        body = encode(random_message(Random(number), cls, version), version)
        yield number.to_bytes(VERSIONS, "big") + body[:2000]


def batch(data: bytes) -> None:
    """The check of a produced batch, with its sums put right so that more of it is reached."""
    rules = RULES[data[0] % len(RULES)] if data else RULES[0]
    produced = bytearray(data[1:])
    if len(produced) >= HEADER_SIZE:
        produced[8:12] = (len(produced) - LOG_OVERHEAD).to_bytes(4, "big")
        write_crc(produced, 0, len(produced))
    _, header, must_walk = check_produce(produced, rules, NOW_MS, 12)
    if header is None or not must_walk:
        return
    found = walk(produced, header, rules, NOW_MS, limit=INFLATED_MAX)
    if found.error_code == 0 and found.replacement is not None:
        replaced = read_header(found.replacement)
        assert replaced.records_count == header.records_count
        read_records(found.replacement, limit=2 * INFLATED_MAX)


def batch_seeds() -> Iterator[bytes]:
    """Good batches for each rule in each codec."""
    records = [(b"k", b"value", NOW_MS, ()), (None, b"v", NOW_MS + 1, (("h", b"x"),))]
    for number in range(len(RULES)):
        for codec in Codec:
            yield bytes([number]) + build_batch(records, codec=codec)


def records(data: bytes) -> None:
    """The reader of records, behind whatever header."""
    if len(data) < HEADER_SIZE:
        return
    with contextlib.suppress(CorruptRecord, InflateLimit):
        found = read_records(data, limit=INFLATED_MAX)
        assert len(found) == read_header(data).records_count


def record_seeds() -> Iterator[bytes]:
    """Good batches in each codec."""
    for seed in batch_seeds():
        yield seed[1:]


SEGMENT = f"{DIRECTORY}/t-0/{0:020d}"
SUFFIXES = (".log", ".index", ".timeindex", ".txnindex", ".snapshot")


def recovery(data: bytes) -> None:
    """A partition's files with anything in them, after a crash: what is left is a log, and stays."""
    disk = SimDisk()
    _write_files(disk, data)
    world = World(disk, LogConfig(segment_bytes=4096, index_interval_bytes=64))
    try:
        log = world.open(create=False)
    except (LogDamaged, OSError):
        return
    before = read_all(log)
    assert log.log_start_offset <= log.durable_offset <= log.end_offset
    disk.kill()
    again = World(disk, world.config).open(create=False)
    assert (again.log_start_offset, again.end_offset) == (log.log_start_offset, log.end_offset)
    assert read_all(again) == before


def _write_files(disk: SimDisk, data: bytes) -> None:
    """The first bytes say how the rest is divided among the files."""
    disk.make_dirs(f"{DIRECTORY}/t-0")
    sizes, rest = data[: len(SUFFIXES) - 1], data[len(SUFFIXES) - 1 :]
    small = dict(zip(SUFFIXES[1:], sizes, strict=False))
    for suffix, size in small.items():
        if size:
            _write(disk, SEGMENT + suffix, rest[:size])
            rest = rest[size:]
    _write(disk, SEGMENT + ".log", rest)


def _write(disk: SimDisk, path: str, data: bytes) -> None:
    file = disk.open(path, create=True)
    file.pwritev([data], 0)
    file.sync()
    file.close()
    disk.sync_dir(path.rpartition("/")[0])


def recovery_seeds() -> Iterator[bytes]:
    """Logs of a few batches, with and without rubbish behind them and in their indexes."""
    some = b"".join(
        bytes(build_batch([(b"k", b"v" * 40, NOW_MS + at, ())], base_offset=at, leader_epoch=0))
        for at in range(6)
    )
    yield bytes(4) + some
    yield bytes(4) + some[:-7]
    yield bytes([16, 24, 0, 0]) + bytes(40) + some
    yield bytes([0, 0, 0, 30]) + bytes(30) + some + b"\xff" * 50


TARGETS = {
    "frame": Target(frame, frame_seeds),
    "request": Target(request, request_seeds),
    "batch": Target(batch, batch_seeds),
    "records": Target(records, record_seeds),
    "recovery": Target(recovery, recovery_seeds),
}
