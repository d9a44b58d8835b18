"""The runtime of coordinators, with a shard that keeps one number for each name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from barnabas.coordinator.effects import Effects, Now, Origin, Ticket, TimerKey
from barnabas.coordinator.framing import AnyRecord
from barnabas.groups.record_types import GROUP_RECORDS
from barnabas.groups.records.offset_commit_key import OffsetCommitKey
from barnabas.groups.records.offset_commit_value import OffsetCommitValue
from barnabas.server.coordinators.internal_topics import CONSUMER_OFFSETS, ensure_topic
from barnabas.server.coordinators.runtime import CoordinatorRuntime, Settings
from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest, DeleteTopicState
from barnabas.wire.messages.delete_topics_response import DeleteTopicsResponse
from tests.unit.server.calm import Session, calm


class Paper:
    """A ticket that remembers what it was told."""

    def __init__(self) -> None:
        self.answers: list[Message] = []
        self.errors: list[ErrorCode] = []

    def answer(self, response: Message) -> None:
        """Remember it."""
        self.answers.append(response)

    def fail(self, error: ErrorCode) -> None:
        """Remember it."""
        self.errors.append(error)

    @property
    def done(self) -> bool:
        """Whether it was told anything."""
        return bool(self.answers or self.errors)


class Numbers:
    """The shard."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.markers: list[tuple[int, bool]] = []
        self.waiting: list[Ticket] = []
        self.rung: list[TimerKey] = []
        self.replayed = 0

    def put(self, name: str, number: int, ticket: Ticket, padding: str = "") -> Effects:
        """Decide that `name` has a number."""
        effects = Effects()
        effects.write(
            OffsetCommitKey("g", name, 0), OffsetCommitValue(offset=number, metadata=padding), 3
        )
        return effects.reply(ticket, OffsetCommitValue(offset=number))

    def get(self, name: str, ticket: Ticket) -> Effects:
        """The number of `name`."""
        return Effects().reply(ticket, OffsetCommitValue(offset=self.numbers.get(name, -1)))

    def replay(self, record: AnyRecord, origin: Origin) -> None:
        """Take it over."""
        del origin
        self.replayed += 1
        key, value = record.key, record.value
        assert isinstance(key, OffsetCommitKey)
        if value is None:
            self.numbers.pop(key.topic, None)
        else:
            assert isinstance(value, OffsetCommitValue)
            self.numbers[key.topic] = value.offset

    def replay_marker(self, producer_id: int, producer_epoch: int, *, commit: bool) -> None:
        """Remember it."""
        del producer_epoch
        self.markers.append((producer_id, commit))

    def activate(self, now: Now) -> Effects:
        """Begin a timer."""
        effects = Effects()
        effects.set_timer("bell", now.monotonic + 50)
        return effects

    def timer(self, key: TimerKey, now: Now) -> Effects:
        """Remember it."""
        del now
        self.rung.append(key)
        return Effects()

    def unload(self) -> list[Ticket]:
        """Whoever waits."""
        return self.waiting


class Desk:
    """A runtime on the node of a session, and papers that wait for it."""

    def __init__(self, s: Session) -> None:
        assert s.node.node is not None
        self.s = s
        self.broker = s.node.node.broker
        settings = Settings(partitions=lambda: 2, codec=0, write_timeout_ms=5_000)
        self.runtime: CoordinatorRuntime[Numbers] = CoordinatorRuntime(
            self.broker,
            CONSUMER_OFFSETS,
            GROUP_RECORDS,
            lambda _: Numbers(),
            settings,
            lambda number, order: self.orders.append((number, order)),
        )
        self.orders: list[tuple[int, object]] = []

    async def told(self, paper: Paper) -> Paper:
        """Wait until it is told something."""
        for _ in range(10_000):
            if paper.done:
                return paper
            await self.s.sleep(1)
        raise AssertionError("nobody answers")

    def put(self, name: str, number: int, padding: str = "", order: str | None = None) -> Paper:
        """Ask for it."""
        paper = Paper()

        def decide(shard: Numbers, _: Now) -> Effects:
            effects = shard.put(name, number, paper, padding)
            return effects if order is None else effects.order(order)

        self.runtime.run(name, decide, paper)
        return paper

    def run(self, name: str, decide: Callable[[Numbers, Now], Effects]) -> Paper:
        """Any decision."""
        paper = Paper()
        self.runtime.run(name, decide, paper)
        return paper

    def get(self, name: str) -> Paper:
        """Ask for it."""
        paper = Paper()
        self.runtime.run(name, lambda shard, _: shard.get(name, paper), paper)
        return paper

    async def number(self, name: str) -> int:
        """What the shard answers."""
        (value,) = (await self.told(self.get(name))).answers
        assert isinstance(value, OffsetCommitValue)
        return value.offset


