"""A log with something in it, for tests of what becomes of it."""

from __future__ import annotations

from barnabas.config.log_config import LogConfig
from barnabas.log.log import Log
from barnabas.testing.sim import SimDisk
from tests.unit.log.world import World, append, batch

PATH = "/logs/t-0"
NOW = 1_700_000_000_000
SIZE = len(batch(0, [b"v" * 100]))


def ignore(*_: object) -> None:
    """Whatever comes back."""


def world(batches: int = 6, **config: object) -> tuple[World, Log]:
    """A log of segments with two batches each, one record a batch."""
    settings: dict[str, object] = {"segment_bytes": 2 * SIZE, "retention_ms": -1} | config
    w = World(SimDisk(), LogConfig(**settings), now=NOW)  # type: ignore[arg-type]
    log = w.open()
    for at in range(batches):
        append(log, [b"v" * 100], timestamp=NOW + at, epoch=at)
    w.settle()
    log.high_watermark = log.end_offset
    return w, log
