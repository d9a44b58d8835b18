"""Configs of compaction, seen on the topic, in the node's file, and changed while the node runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from barnabas.records.builder import build_batch
from barnabas.testing.sim.host import SimExecutor
from barnabas.wire.errors import ErrorCode
from tests.unit.effects.levels import alter_node, seen_at_every_level
from tests.unit.server.calm import Session, calm, records

SOON = {"log.cleaner.backoff.ms": "500"}
SMALL = {"internal.segment.bytes": "200", "cleanup.policy": "compact"}
AT_ONCE = {**SMALL, "min.cleanable.dirty.ratio": "0"}
NEVER = {**SMALL, "min.cleanable.dirty.ratio": "1"}

Seen = TypeVar("Seen")


async def send(s: Session, *keys: bytes, topic: str = "t", value: bytes | None = b"v" * 20) -> None:
    """A batch for each key."""
    for key in keys:
        data = bytes(build_batch([(key, value, s.now, ())]))
        answer = await s.produce(topic, data)
        assert answer.error_code == ErrorCode.NONE


async def keys(s: Session, topic: str = "t") -> list[bytes | None]:
    """Keys of all that is there."""
    found: list[bytes | None] = []
    offset = 0
    while batch := records((await s.fetch(topic, offset)).records):
        found += [record.key for record in batch]
        offset = batch[-1].offset + 1
    return found


async def kept(s: Session) -> int:
    """How many of ten records of one key are there after a while."""
    await send(s, *[b"k"] * 10)
    await s.sleep(3000)
    return len([key for key in await keys(s) if key == b"k"])


@pytest.mark.effect_of(
    "log.cleanup.policy", "topic:cleanup.policy", "runtime:log.cleanup.policy"
)  # fmt: skip
def test_cleanup_policy() -> None:
    rest = {name: value for name, value in AT_ONCE.items() if name != "cleanup.policy"}

    async def all_kept(s: Session) -> bool:
        return await kept(s) == 10

    seen = seen_at_every_level(
        all_kept, "cleanup.policy", "log.cleanup.policy", "compact", node=SOON, topic=rest
    )
    assert seen == (True, False)


@pytest.mark.effect_of(
    "log.cleaner.min.cleanable.ratio",
    "topic:min.cleanable.dirty.ratio",
    "runtime:log.cleaner.min.cleanable.ratio",
)
def test_share_that_has_to_be_dirty() -> None:
    async def cleaned_a_little(s: Session) -> bool:
        await send(s, *(b"%d" % at for at in range(30)))
        await s.sleep(2000)
        await send(s, *[b"k"] * 8)
        await s.sleep(2000)
        return (await keys(s)).count(b"k") < 8

    seen = seen_at_every_level(
        cleaned_a_little,
        "min.cleanable.dirty.ratio",
        "log.cleaner.min.cleanable.ratio",
        "0.05",
        node=SOON,
        topic=SMALL,
    )
    assert seen == (False, True)


@pytest.mark.effect_of(
    "log.cleaner.min.compaction.lag.ms",
    "topic:min.compaction.lag.ms",
    "runtime:log.cleaner.min.compaction.lag.ms",
)
def test_time_to_be_left_alone() -> None:
    async def before_and_after(s: Session) -> tuple[bool, bool]:
        young = await kept(s) == 10
        await s.sleep(60_000)
        return young, (await keys(s)).count(b"k") == 10

    name = "min.compaction.lag.ms"
    default, changed = seen_at_every_level(
        before_and_after, name, f"log.cleaner.{name}", "60000", node=SOON, topic=AT_ONCE
    )
    assert default == (False, False)
    assert changed == (True, False)


@pytest.mark.effect_of(
    "log.cleaner.max.compaction.lag.ms",
    "topic:max.compaction.lag.ms",
    "runtime:log.cleaner.max.compaction.lag.ms",
)
def test_time_after_which_it_is_due() -> None:
    async def cleaned_at_last(s: Session) -> tuple[bool, bool]:
        early = await kept(s) < 10
        await s.sleep(60_000)
        return early, (await keys(s)).count(b"k") < 10

    name = "max.compaction.lag.ms"
    default, changed = seen_at_every_level(
        cleaned_at_last, name, f"log.cleaner.{name}", "60000", node=SOON, topic=NEVER
    )
    assert default == (False, False)
    assert changed == (False, True)


@pytest.mark.effect_of(
    "log.cleaner.delete.retention.ms",
    "topic:delete.retention.ms",
    "runtime:log.cleaner.delete.retention.ms",
)
def test_how_long_a_tombstone_stays() -> None:
    async def gone(s: Session) -> bool:
        await send(s, b"gone", value=None)
        for _ in range(2):
            await send(s, b"a", b"b", b"c", b"d")
            await s.sleep(2000)
        return b"gone" not in await keys(s)

    seen = seen_at_every_level(
        gone,
        "delete.retention.ms",
        "log.cleaner.delete.retention.ms",
        "1000",
        node=SOON,
        topic=AT_ONCE,
    )
    assert seen == (False, True)


# -- what the node alone is told ----------------------------------------------------------------


class Watch:
    """The cleanings that an executor is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plans: list[Any] = []
        self.rates: list[float] = []
        self.running = self.most = 0
        whole = SimExecutor.stream

        def stream(executor: SimExecutor, job: Any, item: Any, done: Any, **options: Any) -> Any:
            self.plans.append(job.args[0])
            self.rates.append(options["bytes_per_second"])
            self.running += 1
            self.most = max(self.most, self.running)

            def ended(error: BaseException | None) -> None:
                self.running -= 1
                done(error)

            return whole(executor, job, item, ended, **options)

        monkeypatch.setattr(SimExecutor, "stream", stream)


