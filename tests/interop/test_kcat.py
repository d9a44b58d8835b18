"""kcat, the C client of many people's first contact: metadata, codecs, offsets, look-up by time."""

from __future__ import annotations

import json
import time

import pytest

from tests.interop.conftest import MakeTopic
from tests.interop.kafka import Node, run

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
LINES = [f"key-{number}:value-{number}" for number in range(500)]


def produce(kcat: str, node: Node, topic: str, *options: str, lines: list[str] = LINES) -> None:
    run(
        [kcat, "-b", node.address, "-P", "-t", topic, "-p", "0", "-K", ":", *options],
        stdin="\n".join(lines) + "\n",
    )


def consume(kcat: str, node: Node, topic: str, *options: str) -> list[str]:
    done = run(
        [kcat, "-b", node.address, "-C", "-q", "-e", "-t", topic, "-p", "0", *options],
    )
    return done.stdout.splitlines()


def test_metadata(kcat: str, node: Node, make_topic: MakeTopic) -> None:
    topic = make_topic(3)
    listing = json.loads(run([kcat, "-b", node.address, "-L", "-J"]).stdout)
    assert [broker["name"] for broker in listing["brokers"]] == [node.address]
    broker_id = listing["brokers"][0]["id"]
    described = {entry["topic"]: entry["partitions"] for entry in listing["topics"]}[topic]
    assert [partition["partition"] for partition in described] == [0, 1, 2]
    for partition in described:
        assert partition["leader"] == broker_id
        assert partition["replicas"] == [{"id": broker_id}]
        assert partition["isrs"] == [{"id": broker_id}]


@pytest.mark.parametrize("codec", CODECS)
def test_produce_and_consume(kcat: str, node: Node, make_topic: MakeTopic, codec: str) -> None:
    topic = make_topic()
    produce(kcat, node, topic, "-z", codec)
    read = consume(kcat, node, topic, "-o", "beginning", "-f", "%o %k:%s\n")
    assert read == [f"{offset} {line}" for offset, line in enumerate(LINES)]


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_acks(kcat: str, node: Node, make_topic: MakeTopic, acks: str) -> None:
    topic = make_topic()
    produce(kcat, node, topic, "-X", f"acks={acks}")
    # acks=0 is answered by nobody: the last of the events may still be under way.
    where = [kcat, "-b", node.address, "-C", "-q", "-t", topic, "-p", "0", "-o", "beginning"]
    read = run([*where, "-c", str(len(LINES)), "-f", "%k:%s\n"], timeout=60)
    assert read.stdout.splitlines() == LINES


def test_consume_from_an_offset_and_from_the_end(
    kcat: str, node: Node, make_topic: MakeTopic
) -> None:
    topic = make_topic()
    produce(kcat, node, topic)
    assert consume(kcat, node, topic, "-o", "490", "-f", "%k:%s\n") == LINES[490:]
    assert consume(kcat, node, topic, "-o", "-3", "-f", "%k:%s\n") == LINES[-3:]
    assert consume(kcat, node, topic, "-o", "123", "-c", "2", "-f", "%o\n") == ["123", "124"]


def test_headers_and_null_values(kcat: str, node: Node, make_topic: MakeTopic) -> None:
    topic = make_topic()
    options = ("-H", "trace=abc", "-H", "trace=def", "-Z")
    produce(kcat, node, topic, *options, lines=["tombstone:", "k:v"])
    read = consume(kcat, node, topic, "-o", "beginning", "-J")
    events = [json.loads(line) for line in read]
    assert [(event["key"], event["payload"]) for event in events] == [
        ("tombstone", None),
        ("k", "v"),
    ]
    assert events[0]["headers"] == ["trace", "abc", "trace", "def"]


def test_offsets_by_time(kcat: str, node: Node, make_topic: MakeTopic) -> None:
    topic = make_topic()
    before = int(time.time() * 1000)
    produce(kcat, node, topic, lines=["a:1", "a:2", "a:3"])
    stamps = [int(line) for line in consume(kcat, node, topic, "-o", "beginning", "-f", "%T\n")]

    def offset_at(timestamp: int) -> int:
        done = run([kcat, "-b", node.address, "-Q", "-t", f"{topic}:0:{timestamp}"])
        return int(done.stdout.split()[-1])

    assert offset_at(before - 1) == 0
    assert offset_at(stamps[1]) == stamps.index(stamps[1])
    assert offset_at(stamps[2] + 60_000) == -1
    assert offset_at(-1) == 3
    assert offset_at(-2) == 0