OVERRIDES = {"offsets.topic.num.partitions": "2"}


def at_desk(scenario: Callable[[Desk], Awaitable[None]]) -> None:
    """Run `scenario` on a node that has the internal topic."""

    async def run(s: Session) -> None:
        desk = Desk(s)
        await ensure_topic(desk.broker, CONSUMER_OFFSETS)
        await scenario(desk)
        if s.node.node is not None and s.node.node.broker is desk.broker:
            desk.runtime.stop()

    calm(run, OVERRIDES)


def test_without_the_topic_nobody_is_responsible() -> None:
    async def scenario(s: Session) -> None:
        desk = Desk(s)
        assert desk.get("a").errors == [ErrorCode.NOT_COORDINATOR]
        desk.runtime.stop()

    calm(scenario, OVERRIDES)


def test_the_reply_waits_for_the_high_watermark() -> None:
    async def scenario(desk: Desk) -> None:
        assert await desk.number("a") == -1
        paper, look = desk.put("a", 7), desk.get("a")
        # Not the look either: it shows nothing that may still be lost.
        assert [each.done for each in (paper, look)] == [False, False]
        number = desk.runtime.partition_of("a")
        await desk.told(paper)
        assert look.done
        hosted = desk.s.hosted(CONSUMER_OFFSETS, number)
        assert hosted.replica.high_watermark == hosted.log.end_offset == 1

    at_desk(scenario)


def test_what_was_answered_is_there_after_a_power_cut() -> None:
    async def scenario(desk: Desk) -> None:
        # Several slices of the load.
        for paper in [desk.put(f"n{number % 7}", number) for number in range(1200)]:
            assert not (await desk.told(paper)).errors
        await desk.s.restart("power")
        again = Desk(desk.s)
        assert [await again.number(f"n{n}") for n in range(7)] == [
            max(k for k in range(1200) if k % 7 == n) for n in range(7)
        ]
        again.runtime.stop()

    at_desk(scenario)


def test_orders_wait_for_what_was_appended() -> None:
    async def scenario(desk: Desk) -> None:
        assert await desk.number("a") == -1
        paper = desk.put("a", 7, order="do it")
        desk.run("a", lambda *_: Effects().order("look"))
        assert desk.orders == []
        number = desk.runtime.partition_of("a")
        await desk.told(paper)
        # In their order, and also what needs no record of its own.
        assert desk.orders == [(number, "do it"), (number, "look")]

    at_desk(scenario)


def test_orders_survive_a_time_out() -> None:
    async def scenario(desk: Desk) -> None:
        assert await desk.number("a") == -1
        paper = desk.put("a", 7, order="do it")
        desk.runtime.expire(desk.runtime.now().monotonic + 60_000)
        assert paper.errors == [ErrorCode.COORDINATOR_NOT_AVAILABLE]
        assert desk.orders == []
        await desk.s.sleep(1_000)
        assert desk.orders == [(desk.runtime.partition_of("a"), "do it")]

    at_desk(scenario)


def test_timers_run_out_on_their_shard() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.number("a")
        await desk.s.sleep(200)
        shard = desk.runtime.shard(desk.runtime.partition_of("a"))
        assert shard is not None
        assert shard.rung == ["bell"]

    at_desk(scenario)


