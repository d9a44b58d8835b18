"""What the metadata log keeps, and when it writes snapshots."""

from __future__ import annotations

import pytest

from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from barnabas.wire.messages.incremental_alter_configs_response import (
    IncrementalAlterConfigsResponse,
)
from tests.sim.node_host import DATA
from tests.unit.server.calm import Session, calm

CLIENT_METRICS = 16
DAY_MS = 86_400_000
IDLE = {
    "connections.max.idle.ms": "-1",
    "replica.high.watermark.checkpoint.interval.ms": str(DAY_MS),
}


def files(s: Session, suffix: str) -> list[str]:
    """Names of the metadata log's files."""
    names = s.node.host.disk.list_dir(f"{DATA}/__cluster_metadata-0")
    return [name for name in names if name.endswith(suffix)]


async def write(s: Session, nbytes: int) -> None:
    """Let the metadata log grow by so many bytes, in records of up to 30 KB."""
    for number in range(max(1, nbytes // 30_000)):
        # Never the same twice: what does not change is not written.
        text = f"{s.now}-{number}".ljust(min(nbytes, 30_000), "m")
        subscription = AlterConfigsResource(
            CLIENT_METRICS, "s", [AlterableConfig("metrics", 0, text)]
        )
        request = IncrementalAlterConfigsRequest([subscription])
        answer = await s.ask(request, IncrementalAlterConfigsResponse)
        assert answer.responses[0].error_code == 0, answer.responses[0].error_message


@pytest.mark.effect_of("metadata.log.segment.bytes", "internal.metadata.log.segment.bytes")
@pytest.mark.parametrize(
    ("changes", "rolled"),
    [
        ({}, False),
        ({"metadata.log.segment.bytes": str(8 << 20)}, True),
        ({"internal.metadata.log.segment.bytes": "1000000"}, True),
    ],
)
def test_size_of_segments(changes: dict[str, str], rolled: bool) -> None:
    async def scenario(s: Session) -> None:
        await write(s, 9 << 20)
        assert (len(files(s, ".log")) > 1) == rolled

    calm(scenario, changes)


@pytest.mark.effect_of("metadata.log.segment.ms")
def test_age_of_segments() -> None:
    async def scenario(s: Session) -> None:
        for _ in range(3):
            await write(s, 10)
            await s.sleep(10_000)
        assert len(files(s, ".log")) == 3

    calm(scenario, {"metadata.log.segment.ms": "9000"})


@pytest.mark.effect_of("metadata.log.max.record.bytes.between.snapshots")
def test_snapshots_by_size() -> None:
    async def scenario(s: Session) -> None:
        assert files(s, ".checkpoint") == []
        await write(s, 60_000)
        await s.sleep(1000)
        assert files(s, ".checkpoint") == []
        await write(s, 60_000)
        await s.sleep(1000)
        assert len(files(s, ".checkpoint")) == 1

    calm(scenario, {"metadata.log.max.record.bytes.between.snapshots": "100000"})


@pytest.mark.effect_of("metadata.log.max.snapshot.interval.ms")
def test_snapshots_by_time() -> None:
    async def scenario(s: Session) -> None:
        await s.sleep(9_000)
        assert files(s, ".checkpoint") == []
        await s.sleep(2_000)
        await write(s, 10)
        assert len(files(s, ".checkpoint")) == 1

    calm(scenario, {"metadata.log.max.snapshot.interval.ms": "10000"})


@pytest.mark.effect_of("metadata.max.retention.bytes", "metadata.max.retention.ms")
@pytest.mark.parametrize(
    ("changes", "thrown_away"),
    [
        ({}, False),
        ({"metadata.max.retention.bytes": "300000"}, True),
        ({"metadata.max.retention.ms": "5000"}, True),
    ],
)
def test_what_is_kept(changes: dict[str, str], thrown_away: bool) -> None:
    async def scenario(s: Session) -> None:
        for _ in range(6):
            await write(s, 60_000)
            await s.sleep(2000)
        gone = f"{0:020d}.log" not in files(s, ".log")
        assert gone == thrown_away
        assert (len(files(s, ".checkpoint")) < 6) == thrown_away

    often = {
        "metadata.log.max.record.bytes.between.snapshots": "50000",
        "internal.metadata.log.segment.bytes": "50000",
    }
    calm(scenario, {**often, **changes})