def seen_in_file_and_at_run_time(
    monkeypatch: pytest.MonkeyPatch,
    observe: Callable[[Session, Watch], Awaitable[Seen]],
    name: str,
    value: str,
    *,
    runtime: bool = True,
    node: dict[str, str] | None = None,
) -> tuple[Seen, Seen]:
    """What is seen with the default, and with the value, wherever it is set."""
    found: dict[str, Seen] = {}
    for level in ("default", "file", *(["runtime"] if runtime else [])):
        with monkeypatch.context() as patched:
            watch = Watch(patched)

            async def scenario(s: Session, level: str = level, watch: Watch = watch) -> None:
                configs = {name.replace(".", "_"): text for name, text in AT_ONCE.items()}
                for topic in ("t", "u"):
                    await s.create(topic, 1, **configs)
                if level == "runtime":
                    await alter_node(s, {name: value})
                found[level] = await observe(s, watch)

            calm(scenario, {**SOON, **(node or {}), **({name: value} if level == "file" else {})})
    assert not runtime or found["file"] == found["runtime"]
    return found["default"], found["file"]


@pytest.mark.effect_of("log.cleaner.enable")
def test_no_cleaner(monkeypatch: pytest.MonkeyPatch) -> None:
    async def left(s: Session, _: Watch) -> bool:
        return await kept(s) == 10

    name = "log.cleaner.enable"
    seen = seen_in_file_and_at_run_time(monkeypatch, left, name, "false", runtime=False)
    assert seen == (False, True)


@pytest.mark.effect_of("log.cleaner.backoff.ms", "runtime:log.cleaner.backoff.ms")
def test_time_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def left(s: Session, _: Watch) -> tuple[bool, bool]:
        soon = await kept(s) == 10
        await s.sleep(9000)
        return soon, (await keys(s)).count(b"k") == 10

    seen = seen_in_file_and_at_run_time(monkeypatch, left, "log.cleaner.backoff.ms", "9000")
    assert seen == ((False, False), (True, False))


@pytest.mark.effect_of("log.cleaner.threads", "runtime:log.cleaner.threads")
def test_logs_that_are_cleaned_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(s: Session, watch: Watch) -> tuple[int, int]:
        for _ in range(5):
            await send(s, b"k", b"k")
            await send(s, b"k", b"k", topic="u")
        await s.sleep(3000)
        return watch.most, 128 * 2**20 // watch.plans[0].map_bytes

    # The pause is long enough for both to be dirty when it ends.
    seen = seen_in_file_and_at_run_time(
        monkeypatch, at_once, "log.cleaner.threads", "2", node={"log.cleaner.backoff.ms": "2500"}
    )
    assert seen == ((1, 1), (2, 2))


async def passes(s: Session, watch: Watch) -> int:
    """How many cleanings thirty keys take."""
    await send(s, *(b"%d" % at for at in range(30)), b"last")
    await s.sleep(5000)
    return len(watch.plans)


@pytest.mark.effect_of(
    "log.cleaner.dedupe.buffer.size",
    "runtime:log.cleaner.dedupe.buffer.size",
    "log.cleaner.io.buffer.load.factor",
    "runtime:log.cleaner.io.buffer.load.factor",
)
@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        (
            "log.cleaner.dedupe.buffer.size",
            "1048577",
            {"log.cleaner.io.buffer.load.factor": "0.0001"},
        ),
        ("log.cleaner.io.buffer.load.factor", "0.000001", {}),
    ],
)
def test_room_for_keys(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, other: dict[str, str]
) -> None:
    other = {**other, "log.cleaner.backoff.ms": "2500"}
    default, changed = seen_in_file_and_at_run_time(monkeypatch, passes, name, value, node=other)
    assert default == 1
    assert changed > 3


@pytest.mark.effect_of("log.cleaner.io.buffer.size", "runtime:log.cleaner.io.buffer.size")
def test_bytes_of_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read(s: Session, watch: Watch) -> int:
        await kept(s)
        return int(watch.plans[0].read_bytes)

    name = "log.cleaner.io.buffer.size"
    seen = seen_in_file_and_at_run_time(monkeypatch, read, name, "1048576")
    assert seen == (256 * 1024, 512 * 1024)


@pytest.mark.effect_of(
    "log.cleaner.io.max.bytes.per.second", "runtime:log.cleaner.io.max.bytes.per.second"
)
def test_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tests/unit/host/test_workers.py` sees that a worker keeps it."""

    async def allowed(s: Session, watch: Watch) -> bool:
        await kept(s)
        return watch.rates[0] == 12_345.5

    name = "log.cleaner.io.max.bytes.per.second"
    assert seen_in_file_and_at_run_time(monkeypatch, allowed, name, "12345.5") == (False, True)
