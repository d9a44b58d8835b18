"""Records as text lose no byte on the way."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barnabas.cli.formats import (
    BadInput,
    JsonReader,
    NewRecord,
    RawReader,
    Splitter,
    json_writer,
    raw_writer,
    unescape,
)
from barnabas.records.record import Record

contents = st.none() | st.binary(max_size=30)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("\\t", b"\t"), ("a\\x1e\\0\\\\", b"a\x1e\0\\"), ("é", "é".encode()), ("", b"")],
)
def test_escapes(text: str, meant: bytes) -> None:
    assert unescape(text) == meant


@pytest.mark.parametrize("text", ["\\q", "\\", "\\x1", "\\xzz"])
def test_what_is_no_escape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="\\\\"):
        unescape(text)


@given(st.lists(st.binary(max_size=6)), st.integers(1, 5), st.sampled_from([b"\n", b"ab", b"\0"]))
def test_pieces_do_not_depend_on_how_the_bytes_come(
    pieces: list[bytes], step: int, delimiter: bytes
) -> None:
    data = delimiter.join(pieces)
    splitter = Splitter(delimiter)
    found = [p for i in range(0, len(data), step) for p in splitter.feed(data[i : i + step])]
    found += splitter.end()
    expected = data.split(delimiter)
    assert found == (expected if expected[-1] else expected[:-1])


def test_a_piece_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barnabas.cli.formats.MAX_PIECE_BYTES", 10)
    splitter = Splitter(b"\n")
    splitter.feed(b"first\n")
    with pytest.raises(BadInput, match="record 2: longer"):
        splitter.feed(b"x" * 11)


def test_raw_lines_are_values() -> None:
    read = RawReader(None, None, (("h", b"1"),))
    assert list(read([b"a", b""])) == [
        NewRecord(None, b"a", (("h", b"1"),)),
        NewRecord(None, b"", (("h", b"1"),)),
    ]


def test_raw_lines_with_keys_and_nulls() -> None:
    read = RawReader(b"\t", b"NULL", ())
    assert list(read([b"k\tv\tw", b"k\tNULL", b"NULL\tv", b"\t"])) == [
        NewRecord(b"k", b"v\tw"),
        NewRecord(b"k", None),
        NewRecord(None, b"v"),
        NewRecord(b"", b""),
    ]


def test_a_line_without_separator_is_named() -> None:
    read = RawReader(b"\t", None, ())
    with pytest.raises(BadInput, match="record 2: no key separator"):
        list(read([b"k\tv", b"x"]))


def test_json_says_everything() -> None:
    line = {
        "key": "k",
        "value": {"base64": "AP8="},
        "headers": [["a", "1"], ["a", None]],
        "timestamp": 5,
        "partition": 2,
    }
    [record] = JsonReader((("first", b"x"),))([json.dumps(line).encode()])
    headers = (("first", b"x"), ("a", b"1"), ("a", None))
    assert record == NewRecord(b"k", b"\x00\xff", headers, 5, 2)


def test_json_values_that_are_no_strings_are_sent_as_json() -> None:
    read = JsonReader(())
    lines = [b'{"value":{"b": [1, "\xc3\xa9"]}}', b'{"value":7}', b"", b'{"key":"k"}']
    assert [r.value for r in read(lines)] == ['{"b":[1,"é"]}'.encode(), b"7", None]


def test_json_headers_may_be_an_object() -> None:
    [record] = JsonReader(())([b'{"value":"v","headers":{"a":"1","b":2}}'])
    assert record.headers == (("a", b"1"), ("b", b"2"))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("nope", "Expecting value"),
        ("[]", "not a JSON object"),
        ('{"vlaue":1}', "unknown field 'vlaue'"),
        ('{"value":{"base64":"*"}}', "base64"),
        ('{"value":{"base64":1}}', "base64"),
        ('{"timestamp":"x"}', "timestamp"),
        ('{"timestamp":true}', "timestamp"),
        ('{"partition":-1}', "partition"),
        ('{"headers":3}', "headers"),
        ('{"headers":[["a"]]}', "header"),
        ('{"headers":[[1,2]]}', "header"),
    ],
)
def test_wrong_json_is_named_with_its_line(line: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=f"record 2: .*{complaint}"):
        list(JsonReader(())([b"{}", line.encode()]))


@given(contents, contents, st.lists(st.tuples(st.text(max_size=5), contents), max_size=3))
def test_what_json_prints_json_reads(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    record = Record(3, 1000, key, value, tuple(headers))
    line = json_writer()("t", 1, "CreateTime", [record])
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    [again] = JsonReader(())([line.rstrip(b"\n")])
    assert again == NewRecord(key, value, tuple(headers), 1000, 1)


def test_json_names_topic_offset_and_kind_of_time() -> None:
    line = json.loads(json_writer()("t", 1, "LogAppendTime", [Record(3, 9, None, b"v", ())]))
    assert (line["topic"], line["partition"], line["offset"]) == ("t", 1, 3)
    assert (line["timestamp"], line["timestamp_type"]) == (9, "LogAppendTime")


def test_raw_prints_values_and_keys_as_they_are() -> None:
    records = [Record(0, 0, b"k", b"\xff\n", ()), Record(1, 0, None, None, ())]
    assert raw_writer(b"\n", None, b"-")("t", 0, "", records) == b"\xff\n\n-\n"
    assert raw_writer(b";", b"=", b"")("t", 0, "", records) == b"k=\xff\n;=;"
    assert raw_writer(b"", None, b"")("t", 0, "", records) == b"\xff\n"
    assert raw_writer(b"\n", None, b"")("t", 0, "", []) == b""
