"""Record batches, produce validation and producer snapshots beside Kafka's own code."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable, Sequence
from random import Random

import cramjam
import pytest

from barnabas.partition.producer_entry import (
    ProducerEntry,
    SentBatch,
    decode_snapshot,
    encode_snapshot,
)
from barnabas.records.batch import assign, iter_batches, read_header, set_append_time, write_crc
from barnabas.records.builder import NewRecord, build_batch, rebuild_batch
from barnabas.records.compression import Codec, compress
from barnabas.records.control import EndMarker, build_marker, read_marker
from barnabas.records.errors import CorruptRecord
from barnabas.records.legacy import iter_messages, message_crc_valid, unwrap
from barnabas.records.record import Record, read_records
from barnabas.records.validate import UNBOUNDED_MS, ProduceRules, check_produce, walk
from tests.interop.kafka import java_command
from tests.records_samples import random_records

pytestmark = pytest.mark.usefixtures("java")
LIMIT = 1 << 24
NOW = 1_700_000_000_000
LEVELS = ((0, None), (1, None), (1, 9), (2, None), (3, None), (3, 1), (3, 17), (4, None), (4, -7))


def kafka_says(mode: str, lines: Iterable[str]) -> list[str]:
    """Run `RecordsTruth` of tests/interop/java on `lines`; the lines that it prints."""
    command = java_command("RecordsTruth", mode, options=("-Xmx512m",))
    text = "\n".join(lines) + "\n"
    done = subprocess.run(
        command, input=text, capture_output=True, check=False, timeout=120, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def word(content: bytes | None) -> str:
    """Bytes as `RecordsTruth` writes them."""
    return "-" if content is None else "x" + content.hex()


def header_words(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """Record headers as `RecordsTruth` writes them."""
    return ",".join(f"{word(name.encode())}:{word(value)}" for name, value in headers) or "-"


def build_lines(
    records: Iterable[NewRecord], begin: str = "2 0 - - -1 -1 -1 0 0 0 -1"
) -> list[str]:
    """The lines that make Kafka build a batch."""
    lines = [f"B {begin}"]
    for key, value, timestamp, headers in records:
        lines.append(f"R {timestamp} {word(key)} {word(value)} {header_words(headers)}")
    return [*lines, "E"]


def record_line(record: Record) -> str:
    """A record as `RecordsTruth dump` prints it."""
    content = f"{word(record.key)} {word(record.value)} {header_words(record.headers)}"
    return f"R {record.offset} {record.timestamp} {content}"


def our_dump(batch: bytes | bytearray) -> list[str]:
    """What `RecordsTruth dump` prints of a buffer of batches, from our reading of it."""
    lines = []
    for pos, h in iter_batches(batch):
        flags = [int(h.is_transactional), int(h.is_control), int(h.log_append_time)]
        numbers = [
            *(h.base_offset, h.last_offset, h.size, h.leader_epoch, h.magic, h.codec),
            *(h.base_timestamp, h.max_timestamp, h.producer_id, h.producer_epoch),
            *(h.base_sequence, h.last_sequence, h.records_count, *flags),
        ]
        lines.append("H " + " ".join(map(str, numbers)))
        lines += [record_line(record) for record in read_records(batch, pos, limit=LIMIT)]
    return [*lines, "E"]


def test_uncompressed_batches_are_the_same_bytes(seed: int) -> None:
    random = Random(seed)
    lines: list[str] = []
    ours = []
    for count in (1, 2, 3, 63, 64, 65, 300, 9000):
        records = random_records(random, count)
        append_time = random.choice((None, NOW + 5))
        producer = random.choice(((-1, -1, -1), (77, 3, 5), (2**62, 32767, 2**31 - 1)))
        transactional = producer[0] >= 0 and random.random() < 0.5
        base, epoch = random.choice(((0, -1), (2**40, 12)))
        stamp = "-" if append_time is None else append_time
        numbers = " ".join(map(str, producer))
        begin = f"2 0 - {stamp} {numbers} {int(transactional)} 0 {base} {epoch}"
        lines += build_lines(records, begin)
        batch = build_batch(
            records,
            base_offset=base,
            leader_epoch=epoch,
            producer_id=producer[0],
            producer_epoch=producer[1],
            base_sequence=producer[2],
            transactional=transactional,
            log_append_time=append_time,
        )
        ours.append(batch.hex())
    assert kafka_says("build", lines) == ours


@pytest.mark.parametrize(("codec", "level"), LEVELS)
def test_each_side_reads_what_the_other_compressed(
    seed: int, codec: int, level: int | None
) -> None:
    random = Random(seed + codec)
    samples = [random_records(random, count) for count in (1, 2, 50, 700)]
    samples.append([(b"k", bytes(1_500_000), NOW, ())])
    begin = f"2 {codec} {'-' if level is None else level} - -1 -1 -1 0 0 100 5"
    theirs = kafka_says("build", [line for rows in samples for line in build_lines(rows, begin)])
    ours = [
        build_batch(rows, codec=codec, level=level, base_offset=100, leader_epoch=5)
        for rows in samples
    ]
    for rows, hexadecimal in zip(samples, theirs, strict=True):
        read = read_records(bytes.fromhex(hexadecimal), limit=LIMIT)
        assert [(r.key, r.value, r.timestamp, r.headers) for r in read] == rows
        assert [r.offset for r in read] == list(range(100, 100 + len(rows)))
    expected = [line for batch in ours for line in our_dump(batch)]
    assert kafka_says("dump", [batch.hex() for batch in ours]) == expected


def odd_streams(payload: bytes) -> dict[str, tuple[Codec, bytes]]:
    """Compressed forms of `payload` that Kafka's writers do not make; perhaps its readers mind."""
    first, second = payload[: len(payload) // 2], payload[len(payload) // 2 :]

    def both(codec: Codec) -> bytes:
        return compress(codec, first) + compress(codec, second)

    whole = {codec: compress(codec, payload) for codec in Codec}
    snappy_header = whole[Codec.SNAPPY][:16]
    stream = cramjam.zstd.Compressor(level=22)
    stream.compress(payload)
    odd = {
        "gzip members": (Codec.GZIP, both(Codec.GZIP)),
        "gzip and zeros": (Codec.GZIP, whole[Codec.GZIP] + bytes(30)),
        "gzip and noise": (Codec.GZIP, whole[Codec.GZIP] + b"noise behind the stream, long enough"),
        "gzip cut off": (Codec.GZIP, whole[Codec.GZIP][:-1]),
        "snappy bare": (Codec.SNAPPY, bytes(cramjam.snappy.compress_raw(payload))),
        "snappy streams": (Codec.SNAPPY, both(Codec.SNAPPY)),
        "snappy header only": (Codec.SNAPPY, snappy_header),
        "snappy other header": (Codec.SNAPPY, whole[Codec.SNAPPY] + snappy_header[:7] + b"\1" * 9),
        "snappy header cut off": (Codec.SNAPPY, whole[Codec.SNAPPY] + snappy_header[:7]),
        "snappy header last": (Codec.SNAPPY, whole[Codec.SNAPPY] + snappy_header),
        "snappy and bytes": (Codec.SNAPPY, whole[Codec.SNAPPY] + b"abc"),
        "lz4 frames": (Codec.LZ4, both(Codec.LZ4)),
        "lz4 and noise": (Codec.LZ4, whole[Codec.LZ4] + b"noise"),
        "lz4 without end": (Codec.LZ4, whole[Codec.LZ4][:-4]),
        "lz4 linked": (Codec.LZ4, bytes(cramjam.lz4.compress(payload))),
        "zstd frames": (Codec.ZSTD, both(Codec.ZSTD)),
        "zstd skippable": (
            Codec.ZSTD,
            bytes.fromhex("5a2a4d1803000000aabbcc") + whole[Codec.ZSTD],
        ),
        "zstd window": (Codec.ZSTD, bytes(stream.finish())),
        "zstd and noise": (Codec.ZSTD, whole[Codec.ZSTD] + b"noise"),
        "zstd cut off": (Codec.ZSTD, whole[Codec.ZSTD][:-1]),
    }
    return odd | {f"plain {codec.name}": (codec, packed) for codec, packed in whole.items()}


def test_odd_streams_are_read_alike(seed: int) -> None:
    plain = build_batch(random_records(Random(seed), 30))
    header = read_header(plain)
    cases = {}
    for name, (codec, stream) in odd_streams(bytes(plain[61:])).items():
        batch = plain[:61] + stream
        struct.pack_into(">i", batch, 8, len(batch) - 12)
        struct.pack_into(">h", batch, 21, codec)
        write_crc(batch, 0, len(batch))
        cases[name] = batch
    printed = "\n".join(kafka_says("dump", [batch.hex() for batch in cases.values()]))
    theirs = [part.strip() for part in printed.split("E\n")]
    theirs[-1] = theirs[-1].removesuffix("E").strip()
    verdicts = {}
    for (name, batch), dump in zip(cases.items(), theirs, strict=True):
        try:
            ours = len(read_records(batch, limit=LIMIT)) == header.records_count
        except CorruptRecord:
            ours = False
        verdicts[name] = (ours, not dump.startswith("!"))
    assert {name: pair for name, pair in verdicts.items() if pair[0] != pair[1]} == {}


def test_markers_are_the_same_bytes() -> None:
    begin = "2 0 - - 9 4 -1 1 1 55 6"
    theirs = kafka_says(
        "build", [f"B {begin}", f"R {NOW} 1 31", "E", f"B {begin}", f"R {NOW} 0 32", "E"]
    )
    markers = [EndMarker(True, 31), EndMarker(False, 32)]
    ours = [build_marker(9, 4, mark, NOW, base_offset=55, leader_epoch=6) for mark in markers]
    assert theirs == [batch.hex() for batch in ours]
    assert [read_marker(read_records(batch, limit=100)[0]) for batch in ours] == markers


def test_rebuilt_batches_are_read_by_kafka(seed: int) -> None:
    random = Random(seed)
    batch = build_batch(
        random_records(random, 40), base_offset=7, producer_id=3, producer_epoch=0, base_sequence=9
    )
    header = read_header(batch)
    records = read_records(batch, limit=LIMIT)
    thinned = [
        rebuild_batch(header, records[3::5]),
        rebuild_batch(header._replace(attributes=4), records[::7], delete_horizon=NOW + 9),
        rebuild_batch(header, []),
    ]
    expected = [line for one in thinned for line in our_dump(one)]
    assert kafka_says("dump", [one.hex() for one in thinned]) == expected


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("codec", [0, 1, 2, 3])
def test_old_message_sets_are_read_alike(seed: int, magic: int, codec: int) -> None:
    random = Random(seed)
    rows: list[NewRecord] = [(row[0], row[1], row[2], ()) for row in random_records(random, 20)]
    begins = [f"{magic} {codec} - - -1 -1 -1 0 0 50 -1"]
    if magic == 1:
        begins.append(f"{magic} {codec} - {NOW} -1 -1 -1 0 0 50 -1")
    built = kafka_says("build", [line for begin in begins for line in build_lines(rows, begin)])
    dumped = [line for line in kafka_says("dump", built) if line.startswith("R")]
    ours = []
    for hexadecimal in built:
        data = bytes.fromhex(hexadecimal)
        for pos, message in iter_messages(data):
            assert message_crc_valid(data, pos, message.size)
            ours += [record_line(record) for record in unwrap(message, limit=LIMIT)]
    assert ours == dumped
    assert len(ours) == len(rows) * len(begins)


def check_cases(random: Random) -> list[bytearray]:
    """Batches good and bad behind good CRCs."""
    rows: list[NewRecord] = [
        (random.choice((None, b"k")), b"v" * random.randrange(90), NOW + random.randrange(9), ())
        for _ in range(12)
    ]
    keyed: list[NewRecord] = [(b"k", b"v", NOW + 1, ()), (b"", None, NOW, ())]
    cases = [build_batch(rows, codec=codec) for codec in range(5)]
    cases += [build_batch(keyed, codec=codec) for codec in range(5)]
    cases.append(build_batch(keyed, producer_id=5, producer_epoch=0, base_sequence=0))
    cases.append(build_batch(keyed, producer_id=5, producer_epoch=0))
    cases.append(build_batch(keyed, control=True))
    for codec in (0, 1):
        cases.append(build_batch([(b"k", b"v", -1, ())], codec=codec))
        cases.append(build_batch([(b"k", b"v", NOW + 10**7, ())] * 2, codec=codec))
        cases.append(build_batch([(b"k", b"v", NOW - 10**7, ())] * 2, codec=codec))
        cases.append(build_batch(keyed, codec=codec, log_append_time=NOW))
        cases.append(build_batch([(b"k", b"v", -1, ())], codec=codec, log_append_time=-1))
    for at, value in ((23, 5), (23, -2), (57, 0), (57, 1), (57, -1), (57, 3), (35, -1), (35, 7)):
        for codec in (0, 4):
            broken = build_batch(keyed, codec=codec)
            size = 8 if at == 35 else 4
            broken[at : at + size] = value.to_bytes(size, "big", signed=True)
            write_crc(broken, 0, len(broken))
            cases.append(broken)
    cases.append(build_batch(keyed) + build_batch(keyed))
    cases.append(build_batch(keyed) + build_batch(keyed)[:-1])
    cases.append(build_batch(keyed) + b"\0" * 11)
    cases.append(build_batch(keyed) + b"\0" * 30)
    cases.append(build_batch(keyed)[:-1])
    cases.append(bytearray())
    old = build_batch(keyed)
    old[16] = 1
    cases.append(old)
    return cases


RULES = {
    "plain": "0 {0} 3600000 -1 - 0",
    "before": "0 60000 3600000 -1 - 0",
    "append time": "1 {0} 3600000 -1 - 0",
    "compacted": "0 {0} 3600000 -1 - 1",
    "gzip": "0 {0} 3600000 1 4 0",
    "none": "0 {0} {0} 0 - 0",
    "append time, zstd": "1 {0} 3600000 4 3 0",
}


def rules_of(words: str) -> ProduceRules:
    """Our form of a line of `RULES`, with Kafka's rule for every record."""
    append, before, after, codec, level, compacted = words.split()
    return ProduceRules(
        max_bytes=1 << 20,
        segment_bytes=1 << 30,
        append_time=append == "1",
        before_ms=int(before),
        after_ms=int(after),
        codec=int(codec),
        level=None if level == "-" else int(level),
        compacted=compacted == "1",
        full=True,
    )


def our_verdict(batch: bytearray, version: int, rules: ProduceRules) -> tuple[int, int, list[str]]:
    """(error code, number of record errors, dump of what would be appended)."""
    code, header, must_walk = check_produce(batch, rules, NOW, version)
    if header is None:
        return code, 0, []
    assert must_walk
    result = walk(batch, header, rules, NOW, limit=LIMIT)
    if result.error_code:
        return result.error_code, len(result.record_errors), []
    stored = batch[: header.size] if result.replacement is None else result.replacement
    if rules.append_time:
        set_append_time(stored, 0, NOW)
    assign(stored, 0, 0, 7)
    return 0, 0, our_dump(stored)


@pytest.mark.parametrize("name", list(RULES))
def test_full_validation_agrees_with_kafka(seed: int, name: str) -> None:
    words = RULES[name].format(UNBOUNDED_MS)
    rules = rules_of(words)
    cases = [(version, batch) for version in (6, 9) for batch in check_cases(Random(seed))]
    lines = [f"{version} {NOW} {words} {word(bytes(batch))}" for version, batch in cases]
    verdicts = [line.split() for line in kafka_says("check", lines)]
    for (version, batch), (code, errors, stored) in zip(cases, verdicts, strict=True):
        ours = our_verdict(batch, version, rules)
        assert ours[:2] == (int(code), int(errors)), (name, version, bytes(batch).hex())
        if stored != "-":
            kept = bytes.fromhex(stored[1:])
            kept = kept[: read_header(kept).size]
            theirs = our_dump(kept)
            if rules.codec > 0 and read_header(kept).codec != read_header(batch).codec:
                assert without_size(ours[2]) == without_size(theirs)
            else:
                assert ours[2] == theirs


def damaged(random: Random) -> bytearray:
    """An uncompressed batch with some bytes of its records changed, behind a good CRC."""
    headers = (("name", b"content"), ("other", None))
    rows: list[NewRecord] = [
        (random.choice((b"key", None)), b"value", NOW + random.randrange(99), headers * (n % 2))
        for n in range(5)
    ]
    batch = build_batch(rows)
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        batch[random.randrange(61, len(batch))] = random.choice(
            (0, 1, 2, 127, 128, 255, random.randrange(256))
        )
    write_crc(batch, 0, len(batch))
    return batch


@pytest.mark.parametrize("name", ["plain", "before", "compacted", "append time"])
def test_damaged_records_are_refused_alike(seed: int, name: str) -> None:
    words = RULES[name].format(UNBOUNDED_MS)
    random = Random(f"{seed} {name}")
    cases = [damaged(random) for _ in range(1500)]
    lines = [f"9 {NOW} {words} {word(bytes(batch))}" for batch in cases]
    verdicts = [line.split() for line in kafka_says("check", lines)]
    refused = 0
    for batch, (code, errors, stored) in zip(cases, verdicts, strict=True):
        ours = our_verdict(batch, 9, rules_of(words))
        assert ours[:2] == (int(code), int(errors)), bytes(batch).hex()
        refused += int(code) != 0
        if stored != "-":
            theirs = our_dump(bytes.fromhex(stored[1:]))
            # Kafka keeps inner offsets of uncompressed batches as they come; ours are set right.
            assert without_offsets(ours[2]) == without_offsets(theirs)
    assert 0 < refused < len(cases)


def without_offsets(dump: list[str]) -> list[str]:
    """A dump whose record lines lack the offset and whose header lines lack the size."""
    return [
        " ".join(word for at, word in enumerate(line.split()) if at != (3 if line[0] == "H" else 1))
        for line in dump
    ]


def without_size(dump: list[str]) -> list[str]:
    """A dump whose header lines lack the size, which two compressors need not share."""
    return [
        " ".join(word for at, word in enumerate(line.split()) if line[0] != "H" or at != 3)
        for line in dump
    ]


def test_producer_snapshots_are_the_same_bytes() -> None:
    entries = []
    for number, (epoch, sequence, offset, delta, opened) in enumerate(
        [(0, 4, 90, 4, -1), (32767, 2, 2**40, 7, 2**40 - 7), (5, 2**31 - 1, 20, 0, -1)]
    ):
        entry = ProducerEntry(1000 + number)
        entry.epoch = epoch
        entry.coordinator_epoch = number - 1
        entry.last_timestamp = NOW + number
        entry.txn_first_offset = opened
        first = (sequence - delta) % 2**31
        entry.batches.append(SentBatch(first, sequence, offset - delta, offset, NOW + number))
        entries.append(entry)
    entries.append(ProducerEntry(4))
    data = encode_snapshot(entries)
    *lines, written = kafka_says("snapshot", [data.hex()])
    ours = []
    for entry in decode_snapshot(data):
        first, last, batch = -1, -1, "-"
        if entry.batches:
            sent = entry.batches[-1]
            first, last = sent.base_offset, sent.last_offset
            batch = (
                f"BatchMetadata(firstSeq={sent.first_sequence},lastSeq={sent.last_sequence},"
                f"firstOffset={first},lastOffset={last},timestamp={sent.timestamp})"
            )
        ours.append(
            f"P {entry.producer_id} {entry.epoch} {entry.coordinator_epoch} "
            f"{entry.last_timestamp} {entry.txn_first_offset} {first} {last} {batch}"
        )
    assert lines == ours
    assert bytes.fromhex(written) == data
