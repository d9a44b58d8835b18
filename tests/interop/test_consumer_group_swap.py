"""Consumer groups of KIP-848 whose node changes: Kafka's records loaded by us, ours by Kafka."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.e2e.node import Shell, run
from tests.interop.conftest import WAIT_SECONDS
from tests.interop.kafka import Node
from tests.interop.swap import DYNAMIC, Swap

pytestmark = pytest.mark.usefixtures("java")

QUICK = {
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "300",
    "group.consumer.session.timeout.ms": "45000",
}
PARTITIONS = 6
TOPIC, GROUP = "swapped", "modern"


@contextmanager
def members(node: Node, count: int, regex: str | None = None) -> Iterator[list[Consumer]]:
    """Members that go on, whichever node answers; the first one by a regular expression."""
    over = threading.Event()
    settings = {
        "bootstrap.servers": node.address,
        "group.id": GROUP,
        "group.protocol": "consumer",
        "auto.offset.reset": "earliest",
        "log_level": 0,
    }
    found = [Consumer(settings) for _ in range(count)]
    for number, consumer in enumerate(found):
        consumer.subscribe([regex if regex is not None and number == 0 else TOPIC])

    def poll(consumer: Consumer) -> None:
        while not over.is_set():
            consumer.poll(0.1)

    threads = [threading.Thread(target=poll, args=(consumer,)) for consumer in found]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()
        for consumer in found:
            consumer.close()


def view(node: Node, members: int) -> dict[str, Any]:
    """The group once it rests: epochs, members, what they own."""
    sh = Shell(node.address)
    waited = threading.Event()
    facts: dict[str, Any] = {}
    for _ in range(int(WAIT_SECONDS * 5)):
        asked = run(node.address, "groups", "describe", GROUP, "-o", "json")
        facts = json.loads(asked.stdout) if asked.returncode == 0 else {"state": "not there yet"}
        if facts["state"] == "Stable" and facts["members"] == members:
            break
        waited.wait(0.2)
    else:
        raise AssertionError(facts)
    who = sorted(sh.json("groups", "members", GROUP), key=lambda each: str(each["member"]))
    assert sorted(p for each in who for p in each["partitions"]) == [
        f"{TOPIC}-{n}" for n in range(PARTITIONS)
    ]
    return {"facts": facts, "members": who}


def prepare(node: Node) -> None:
    """A topic with a few events."""
    admin = AdminClient({"bootstrap.servers": node.address})
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(WAIT_SECONDS)
    producer = Producer({"bootstrap.servers": node.address})
    for partition in range(PARTITIONS):
        producer.produce(TOPIC, b"x", partition=partition)
    assert producer.flush(WAIT_SECONDS) == 0


@pytest.mark.parametrize("clean", [True, False], ids=["stopped", "killed"])
def test_members_live_on_while_their_node_changes(tmp_path: Path, *, clean: bool) -> None:
    """Nobody has to join again: epochs, assignments and members are those of the records."""
    swap = Swap(tmp_path, DYNAMIC, QUICK)
    swap.kafka.start()
    prepare(swap.kafka)
    try:
        with members(swap.kafka, 2, regex="^swap.*"):
            before = view(swap.kafka, 2)
            swap.end(swap.kafka, clean=clean)
            swap.ours.start()
            assert view(swap.ours, 2)["facts"] == before["facts"]
            assert view(swap.ours, 2)["members"] == before["members"]
            with members(swap.ours, 1):
                view(swap.ours, 3)
            mine = view(swap.ours, 2)
            swap.end(swap.ours, clean=clean)
            swap.kafka.start()
            after = view(swap.kafka, 2)
            assert after["facts"] == mine["facts"]
            assert after["members"] == mine["members"]
        assert "a bug of ours" not in swap.ours.log_text()
        for fault in ("IllegalState", "Unexpected", "unknown record"):
            assert fault not in swap.kafka.log_text()
    finally:
        swap.kafka.kill()
        swap.ours.kill()
