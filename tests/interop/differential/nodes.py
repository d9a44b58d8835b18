"""The two nodes: each with the same server.properties but for ports and directories."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.differential.duel import Duel
from tests.interop.kafka import BarnabasProcess
from tests.interop.swap import STATIC, SwapKafka

SETTINGS = {
    "log.initial.task.delay.ms": "3600000",
    "group.initial.rebalance.delay.ms": "0",
    "group.consumer.assignment.interval.ms": "0",
    "offsets.topic.num.partitions": "2",
    "transaction.state.log.num.partitions": "2",
}
"""Small internal topics; nothing that a timer does comes in between."""


class StaticKafka(SwapKafka):
    """A quorum of one, named in server.properties."""

    quorum = STATIC


class Ours(BarnabasProcess):
    """Our node with the properties that Kafka has, but its own ports and directory."""

    def __init__(self, directory: Path, other: StaticKafka) -> None:
        super().__init__(directory)
        self._other = other

    def command(self) -> list[str]:
        """`barnabas start --config`."""
        path = self.directory / "server.properties"
        text = self._other.properties_path.read_text()
        for theirs, own in (
            (str(self._other.data), str(self.data)),
            (f":{self._other.port}", f":{self.port}"),
            (f":{self._other.controller_port}", f":{self.port + 1}"),
        ):
            text = text.replace(theirs, own)
        path.write_text(text)
        return [
            str(Path(sys.executable).with_name("barnabas")), "start", "--config", str(path),
        ]  # fmt: skip


@contextmanager
def both(directory: Path) -> Iterator[Duel]:
    """Both nodes running."""
    kafka = StaticKafka(directory / "kafka", SETTINGS)
    with kafka, Ours(directory / "ours", kafka) as ours:
        duel = Duel(kafka, ours)
        try:
            yield duel
        finally:
            duel.close()
