"""`barnabas.Consumer` as a member of a group."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, NamedTuple

from barnabas import CommitRefused, Consumer, RebalanceListener
from barnabas.client.consumer.records import Event
from tests.interop.clients.member import Notes, now

POLL_MS = 100


class Place(NamedTuple):
    """What `Notes` wants of a partition."""

    topic: str
    partition: int


class Ears(RebalanceListener):
    """Notes assignments. `member` tells the generation, once there is a consumer."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self.consumer: Any = None

    def on_assigned(self, partitions: list[tuple[str, int]]) -> None:
        """Noted before anything of these is handed out."""
        generation = self.consumer.group_member()[1] if self.consumer is not None else None
        self._notes.given([Place(*each) for each in partitions], generation)

    def on_revoked(self, partitions: list[tuple[str, int]]) -> None:
        """Noted before anybody else may have these."""
        self._notes.revoked([Place(*each) for each in partitions])

    def on_lost(self, partitions: list[tuple[str, int]]) -> None:
        """Noted when it is learnt."""
        self._notes.lost([Place(*each) for each in partitions])


def settings_of(notes: Notes, address: str) -> dict[str, Any]:
    """The settings of a member."""
    chosen = notes.settings
    settings: dict[str, Any] = {
        "bootstrap_servers": address,
        "group_id": chosen.group,
        "group_instance_id": chosen.instance,
        "group_protocol": chosen.protocol,
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "isolation_level": chosen.isolation,
        "fetch_max_wait_ms": 50,
        "metadata_max_age_ms": 1_000,
    }
    if chosen.protocol == "consumer":
        return settings | {"group_remote_assignor": chosen.assignor}
    return settings | {
        "partition_assignment_strategy": chosen.assignor,
        "session_timeout_ms": chosen.session_ms,
        "heartbeat_interval_ms": chosen.heartbeat_ms,
    }


def by_partition(events: list[Event]) -> dict[int, list[tuple[int, bytes]]]:
    """Offsets and values of each partition."""
    found: dict[int, list[tuple[int, bytes]]] = {}
    for event in events:
        found.setdefault(event.partition, []).append((event.offset, event.value or b""))
    return found


async def member(address: str, text: str) -> None:
    """See `clients.member`."""
    notes = Notes(text)
    topic, ears = notes.settings.topic, Ears(notes)
    async with Consumer(listener=ears, **settings_of(notes, address)) as consumer:
        ears.consumer = consumer
        await consumer.subscribe([topic])
        while not notes.leaving.is_set():
            events = await consumer.get_many(timeout_ms=POLL_MS)
            if not events:
                continue
            offsets = notes.consumed(by_partition(events))
            begun = now()
            try:
                await consumer.commit({(topic, each): to for each, to in offsets.items()})
            except CommitRefused:
                continue
            notes.committed(begun, offsets)


if __name__ == "__main__":
    asyncio.run(member(*sys.argv[2:]))
