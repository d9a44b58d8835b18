"""What a dump shows, and that verification finds the first bad byte and says why."""

from __future__ import annotations

import json
from pathlib import Path
from struct import pack, pack_into

import pytest

from barnabas.cli import main
from barnabas.cli.dump.batches import LogOptions, dump_log
from barnabas.cli.dump.files import UnknownFile, dump_file
from barnabas.cli.dump.indexes import LogMap, dump_offset_index, dump_time_index, dump_txn_index
from barnabas.cli.dump.items import Damage, Item, moment, text
from barnabas.cli.dump.state import dump_producer_snapshot
from barnabas.cli.exits import Exit
from barnabas.log.txn_index import AbortedTxn
from barnabas.metadata.framing import encode_record
from barnabas.metadata.record_types import TopicRecord
from barnabas.partition.producer_entry import ProducerEntry, encode_snapshot
from barnabas.records.batch import BatchHeader, read_header, write_crc
from barnabas.records.builder import build_batch
from barnabas.records.compression import Codec
from barnabas.records.control import EndMarker, build_marker
from barnabas.wire import uuids

SEGMENT = "00000000000000000010.log"


def batch(base: int, count: int = 2, *, epoch: int = 0, codec: Codec = Codec.NONE) -> bytearray:
    records = [(b"key", b"value %d" % (base + n), 1000 + base + n, ()) for n in range(count)]
    return build_batch(records, base_offset=base, leader_epoch=epoch, codec=codec)


def log(*batches: bytes | bytearray) -> bytearray:
    return bytearray(b"".join(batches))


def verify(data: bytes | bytearray, base: int = 10) -> Damage | None:
    try:
        list(dump_log(memoryview(data), LogOptions(base, verify=True)))
    except Damage as damage:
        return damage
    return None


def items(
    name: str, data: bytes | bytearray, directory: str = "t-0", records: bool | None = None
) -> list[Item]:
    view = memoryview(data)
    return list(dump_file(directory, name, view, lambda _: None, records=records, verify=False))


# -- what is shown --


def test_a_batch_shows_its_header() -> None:
    [item] = items(SEGMENT, batch(10, 3, epoch=4, codec=Codec.LZ4))
    assert item["kind"] == "batch"
    assert (item["base_offset"], item["last_offset"], item["records"]) == (10, 12, 3)
    assert (item["codec"], item["leader_epoch"], item["crc_valid"]) == ("lz4", 4, True)
    assert item["max_timestamp"] == "1970-01-01T00:00:01.012Z"
    assert "producer_id" not in item


def test_records_are_shown_when_asked_for() -> None:
    record = (None, b"\xff", 5, (("h", b"1"),))
    _, shown = items(SEGMENT, build_batch([record], base_offset=10), records=True)
    assert (shown["offset"], shown["key"], shown["value"]) == (10, None, {"base64": "/w=="})
    assert shown["headers"] == [["h", "1"]]


def test_transaction_markers_are_named() -> None:
    data = build_marker(7, 1, EndMarker(False, 3), 1000, base_offset=10)
    header, control = items(SEGMENT, data, records=True)
    assert header["control"] is True
    assert header["producer_id"] == 7
    assert (control["type"], control["coordinator_epoch"]) == ("ABORT", 3)


def metadata_log() -> bytearray:
    value = encode_record(TopicRecord(name="orders", topic_id=uuids.ONE), 0)
    return build_batch([(None, value, 5, ())], base_offset=0)


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("__cluster_metadata-0", "00000000000000000000.log"),
        ("__cluster_metadata-0", "00000000000000000005-0000000001.checkpoint"),
        ("data", "bootstrap.checkpoint"),
        ("__cluster_metadata-0", "00000000000000000000.log.deleted"),
    ],
)
def test_metadata_records_are_shown_by_name(directory: str, name: str) -> None:
    _, record = items(name, metadata_log(), directory)
    assert (record["kind"], record["type"]) == ("metadata", "TopicRecord")
    assert record["data"] == {"name": "orders", "topic_id": uuids.to_text(uuids.ONE)}


def test_a_record_that_is_no_metadata_is_told_and_the_dump_goes_on() -> None:
    data = log(batch(0, 1), metadata_log())
    kinds = [item["kind"] for item in items("0" * 20 + ".log", data, "__cluster_metadata-0")]
    assert kinds == ["batch", "damage", "batch", "metadata"]


def test_a_wrong_crc_is_told_and_the_dump_goes_on() -> None:
    data = log(batch(10), batch(12))
    data[-1] ^= 1
    assert [item["crc_valid"] for item in items(SEGMENT, data)] == [True, False]


