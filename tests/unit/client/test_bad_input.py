"""What can't be sent is refused at the door, and never stops a producer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from barnabas import Producer, sync
from barnabas.testing import Broker

BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"timestamp_ms": -1}, ValueError, "is no time"),
    ({"timestamp_ms": 1 << 63}, ValueError, "is no time"),
    ({"timestamp_ms": "now"}, TypeError, "timestamp: a number"),
    ({"partition": "0"}, TypeError, "partition: a number"),
    ({"partition": 0.0}, TypeError, "partition: a number"),
    ({"key": 5}, TypeError, "key: bytes or None"),
    ({"headers": [(b"a", b"b")]}, TypeError, "a name is a str"),
    ({"headers": [("a", "b")]}, TypeError, "header: bytes or None"),
    ({"headers": [("\ud800", b"b")]}, ValueError, "surrogates"),
]
MANY: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"timestamps_ms": [1, None]}, TypeError, "whole numbers"),
    ({"timestamps_ms": [1, -1]}, ValueError, "is no time"),
    ({"timestamps_ms": -1}, ValueError, "is no time"),
    ({"headers": [[("a", "b")], []]}, TypeError, "header: bytes or None"),
    ({"headers": [[("\ud800", b"b")], []]}, ValueError, "surrogates"),
    ({"keys": [b"k"]}, ValueError, "2 values and 1 keys"),
    ({"partition": 0.0}, TypeError, "partition: a number"),
    ({"partition": 9}, ValueError, "partitions 0 to 0"),
]
TOPICS: list[tuple[Any, type[Exception], str]] = [
    (5, TypeError, "topic: a str"),
    ("x" * 300, ValueError, "more than 249"),
    ("\ud800", ValueError, "surrogates"),
]


def test_asyncio() -> None:
    async def main(address: str) -> None:
        async with Producer(bootstrap_servers=address) as producer:
            assert (await producer.send("t", b"first")).offset == 0
            for options, error, told in BAD:
                with pytest.raises(error, match=told):
                    producer.send("t", b"", **options)
            for options, error, told in MANY:
                with pytest.raises(error, match=told):
                    await producer.send_many("t", [b"", b""], **options)
            for topic, error, told in TOPICS:
                with pytest.raises(error, match=told):
                    await producer.send(topic, b"")
                with pytest.raises(error, match=told):
                    await producer.send_many(topic, [b""])
            assert (await producer.send("t", b"last")).offset == 1

    with Broker() as broker:
        asyncio.run(main(broker.bootstrap_servers))


def test_blocking() -> None:
    with Broker() as broker, sync.Producer(bootstrap_servers=broker.bootstrap_servers) as producer:
        assert producer.send("t", b"first").result(30).offset == 0
        for options, error, told in BAD:
            with pytest.raises(error, match=told):
                producer.send("t", b"", **options)
        for options, error, told in MANY:
            with pytest.raises(error, match=told):
                producer.send_many("t", [b"", b""], **options)
        for topic, error, told in TOPICS:
            with pytest.raises(error, match=told):
                producer.send(topic, b"").result(30)
            with pytest.raises(error, match=told):
                producer.send_many(topic, [b""])
        assert producer.send("t", b"last").result(30).offset == 1