def test_a_record_that_is_too_large_is_refused_and_changes_nothing() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.number("a")
        assert desk.put("a", 1, "x" * 32_000).errors == []
        huge = Paper()

        def decide(shard: Numbers, now: Now) -> Effects:
            del now
            effects = Effects()
            for n in range(40):
                effects.merge(shard.put(f"b{n}", n, huge, "x" * 32_000))
            return effects

        desk.runtime.run("a", decide, huge)
        assert set(huge.errors) == {ErrorCode.UNKNOWN_SERVER_ERROR}
        assert await desk.number("b0") == -1

    at_desk(scenario)


def many(paper: Paper, padding: int) -> Callable[[Numbers, Now], Effects]:
    """Forty records that may be written as several batches."""

    def decide(shard: Numbers, now: Now) -> Effects:
        del now
        effects = shard.put("b0", 0, paper, "x" * padding)
        for n in range(1, 40):
            effects.records += shard.put(f"b{n}", n, paper, "x" * padding).records
        effects.divisible = True
        return effects

    return decide


def test_what_is_divisible_becomes_as_many_batches_as_it_takes() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.number("a")
        paper = Paper()
        desk.runtime.run("a", many(paper, 32_000), paper)
        assert (await desk.told(paper)).errors == []
        shard = desk.runtime.shard(desk.runtime.partition_of("a"))
        assert shard is not None
        assert shard.numbers == {f"b{n}": n for n in range(40)}
        await desk.s.restart("power")
        again = Desk(desk.s)
        again.runtime.run_on(desk.runtime.partition_of("a"), lambda *_: Effects(), Paper())
        await again.s.sleep(1_000)
        loaded = again.runtime.shard(desk.runtime.partition_of("a"))
        assert loaded is not None
        assert loaded.numbers == shard.numbers
        again.runtime.stop()

    at_desk(scenario)


def test_a_divisible_record_that_is_too_large_alone_gets_in() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.number("a")
        hosted = desk.s.hosted(CONSUMER_OFFSETS, desk.runtime.partition_of("a"))
        hosted.update_config(replace(hosted.config, max_message_bytes=100))
        paper = Paper()
        desk.runtime.run("a", many(paper, 200), paper)
        assert (await desk.told(paper)).errors == []
        assert hosted.log.end_offset == 40

    at_desk(scenario)


def test_a_topic_that_is_deleted_takes_its_coordinators_along() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.number("a")
        number = desk.runtime.partition_of("a")
        shard = desk.runtime.shard(number)
        assert shard is not None
        waiting = Paper()
        shard.waiting.append(waiting)
        request = DeleteTopicsRequest([DeleteTopicState(CONSUMER_OFFSETS)], timeout_ms=5000)
        answer = await desk.s.ask(request, DeleteTopicsResponse)
        assert answer.responses[0].error_code == ErrorCode.NONE
        assert waiting.errors == [ErrorCode.NOT_COORDINATOR]
        assert desk.runtime.loaded() == []
        assert desk.get("a").errors == [ErrorCode.NOT_COORDINATOR]

    at_desk(scenario)


def test_stop_sends_everybody_away() -> None:
    async def scenario(desk: Desk) -> None:
        loading = desk.get("a")
        desk.runtime.stop()
        assert loading.errors == [ErrorCode.NOT_COORDINATOR]
        assert desk.get("a").errors == [ErrorCode.COORDINATOR_NOT_AVAILABLE]

    at_desk(scenario)


def test_used_partitions_are_loaded_at_the_start() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.told(desk.put("a", 5))
        await desk.s.restart("kill")
        again = Desk(desk.s)
        again.runtime.load_all()
        assert again.runtime.loaded() == []
        while again.runtime.loading:
            await again.s.sleep(1)
        assert again.runtime.loaded() == [again.runtime.partition_of("a")]
        assert await again.number("a") == 5
        again.runtime.stop()

    at_desk(scenario)