@pytest.mark.parametrize(
    ("name", "data", "shown"),
    [
        (
            "recovery-point-offset-checkpoint",
            b"0\n1\nmy topic-ish 3 42\n",
            None,
        ),
        (
            "replication-offset-checkpoint",
            b"0\n1\norders 3 42\n",
            {"position": 4, "topic": "orders", "partition": 3, "offset": 42},
        ),
        ("leader-epoch-checkpoint", b"0\n1\n5 100\n", {"epoch": 5, "start_offset": 100}),
        (
            "partition.metadata",
            b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ",
            {"topic_id": "AAAAAAAAAAAAAAAAAAAAAQ"},
        ),
        ("meta.properties", b"#x\nnode.id=1\n", {"name": "node.id", "value": "1"}),
        ("quorum-state", b'{"leaderId":1,"data_version":0}', {"leaderId": 1}),
        (".kafka_cleanshutdown", b'{"version":0,"brokerEpoch":9}', {"brokerEpoch": 9}),
    ],
)
def test_small_files(name: str, data: bytes, shown: Item | None) -> None:
    if shown is None:
        with pytest.raises(Damage, match="4 fields"):
            items(name, data)
        return
    [item] = items(name, data)
    assert item.items() >= shown.items()


def test_an_empty_clean_marker_is_one_of_an_older_release() -> None:
    assert items(".kafka_cleanshutdown", b"") == []


def producers() -> bytearray:
    entry = ProducerEntry(77)
    header = BatchHeader(0, 0, 0, 2, 0, 0, 4, 1000, 1000, 77, 3, 10, 5)
    entry.add(header, 20, 1000)
    return bytearray(encode_snapshot([entry]))


def test_producer_snapshots() -> None:
    [item] = items("00000000000000000025.snapshot", producers())
    assert (item["producer_id"], item["producer_epoch"], item["last_offset"]) == (77, 3, 24)
    assert (item["last_sequence"], item["txn_first_offset"]) == (14, -1)


def test_a_name_that_means_nothing_is_refused() -> None:
    with pytest.raises(UnknownFile):
        items("notes.txt", b"")


def test_times_and_texts() -> None:
    assert moment(-1) == -1
    assert moment(2**62) == 2**62
    assert text(None) is None
    assert text(b"ok") == "ok"


# -- verification --


def test_good_logs_are_good() -> None:
    assert verify(b"") is None
    assert verify(log(batch(10), batch(12, epoch=1), batch(20, 1, epoch=1))) is None
    for codec in Codec:
        assert verify(batch(10, 5, codec=codec)) is None


def test_any_bit_flip_behind_the_leader_epoch_is_found_in_its_batch() -> None:
    good = log(batch(10), batch(12))
    second = len(batch(10))
    for position in range(len(good)):
        if position % second < 16:
            continue
        bad = bytearray(good)
        bad[position] ^= 1 << position % 8
        damage = verify(bad)
        assert damage is not None, position
        begin = position // second * second
        assert begin <= damage.position <= position, position


@pytest.mark.parametrize("length", [-2, -1, 0, 48, 2**31 - 1])
def test_wrong_lengths(length: int) -> None:
    data = log(batch(10), batch(12))
    second = len(batch(10))
    pack_into(">i", data, second + 8, length)
    damage = verify(data)
    assert damage is not None
    assert damage.position == (second if length > 48 else second + 8)


@pytest.mark.parametrize("left", [1, 16, 17, 60, 80])
def test_a_torn_batch_begins_where_it_begins(left: int) -> None:
    whole = batch(10)
    damage = verify(log(whole, batch(12)[:left]))
    assert damage is not None
    assert damage.position == len(whole)


def test_a_tail_of_zeros_is_called_that() -> None:
    damage = verify(log(batch(10), bytes(1000)))
    assert damage is not None
    assert damage.position == len(batch(10))
    assert "zeros" in damage.reason


def test_offsets_and_epochs_must_not_go_back() -> None:
    first = len(batch(10))
    overlap = verify(log(batch(10), batch(11)))
    assert overlap is not None
    assert (overlap.position, overlap.reason) == (first, "base offset 11 where at least 12 is due")
    older = verify(log(batch(10, epoch=5), batch(12, epoch=4)))
    assert older is not None
    assert (older.position, older.reason) == (first + 12, "leader epoch 4 follows epoch 5")
    misnamed = verify(batch(9))
    assert misnamed is not None
    assert misnamed.position == 0


def sealed(data: bytearray) -> bytearray:
    """The same bytes with a good CRC."""
    write_crc(data, 0, read_header(data).size)
    return data


def test_a_bad_record_behind_a_good_crc_is_found() -> None:
    data = batch(10)
    data[61] ^= 2  # the length of the first record
    damage = verify(sealed(data))
    assert damage is not None
    assert damage.position == 61
    data = batch(10)
    data[-len(b"value 11") - 7] = 0x40  # the offset delta of the second record
    assert verify(sealed(data)) is not None


@pytest.mark.parametrize(("position", "value"), [(22, 7), (21, 1), (23, 255)])
def test_header_fields_behind_a_good_crc(position: int, value: int) -> None:
    data = batch(10)
    data[position] = value
    damage = verify(sealed(data))
    assert damage is not None
    assert damage.position == (23 if position == 23 else 21)


