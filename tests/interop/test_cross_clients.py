"""What one client writes every other reads, byte for byte: keys, values, headers, timestamps, codecs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.interop.conftest import WAIT_SECONDS
from tests.interop.kafka import Node, java_tool
from tests.interop.programs import PROGRAMS

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
RECORDS = 40
FIRST_TIMESTAMP = 1_700_000_000_000
NAMED = {program.name: program for program in PROGRAMS}
WRITERS = ("kcat", "confluent-kafka", "java", *NAMED)
READERS = ("confluent-kafka", "java", *(p.name for p in PROGRAMS if p.reads))
CODECS_OF = {"platformatic": CODECS[:-1]}
"""Its zstd is that of Node.js, from 22.15 on."""

Seen = dict[str, list[dict[str, Any]]]


def _hex(raw: bytes | None) -> str | None:
    return None if raw is None else raw.hex()


def records_for(writer: str) -> list[dict[str, Any]]:
    """Records of every shape that a client can say, in the form of the programs."""
    records = []
    for number in range(RECORDS):
        key = None if number % 5 == 0 else b"" if number % 5 == 1 else b"\x00\xffkey-%d" % number
        value = [None, b"", bytes(range(256)) * 8, b"v" * number][number % 4]
        headers = [
            ("number", b"%d" % number),
            ("empty", b""),
            ("none", None),
            ("twice", b"\xff\x01"),
            ("twice", "zwei ü".encode()),
        ][: number % 6]
        if writer in ("kafka-python", "kafkajs"):
            headers = [pair for pair in headers if pair[1] is not None]
        if writer == "platformatic":
            headers = list({name: (name, each or b"") for name, each in headers}.values())
            key, value = key or b"", value or b""
        if writer in ("aiokafka", "kafka-python") and key is None:
            value = value or b""
        # Out of order here and there.
        timestamp = FIRST_TIMESTAMP + 1000 * (number - 5 * (number % 7 == 6))
        records.append(
            {
                "timestamp": timestamp,
                "key": _hex(key),
                "value": _hex(value),
                "headers": [[name, _hex(each)] for name, each in headers],
            }
        )
    return records


def codecs_of(writer: str) -> tuple[str, ...]:
    return CODECS_OF.get(writer, CODECS)


def write_with_kcat(kcat: str, node: Node, topic: str, codec: str) -> None:
    """kcat sets no timestamps and the same headers for all; of bytes it knows lines."""
    lines = "".join(f"key-{number}:{'v' * number}\n" for number in range(RECORDS))
    command = [kcat, "-b", node.address, "-P", "-t", topic, "-p", "0", "-z", codec]
    subprocess.run(
        [*command, "-K", ":", "-Z", "-H", "twice=a", "-H", "twice=ü"],
        input=lines.encode(),
        check=True,
        timeout=WAIT_SECONDS,
    )


def written_by_kcat() -> list[dict[str, Any]]:
    return [
        {
            "key": _hex(b"key-%d" % number),
            "value": _hex(b"v" * number or None),
            "headers": [["twice", _hex(b"a")], ["twice", _hex("ü".encode())]],
        }
        for number in range(RECORDS)
    ]


def write_with_librdkafka(
    node: Node, topic: str, codec: str, records: list[dict[str, Any]]
) -> None:
    producer = Producer({"bootstrap.servers": node.address, "compression.type": codec})
    for record in records:
        producer.produce(
            topic,
            partition=0,
            key=_raw(record["key"]),
            value=_raw(record["value"]),
            headers=[(name, _raw(value)) for name, value in record["headers"]],
            timestamp=record["timestamp"],
        )
    assert producer.flush(WAIT_SECONDS) == 0


def _raw(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def read_with_librdkafka(node: Node, topics: dict[str, int]) -> Seen:
    settings = {"bootstrap.servers": node.address, "group.id": "unused", "check.crcs": True}
    consumer = Consumer({**settings, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING) for topic in topics])
    found: Seen = {topic: [] for topic in topics}
    while any(len(found[topic]) < count for topic, count in topics.items()):
        message = consumer.poll(WAIT_SECONDS)
        assert message is not None, {topic: len(records) for topic, records in found.items()}
        assert message.error() is None, message.error()
        found[message.topic()].append(
            {
                "offset": message.offset(),
                "timestamp": message.timestamp()[1],
                "key": _hex(message.key()),
                "value": _hex(message.value()),
                "headers": [[name, _hex(value)] for name, value in message.headers() or []],
            }
        )
    consumer.close()
    return found


def write(writer: str, node: Node, kcat: str) -> dict[str, list[dict[str, Any]]]:
    """Have a client write its topics; what they hold by what it was told."""
    topics = {f"{writer}-{codec}": codec for codec in codecs_of(writer)}
    if writer == "kcat":
        for topic, codec in topics.items():
            write_with_kcat(kcat, node, topic, codec)
        return {topic: written_by_kcat() for topic in topics}
    records = records_for(writer)
    asked = [{"topic": t, "codec": codec, "records": records} for t, codec in topics.items()]
    if writer == "confluent-kafka":
        for topic, codec in topics.items():
            write_with_librdkafka(node, topic, codec, records)
    elif writer == "java":
        java_tool("CrossClient", "write", node.address, stdin=json.dumps(asked))
    else:
        NAMED[writer].write(node, asked)
    return dict.fromkeys(topics, records)


@pytest.fixture(scope="module")
def written(each_node: Node, kcat: str, java: object) -> Seen:
    """All topics of all clients, and what each was told to write."""
    del java
    admin = AdminClient({"bootstrap.servers": each_node.address})
    names = [f"{writer}-{codec}" for writer in WRITERS for codec in codecs_of(writer)]
    new = [NewTopic(name, 1, 1, config={"retention.ms": "-1"}) for name in names]
    for done in admin.create_topics(new).values():
        done.result(WAIT_SECONDS)
    told: Seen = {}
    for writer in WRITERS:
        told |= write(writer, each_node, kcat)
    # Of the records that kcat stamps the first reader says when.
    stamped = read_with_librdkafka(each_node, {topic: RECORDS for topic in told if "kcat" in topic})
    for topic, records in stamped.items():
        for record, seen in zip(told[topic], records, strict=True):
            record["timestamp"] = seen["timestamp"]
    return {
        topic: [{**record, "offset": offset} for offset, record in enumerate(records)]
        for topic, records in told.items()
    }


def read_with_java(node: Node, topics: dict[str, int]) -> Seen:
    asked = [{"topic": topic, "count": count} for topic, count in topics.items()]
    printed = java_tool("CrossClient", "read", node.address, stdin=json.dumps(asked)).stdout
    found: Seen = json.loads(printed)
    return found


@pytest.mark.parametrize("reader", READERS)
def test_every_client_reads_what_every_client_writes(
    each_node: Node, written: Seen, reader: str
) -> None:
    read: Callable[[Node, dict[str, int]], Seen]
    if reader == "confluent-kafka":
        read = read_with_librdkafka
    elif reader == "java":
        read = read_with_java
    else:
        read = NAMED[reader].read
    found = read(each_node, dict.fromkeys(written, RECORDS))
    for topic, records in written.items():
        assert found[topic] == records, topic


def test_kcat_reads_what_every_client_writes(each_node: Node, written: Seen, kcat: str) -> None:
    for topic, records in written.items():
        command = [kcat, "-b", each_node.address, "-C", "-q", "-e", "-X", "fetch.wait.max.ms=10"]
        form = "%o %T %K %S %h\n%k%s\n"
        printed = subprocess.run(
            [*command, "-t", topic, "-p", "0", "-o", "beginning", "-f", form],
            capture_output=True,
            check=True,
            timeout=WAIT_SECONDS,
        ).stdout
        assert printed == b"".join(_as_kcat_prints(record) for record in records), topic


def _as_kcat_prints(record: dict[str, Any]) -> bytes:
    key, value = _raw(record["key"]), _raw(record["value"])
    sizes = [-1 if part is None else len(part) for part in (key, value)]
    headers = [
        name.encode() + b"=" + (b"NULL" if each is None else bytes.fromhex(each))
        for name, each in record["headers"]
    ]
    head = b"%d %d %d %d " % (record["offset"], record["timestamp"], *sizes)
    return head + b",".join(headers) + b"\n" + (key or b"") + (value or b"") + b"\n"
