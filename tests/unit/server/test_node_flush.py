"""When data is synced in page-cache mode: flush.messages, flush.ms and their names for the node."""

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
from tests.unit.server.calm import Session, calm

PAGE_CACHE = {"barnabas.ack.mode": "page-cache"}


async def write(s: Session, count: int = 1) -> None:
    """Acknowledged batches of one record."""
    for _ in range(count):
        assert (await s.produce("t", s.batch(b"x"))).error_code == 0


async def durable(s: Session, after_ms: int = 10) -> int:
    """How many records are synced after a while."""
    await s.sleep(after_ms)
    return s.hosted("t").log.durable_offset


async def by_count(s: Session) -> None:
    """Every third record makes three durable, whatever the time."""
    await write(s, 2)
    assert await durable(s, 50_000) == 0
    await write(s)
    assert await durable(s) == 3
    await write(s, 2)
    assert await durable(s) == 3
    await s.restart("power")
    assert len(await s.values("t")) >= 3


async def by_time(s: Session) -> None:
    """Five seconds after the first record that is not durable."""
    await write(s)
    assert await durable(s, 3000) == 0
    await write(s)
    assert await durable(s, 2100) == 2
    await write(s)
    await s.restart("power")
    assert len(await s.values("t")) >= 2


@pytest.mark.effect_of("topic:flush.messages")
def test_a_topic_syncs_by_count() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", flush_messages="3")
        await by_count(s)

    calm(scenario, PAGE_CACHE)


@pytest.mark.effect_of("topic:flush.messages")
def test_a_topic_that_syncs_each_record_answers_after_the_sync() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", flush_messages="1")
        s.node.host.disk.faults.stall_us = 1_000_000
        for count, acks in enumerate((1, -1), 1):
            await s.produce("t", s.batch(b"x"), acks=acks)
            assert s.hosted("t").log.durable_offset == count
        s.node.host.disk.faults.stall_us = 0

    calm(scenario, PAGE_CACHE)


@pytest.mark.effect_of("topic:flush.ms")
def test_a_topic_syncs_by_time() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", flush_ms="5000")
        await by_time(s)

    calm(scenario, PAGE_CACHE)


@pytest.mark.effect_of("log.flush.interval.messages")
def test_a_node_syncs_by_count() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await by_count(s)

    calm(scenario, {**PAGE_CACHE, "log.flush.interval.messages": "3"})


@pytest.mark.effect_of("log.flush.interval.ms", "log.flush.scheduler.interval.ms")
@pytest.mark.parametrize(
    "overrides",
    [
        {"log.flush.interval.ms": "5000"},
        {"log.flush.scheduler.interval.ms": "5000"},
        {"log.flush.interval.ms": "5000", "log.flush.scheduler.interval.ms": "1"},
    ],
    ids=["interval", "scheduler", "interval first"],
)
def test_a_node_syncs_by_time(overrides: dict[str, str]) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await by_time(s)

    calm(scenario, PAGE_CACHE | overrides)


@pytest.mark.effect_of("runtime:log.flush.interval.messages", "runtime:log.flush.interval.ms")
@pytest.mark.parametrize(
    ("name", "value", "soon"),
    [("log.flush.interval.messages", "3", 3), ("log.flush.interval.ms", "5000", 0)],
)
def test_a_running_node_learns_when_to_sync(name: str, value: str, soon: int) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await write(s)
        assert await durable(s, 50_000) == 0
        change = AlterConfigsResource(4, "1", [AlterableConfig(name, 0, value)])
        request = IncrementalAlterConfigsRequest([change])
        answer = await s.ask(request, IncrementalAlterConfigsResponse)
        assert answer.responses[0].error_code == 0
        await write(s, 2)
        assert await durable(s, 4000) == soon
        assert await durable(s, 2000) == 3

    calm(scenario, PAGE_CACHE)


@pytest.mark.parametrize("kind", ["kill", "stop"])
def test_without_them_nothing_is_synced_and_nothing_is_lost_but_with_the_power(kind: str) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await write(s, 5)
        assert await durable(s, 300_000) == 0
        await s.restart(kind)
        assert len(await s.values("t")) == 5

    calm(scenario, PAGE_CACHE)