def test_offset_indexes_are_checked_against_the_log() -> None:
    first, second = len(batch(10)), 2 * len(batch(10))
    batches = LogMap(memoryview(log(batch(10), batch(12), batch(14))))

    def check(*entries: tuple[int, int], tail: bytes = b"") -> int | None:
        data = b"".join(pack(">ii", *entry) for entry in entries) + tail
        try:
            list(dump_offset_index(memoryview(data), 10, batches))
        except Damage as damage:
            return damage.position
        return None

    assert check((3, first), (5, second)) is None
    assert check((3, first), tail=bytes(80)) is None
    assert check((3, first + 1)) == 4
    assert check((3, first), (4, first)) == 12
    assert check((5, second), (3, first)) == 8
    assert check((9, second)) == 0
    assert check((3, first), tail=b"\1\2\3") == 8


def test_time_indexes_are_checked_against_the_log() -> None:
    batches = LogMap(memoryview(log(batch(10), batch(12))))

    def check(*entries: tuple[int, int]) -> int | None:
        data = b"".join(pack(">qi", *entry) for entry in entries)
        try:
            list(dump_time_index(memoryview(data), 10, batches))
        except Damage as damage:
            return damage.position
        return None

    assert check((1011, 1), (1013, 3)) is None
    assert check((1011, 1), (1010, 3)) == 12
    assert check((1011, 3), (1013, 1)) == 20
    assert check((1014, 3)) == 0


def test_transaction_indexes() -> None:
    def check(data: bytes) -> int | None:
        try:
            list(dump_txn_index(memoryview(data), 10))
        except Damage as damage:
            return damage.position
        return None

    first, second = AbortedTxn(1, 10, 12, 13).encode(), AbortedTxn(2, 11, 15, 16).encode()
    assert check(first + second) is None
    assert check(first + second[:-1]) == 34
    assert check(second + first) == 34 + 18
    assert check(b"\0\1" + first[2:]) == 0
    assert check(AbortedTxn(1, 13, 12, 13).encode()) == 10


@pytest.mark.parametrize(("position", "found"), [(0, 0), (3, 2), (8, 2), (20, 2)])
def test_producer_snapshots_are_checked(position: int, found: int) -> None:
    data = producers()
    data[position] ^= 1
    with pytest.raises(Damage) as caught:
        list(dump_producer_snapshot(memoryview(data)))
    assert caught.value.position == found


@pytest.mark.parametrize(
    ("name", "data", "position"),
    [
        ("replication-offset-checkpoint", b"", 0),
        ("replication-offset-checkpoint", b"1\n0\n", 0),
        ("replication-offset-checkpoint", b"0\n", 2),
        ("replication-offset-checkpoint", b"0\n2\na 0 1\n", 2),
        ("replication-offset-checkpoint", b"0\n1\na 0 x\n", 4),
        ("replication-offset-checkpoint", b"0\n1\na \xff 1\n", 6),
        ("leader-epoch-checkpoint", b"0\n2\n1 5\n1 6\n", 8),
        ("partition.metadata", b"version: 1\n", 0),
        ("partition.metadata", b"version: 0\ntopic_id: x\n", 11),
        ("quorum-state", b'{"a":', 5),
        ("quorum-state", b"[]", 0),
        ("meta.properties", b"a=\\u1", 0),
    ],
)
def test_small_files_are_checked(name: str, data: bytes, position: int) -> None:
    with pytest.raises(Damage) as caught:
        items(name, data)
    assert caught.value.position == position


# -- the command --


def test_verify_says_where_and_ends_with_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = tmp_path / SEGMENT
    good.write_bytes(log(batch(10), batch(12)))
    assert main.run(["log", "dump", "--verify", str(good)]) == Exit.OK
    assert "2 items, all good" in capsys.readouterr().out
    bad = tmp_path / "00000000000000000020.log"
    bad.write_bytes(log(batch(20), batch(21)))
    assert main.run(["log", "dump", "--verify", "-o", "json", str(tmp_path)]) == Exit.DAMAGED
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["good"] is True
    assert second == {
        "path": str(bad),
        "good": False,
        "items": 1,
        "bad_position": len(batch(20)),
        "reason": "base offset 21 where at least 22 is due",
    }


def test_a_dump_prints_an_object_per_item(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / SEGMENT
    path.write_bytes(log(batch(10), b"torn"))
    assert main.run(["log", "dump", "-o", "json", "--records", str(path)]) == Exit.DAMAGED
    captured = capsys.readouterr()
    kinds = [json.loads(line)["kind"] for line in captured.out.splitlines()]
    assert kinds == ["batch", "record", "record"]
    assert f"position {len(batch(10))}: 4 bytes are left" in captured.err


def test_a_dump_for_people_has_a_line_per_item(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / SEGMENT
    path.write_bytes(batch(10))
    assert main.run(["log", "dump", str(path)]) == Exit.OK
    name, line = capsys.readouterr().out.splitlines()
    assert name == str(path)
    assert line.split()[:2] == ["0", "batch"]
    assert "codec=none" in line


def test_unknown_files_are_an_error_only_when_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert main.run(["log", "dump", str(tmp_path)]) == Exit.OK
    assert main.run(["log", "dump", str(tmp_path / "notes.txt")]) == Exit.USAGE
    assert "notes.txt" in capsys.readouterr().err
