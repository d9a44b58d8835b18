"""A compacted topic whose cleaning is interrupted: what was acknowledged of it outlasts that."""

from __future__ import annotations

import os
import time
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from tests.interop.conftest import WAIT_SECONDS
from tests.interop.kafka import Node
from tests.interop.seen import TOPIC as CONFIGS_OF_TOPIC
from tests.interop.seen import read_all
from tests.interop.swap_files import LEFT_OVER
from tests.interop.swap_work import SMALL_SEGMENTS, alter, create, leave_half_deleted

TOPIC = "dirty"
LAG, LONG = "min.compaction.lag.ms", "3600000"
KEYS = 50
RECORDS = 3_000


class Dirt:
    """The topic, and what the newest record of each of its keys has to be."""

    def __init__(self, node: Node) -> None:
        compact = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", LAG: LONG}
        admin = AdminClient({"bootstrap.servers": node.address})
        create(admin, {TOPIC: (1, {**SMALL_SEGMENTS, **compact})})
        self._newest: dict[bytes, bytes] = {}
        self._written = 0

    def interrupt(self, node: Node, home: Path) -> None:
        """Kill a node when it begins to clean the topic, which it may from now on."""
        settings = {"bootstrap.servers": node.address, "enable.idempotence": True}
        producer = Producer({**settings, "batch.num.messages": 10})
        for number in range(self._written, self._written + RECORDS):
            key, value = b"%d" % (number % KEYS), b"%d" % number
            producer.produce(TOPIC, key=key, value=value + b"d" * 900)
            producer.poll(0)
            self._newest[key] = value
        assert producer.flush(WAIT_SECONDS) == 0
        self._written += RECORDS
        (partition,) = home.glob(f"data*/{TOPIC}-0")
        leave_half_deleted(node, home)
        alter(node, [(CONFIGS_OF_TOPIC, TOPIC, LAG, "0")])
        deadline = time.monotonic() + WAIT_SECONDS
        while not any(name.endswith(LEFT_OVER) for name in os.listdir(partition)):
            assert time.monotonic() < deadline, "the cleaner does not come"
        node.kill()
        assert any(name.endswith(LEFT_OVER) for name in os.listdir(partition))

    def check(self, node: Node) -> None:
        """Every key has its newest record, and what else is there was written."""
        alter(node, [(CONFIGS_OF_TOPIC, TOPIC, LAG, LONG)])
        found = read_all(node, [(TOPIC, 0)], "read_uncommitted")[TOPIC, 0]
        assert {rest[1]: rest[2].rstrip(b"d") for _, rest in found} == self._newest
        numbers = [int(rest[2].rstrip(b"d")) for _, rest in found]
        assert numbers == sorted(set(numbers))
        assert [offset for offset, _ in found] == numbers
