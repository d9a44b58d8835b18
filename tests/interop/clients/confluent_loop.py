"""A read-process-write loop of confluent-kafka: `loop ADDRESS SETTINGS`, until standard input ends.

The settings are those of `clients.member`, with `topic` to read from, `sink` to write to and
`transactional`, the transactional id. Each value goes out as `value|transaction`, in the partition
that it came from, and so do the notes say it.
"""

from __future__ import annotations

import itertools
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from tests.interop.clients.confluent_client import POLL_SECONDS, settings_of
from tests.interop.clients.member import Notes, now

SECONDS = 20.0
MOST = 50


class Loop:
    """One consumer, one transactional producer."""

    def __init__(self, address: str, text: str) -> None:
        self.notes = Notes(text)
        chosen = self.notes.settings
        self.names = (f"{chosen.client}.{number}" for number in itertools.count())
        self.consumer = Consumer(settings_of(self.notes, address))
        self.producer = Producer(
            {
                "bootstrap.servers": address,
                "transactional.id": chosen.transactional,
                "transaction.timeout.ms": 10_000,
                # Else librdkafka 2.16 waits for ever for the coordinator of a group that it
                # knew before all brokers were away for a moment.
                "metadata.recovery.strategy": "none",
            }
        )

    def run(self) -> None:
        """Turn after turn; what aborts a transaction is read again, what is fatal ends the program."""
        self.producer.init_transactions(SECONDS)
        self.consumer.subscribe(
            [self.notes.settings.topic],
            on_assign=lambda _, partitions: self.notes.given(partitions),
            on_revoke=lambda _, partitions: self.notes.revoked(partitions),
            on_lost=lambda _, partitions: self.notes.lost(partitions),
        )
        while not self.notes.leaving.is_set():
            found = [m for m in self.consumer.consume(MOST, POLL_SECONDS) if m.error() is None]
            if found:
                self.turn(next(self.names), found)
        self.consumer.close()

    def turn(self, name: str, found: list[Message]) -> None:
        """One transaction."""
        self.producer.begin_transaction()
        self.notes.note("begun", transaction=name)
        records: dict[int, list[tuple[int, bytes]]] = {}
        for message in found:
            partition, offset, value = message.partition(), message.offset(), message.value()
            assert value is not None
            records.setdefault(partition, []).append((offset, value))
        offsets = self.notes.consumed(records, transaction=name)
        try:
            self.write(name, records)
            self.commit(name, offsets)
        except KafkaException as failed:
            if not failed.args[0].txn_requires_abort():
                raise
            self.notes.note("ending", transaction=name, commit=False)
            self.producer.abort_transaction(SECONDS)
            self.notes.note("ended", transaction=name, commit=False)
            self.read_again(records)

    def write(self, name: str, records: dict[int, list[tuple[int, bytes]]]) -> None:
        """Everything goes out."""
        sink = self.notes.settings.sink
        for partition, some in records.items():
            for _, value in some:
                out = f"{value.decode()}|{name}"
                self.notes.note("produced", topic=sink, value=out, transaction=name)
                self.producer.produce(sink, out, partition=partition, on_delivery=self.delivered)

    def commit(self, name: str, offsets: dict[int, int]) -> None:
        """Offsets, then the transaction."""
        topic, begun = self.notes.settings.topic, now()
        wanted = [TopicPartition(topic, each, to) for each, to in offsets.items()]
        member = self.consumer.consumer_group_metadata()
        self.producer.send_offsets_to_transaction(wanted, member, SECONDS)
        self.notes.committed(begun, offsets, transaction=name)
        self.producer.flush(SECONDS)
        self.notes.note("ending", transaction=name, commit=True)
        self.producer.commit_transaction(SECONDS)
        self.notes.note("ended", transaction=name, commit=True)

    def delivered(self, error: Any, message: Message) -> None:
        """An acknowledgement."""
        value = message.value()
        if error is None and value is not None:
            where = {"partition": message.partition(), "offset": message.offset()}
            self.notes.note("acked", topic=message.topic(), value=value.decode(), **where)

    def read_again(self, records: dict[int, list[tuple[int, bytes]]]) -> None:
        """Back to where the transaction began, in what is still ours."""
        owned = {each.partition for each in self.consumer.assignment()}
        for partition in records.keys() & owned:
            first = records[partition][0][0]
            self.consumer.seek(TopicPartition(self.notes.settings.topic, partition, first))
