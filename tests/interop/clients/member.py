"""What the members of a group share: `member ADDRESS SETTINGS` joins one, until standard input ends.

The settings are JSON: `client` (the name in the history), `group`, `topic`, `assignor`, `instance`
(of a static member, or null), `session_ms`, `heartbeat_ms`, `isolation`, `protocol` (`classic` or
`consumer`). What happens is printed as the lines that `barnabas.testing.checkers` reads: records
when they are handed out, then their commit, assignments when the client tells of them.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any, NamedTuple


class Settings(NamedTuple):
    """How a member joins."""

    client: str
    group: str
    topic: str
    assignor: str
    instance: str | None
    session_ms: int
    heartbeat_ms: int
    isolation: str
    protocol: str
    sink: str = ""
    transactional: str = ""
    """Of a read-process-write loop: where it writes, and its transactional id."""


def now() -> int:
    """Microseconds of the machine's clock, which all programs read."""
    return time.time_ns() // 1000


class Notes:
    """Prints the events of one member."""

    def __init__(self, text: str) -> None:
        self.settings = Settings(**json.loads(text))
        self.leaving = threading.Event()
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        sys.stdin.read()
        self.leaving.set()

    def note(self, event: str, **fields: Any) -> None:
        """One event, now."""
        about = {"event": event, "client": self.settings.client, "at": now(), **fields}
        sys.stdout.write(json.dumps(about) + "\n")
        sys.stdout.flush()

    def given(self, partitions: Iterable[Any], generation: int | None = None) -> None:
        """Partitions were assigned; objects with `topic` and `partition`."""
        self._moved(
            "assigned", partitions, **({} if generation is None else {"generation": generation})
        )

    def revoked(self, partitions: Iterable[Any]) -> None:
        """Partitions are given back."""
        self._moved("revoked", partitions)

    def lost(self, partitions: Iterable[Any]) -> None:
        """Partitions were lost."""
        self._moved("lost", partitions)

    def _moved(self, event: str, partitions: Iterable[Any], **fields: Any) -> None:
        places = sorted([each.topic, each.partition] for each in partitions)
        self.note(event, group=self.settings.group, partitions=places, **fields)

    def consumed(
        self, records: dict[int, list[tuple[int, bytes]]], **fields: str
    ) -> dict[int, int]:
        """Records of partitions were handed out; the offsets that are to be committed."""
        for partition, some in records.items():
            self.note(
                "consumed",
                topic=self.settings.topic,
                partition=partition,
                records=[[offset, value.decode()] for offset, value in some],
                group=self.settings.group,
                isolation=self.settings.isolation,
                **fields,
            )
        return {partition: some[-1][0] + 1 for partition, some in records.items()}

    def committed(self, begun: int, offsets: dict[int, int], **fields: str) -> None:
        """A commit was acknowledged."""
        told = [[self.settings.topic, partition, offset] for partition, offset in offsets.items()]
        self.note("committed", group=self.settings.group, begun=begun, offsets=told, **fields)
