"""`barnabas.sync.Consumer` as a member of a group."""

from __future__ import annotations

import sys

from barnabas import CommitRefused
from barnabas.sync import Consumer
from tests.interop.clients.barnabas_client import POLL_MS, Ears, by_partition, settings_of
from tests.interop.clients.member import Notes, now


def member(address: str, text: str) -> None:
    """See `clients.member`."""
    notes = Notes(text)
    topic, ears = notes.settings.topic, Ears(notes)
    with Consumer(listener=ears, **settings_of(notes, address)) as consumer:
        ears.consumer = consumer
        consumer.subscribe([topic])
        while not notes.leaving.is_set():
            events = consumer.get_many(timeout_ms=POLL_MS)
            if not events:
                continue
            offsets = notes.consumed(by_partition(events))
            begun = now()
            try:
                consumer.commit({(topic, each): to for each, to in offsets.items()})
            except CommitRefused:
                continue
            notes.committed(begun, offsets)


if __name__ == "__main__":
    member(*sys.argv[2:])
