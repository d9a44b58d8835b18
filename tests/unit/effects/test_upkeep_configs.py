"""When a node looks after its logs: retention runs, checkpoints, producers that are forgotten."""

from __future__ import annotations

import pytest

from barnabas.log import names
from barnabas.log.retention import raise_log_start
from barnabas.wire.errors import ErrorCode
from tests.sim.node_host import DATA
from tests.unit.effects.levels import alter_node
from tests.unit.server.calm import Session, calm

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
# So that hours of virtual time hold few events.
SELDOM = {
    "log.retention.check.interval.ms": "60000",
    "log.initial.task.delay.ms": "60000",
    "log.flush.offset.checkpoint.interval.ms": "3600000",
    "log.flush.start.offset.checkpoint.interval.ms": "3600000",
    "replica.high.watermark.checkpoint.interval.ms": "3600000",
    "connections.max.idle.ms": "-1",
}


async def log_start(s: Session) -> int:
    """Offset of the first event that is still there."""
    return s.hosted("t").log.log_start_offset


def noted(s: Session, file_name: str) -> int:
    """What a checkpoint file of the data directory says of t-0; -1 when it says nothing."""
    disk = s.node.host.disk
    if not disk.exists(f"{DATA}/{file_name}"):
        return -1
    file = disk.open(f"{DATA}/{file_name}")
    try:
        lines = file.pread(file.size(), 0).decode().splitlines()
    finally:
        file.close()
    return next((int(line.split()[2]) for line in lines if line.startswith("t 0 ")), -1)


@pytest.mark.effect_of("log.retention.minutes", "log.retention.hours")
@pytest.mark.parametrize(
    ("changes", "lasts_ms"),
    [
        ({"log.retention.minutes": "30"}, 30 * MINUTE_MS),
        ({"log.retention.hours": "1"}, HOUR_MS),
        ({"log.retention.hours": "1", "log.retention.minutes": "30"}, 30 * MINUTE_MS),
        ({"log.retention.minutes": "30", "log.retention.ms": "600000"}, 10 * MINUTE_MS),
    ],
)
def test_coarse_retention(changes: dict[str, str], lasts_ms: int) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await s.produce("t", s.batch(b"a"))
        await s.sleep(lasts_ms - MINUTE_MS)
        assert await log_start(s) == 0
        await s.sleep(3 * MINUTE_MS)
        assert await log_start(s) == 1

    calm(scenario, {**SELDOM, **changes})


@pytest.mark.effect_of("log.roll.hours", "log.roll.jitter.hours")
@pytest.mark.parametrize(
    ("changes", "rolls"),
    [
        ({}, range(1)),
        ({"log.roll.hours": "2"}, range(4, 5)),
        ({"log.roll.hours": "2", "log.roll.jitter.hours": "1"}, range(5, 10)),
        ({"log.roll.hours": "2", "log.roll.ms": "3600000"}, range(9, 10)),
    ],
)
def test_coarse_rolls(changes: dict[str, str], rolls: range) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        for _ in range(60):
            await s.produce("t", s.batch(b"a"))
            await s.sleep(10 * MINUTE_MS)
        assert len(s.hosted("t").log.segments) - 1 in rolls

    calm(scenario, {**SELDOM, "log.retention.ms": "-1", **changes})


@pytest.mark.effect_of("log.initial.task.delay.ms", "log.retention.check.interval.ms")
def test_when_retention_runs() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await s.produce("t", s.batch(b"a"))
        await s.sleep(8 * SECOND_MS)
        assert await log_start(s) == 0
        await s.sleep(4 * SECOND_MS)  # the first run, after 10 s
        assert await log_start(s) == 1
        await s.produce("t", s.batch(b"b"))
        await s.sleep(50 * SECOND_MS)
        assert await log_start(s) == 1
        await s.sleep(20 * SECOND_MS)  # the second, a minute later
        assert await log_start(s) == 2

    own = {"log.initial.task.delay.ms": "10000", "log.retention.check.interval.ms": "60000"}
    calm(scenario, {**SELDOM, **own, "log.retention.ms": "1"})


@pytest.mark.effect_of(
    "log.flush.offset.checkpoint.interval.ms",
    "log.flush.start.offset.checkpoint.interval.ms",
    "replica.high.watermark.checkpoint.interval.ms",
)
@pytest.mark.parametrize(
    ("config", "file_name", "value"),
    [
        ("log.flush.offset.checkpoint.interval.ms", names.RECOVERY_POINTS, 2),
        ("log.flush.start.offset.checkpoint.interval.ms", names.LOG_STARTS, 1),
        ("replica.high.watermark.checkpoint.interval.ms", names.HIGH_WATERMARKS, 2),
    ],
)
def test_when_checkpoints_are_written(config: str, file_name: str, value: int) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        for event in (b"a", b"b"):
            await s.produce("t", s.batch(event))
        raise_log_start(s.hosted("t").log, 1)
        await s.sleep(8 * SECOND_MS)
        assert noted(s, file_name) == -1
        await s.sleep(4 * SECOND_MS)
        assert noted(s, file_name) == value

    calm(scenario, {**SELDOM, config: "10000"})


async def is_known(s: Session, identity: dict[str, int]) -> bool:
    """Whether the node remembers a producer: it answers a repeated batch without a second append."""
    before = s.hosted("t").log.end_offset
    again = await s.produce("t", s.batch(b"a", base_sequence=0, **identity))
    assert again.error_code == ErrorCode.NONE
    return s.hosted("t").log.end_offset == before


@pytest.mark.effect_of(
    "producer.id.expiration.ms",
    "producer.id.expiration.check.interval.ms",
    "runtime:producer.id.expiration.ms",
)
@pytest.mark.parametrize("level", ["default", "file", "runtime"])
def test_when_producers_are_forgotten(level: str) -> None:
    expiration = {"producer.id.expiration.ms": "10000"}

    async def scenario(s: Session) -> None:
        await s.create("t")
        if level == "runtime":
            await alter_node(s, expiration)
        one, other = await s.identity(), await s.identity()
        for identity in (one, other):
            await s.produce("t", s.batch(b"a", base_sequence=0, **identity))
        await s.sleep(15 * SECOND_MS)  # expired, but nobody has looked yet
        assert await is_known(s, one)
        await s.sleep(35 * SECOND_MS)
        assert await is_known(s, other) == (level == "default")

    check = {"producer.id.expiration.check.interval.ms": "20000"}
    calm(scenario, {**SELDOM, **check, **(expiration if level == "file" else {})})
