"""confluent-kafka (librdkafka) as a member of a group; its tour is tests/interop/test_librdkafka.py."""

from __future__ import annotations

import os
import sys
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.interop.clients.member import Notes, now

POLL_SECONDS = 0.1
COOPERATIVE = "cooperative-sticky"


def settings_of(notes: Notes, address: str) -> dict[str, Any]:
    """librdkafka's configuration of a member."""
    chosen = notes.settings
    settings: dict[str, Any] = {
        "bootstrap.servers": address,
        "group.id": chosen.group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "isolation.level": chosen.isolation,
        "fetch.wait.max.ms": 50,
        "topic.metadata.refresh.interval.ms": 1000,
        # Its 10 s are longer than a session here: it would be put out whenever the node restarts.
        "reconnect.backoff.max.ms": 1000,
    }
    if chosen.instance is not None:
        settings["group.instance.id"] = chosen.instance
    if chosen.protocol == "consumer":
        return settings | {"group.protocol": "consumer", "group.remote.assignor": chosen.assignor}
    return settings | {
        "partition.assignment.strategy": chosen.assignor,
        "session.timeout.ms": chosen.session_ms,
        "heartbeat.interval.ms": chosen.heartbeat_ms,
    }


def member(address: str, text: str) -> None:
    """See `clients.member`."""
    notes = Notes(text)
    consumer = Consumer(settings_of(notes, address))
    consumer.subscribe(
        [notes.settings.topic],
        on_assign=lambda _, partitions: notes.given(partitions),
        on_revoke=lambda _, partitions: notes.revoked(partitions),
        on_lost=lambda _, partitions: notes.lost(partitions),
    )
    while not notes.leaving.is_set():
        records: dict[int, list[tuple[int, bytes]]] = {}
        for message in consumer.consume(500, POLL_SECONDS):
            if message.error() is None:
                found = records.setdefault(message.partition(), [])
                found.append((message.offset(), message.value()))
        if records:
            commit(notes, consumer, notes.consumed(records))
    consumer.close()


def commit(notes: Notes, consumer: Any, offsets: dict[int, int]) -> None:
    """Commit, unless the group is being rebalanced."""
    begun = now()
    wanted = [TopicPartition(notes.settings.topic, each, to) for each, to in offsets.items()]
    try:
        done = consumer.commit(offsets=wanted, asynchronous=False)
    except KafkaException:
        return
    taken = {each.partition: each.offset for each in done if each.error is None}
    if taken:
        notes.committed(begun, taken)


def main() -> None:
    """`member ADDRESS SETTINGS`, `loop ADDRESS SETTINGS`."""
    verb, address, text = sys.argv[1:]
    if verb == "member":
        member(address, text)
        return
    from tests.interop.clients.confluent_loop import Loop

    try:
        Loop(address, text).run()
    except KafkaException as fatal:
        print("fatal:", fatal, file=sys.stderr, flush=True)
        os._exit(3)  # a producer that is lost may not find an end


if __name__ == "__main__":
    main()
