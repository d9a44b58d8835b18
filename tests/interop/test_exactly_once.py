"""Read-process-write loops of real clients, which are killed, and so is the node: exactly once."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from barnabas.testing.checkers import Event, check_events, check_transformed
from barnabas.testing.checkers.events import (
    Acked,
    Assigned,
    Consumed,
    Crashed,
    Ended,
    Isolation,
    Lost,
    Produced,
)
from tests.interop.clients.member import now
from tests.interop.conftest import WAIT_SECONDS
from tests.interop.kafka import Node, target_class
from tests.interop.members import HEARTBEAT_MS, QUICK_GROUPS, SESSION_MS, Member, keep_history
from tests.interop.programs import NAMED, Program

PARTITIONS = 4
LOOPS = 2
KEYS = 10
LOAD_SECONDS = 0.01
BETWEEN = 400
"""Outputs between one crash and the next."""
AGAIN_SECONDS = 90.0


class Pipeline:
    """A source under load, loops from it to a sink, a reader of what is committed there."""

    def __init__(self, node: Node, program: Program) -> None:
        self.node, self.program = node, program
        self.source, self.sink = f"source-{program.name}", f"sink-{program.name}"
        self.events: list[Event] = []
        self.loops: list[Member | None] = [None] * LOOPS
        self.inputs: list[list[str]] = [[] for _ in range(PARTITIONS)]
        self.outputs: list[list[str]] = [[] for _ in range(PARTITIONS)]
        self._lock = threading.Lock()
        self._names = itertools.count(1)
        self._loaded, self._over = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._load, self._read)
        ]

    def __enter__(self) -> Pipeline:
        admin = AdminClient({"bootstrap.servers": self.node.address})
        new = [NewTopic(name, PARTITIONS, 1) for name in (self.source, self.sink)]
        for made in admin.create_topics(new).values():
            made.result(WAIT_SECONDS)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loaded.set()
        self._over.set()
        for thread in self._threads:
            thread.join()
        for loop in self.loops:
            if loop is not None:
                loop.close()
        if isinstance(error, Exception):
            keep_history(error, f"loops-{self.program.name}", self.events)

    def note(self, event: Event) -> None:
        """Take an event of any thread into the history."""
        with self._lock:
            self.events.append(event)

    def keep_running(self) -> None:
        """Start the loops that do not run; one that ended did so because of an error."""
        for slot, loop in enumerate(self.loops):
            if loop is not None and loop.process.poll() is None:
                continue
            if loop is not None:
                loop.close()
                self._ended(loop)
            name = f"{self.program.name}-{next(self._names)}"
            settings = {
                "client": name,
                "group": f"loops-{self.program.name}",
                "topic": self.source,
                "sink": self.sink,
                "transactional": f"loop-{self.program.name}-{slot}",
                "assignor": "range",
                "instance": None,
                "session_ms": SESSION_MS,
                "heartbeat_ms": HEARTBEAT_MS,
                "isolation": "read_committed",
                "protocol": "classic",
            }
            command = self.program.loop(self.node, settings)
            self.loops[slot] = Member(self, name, command)

    def _ended(self, loop: Member) -> None:
        """A loop ended because of an error. It may have been put out of its group before, when the
        node was away for long; then it learnt it so."""
        given = {
            place
            for event in self.events
            if isinstance(event, Assigned) and event.client == loop.name
            for place in event.partitions
        }
        if not any(isinstance(e, Crashed) and e.client == loop.name for e in self.events):
            group = f"loops-{self.program.name}"
            self.note(Lost(loop.name, now(), group, tuple(sorted(given))))

    def kill_loop(self, slot: int) -> None:
        """`kill -9` of one loop."""
        loop = self.loops[slot]
        assert loop is not None
        loop.kill()

    def progress(self, outputs: int) -> None:
        """Wait for so many more outputs, with all loops running."""
        goal = self._written() + outputs
        self._until(lambda: self._written() >= goal)

    def finish(self) -> None:
        """End the load, wait for every output, and let the loops leave."""
        self._loaded.set()
        self._threads[0].join()
        self._until(lambda: self._written() >= sum(map(len, self.inputs)))
        for loop in self.loops:
            assert loop is not None
            loop.leave()
        self._over.set()
        self._threads[1].join()

    def check(self) -> None:
        """The output is exactly that of the input; the history has no faults."""
        outputs = [[value.split("|")[0] for value in each] for each in self.outputs]
        found = check_transformed(self.inputs, outputs, str, lambda value: value.split(":")[0])
        found += check_events(self.events)
        assert not found, "\n".join(map(str, found[:20]))

    def _written(self) -> int:
        return sum(map(len, self.outputs))

    def _until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + AGAIN_SECONDS
        while not holds():
            said = [loop.said() for loop in self.loops if loop is not None]
            written = self._written(), sum(map(len, self.inputs))
            assert time.monotonic() < deadline, f"{written}\n{said}\n{self.node.log_tail()}"
            self.keep_running()
            time.sleep(0.05)

    def _load(self) -> None:
        settings = {"bootstrap.servers": self.node.address, "enable.idempotence": True}
        producer = Producer({**settings, "log_level": 2})
        for number in itertools.count():
            key = number % KEYS
            value = f"{key}:{number}"
            self.note(Produced("load", now(), self.source, value))
            producer.produce(
                self.source, value, partition=key % PARTITIONS, on_delivery=self._delivered
            )
            producer.poll(0)
            if number % 5 == 0 and self._loaded.wait(LOAD_SECONDS):
                break
        assert producer.flush(WAIT_SECONDS) == 0

    def _delivered(self, error: object, message: Message) -> None:
        assert error is None, error
        value, partition = message.value(), message.partition()
        assert value is not None
        assert partition is not None
        self.inputs[partition].append(value.decode())
        place = partition, message.offset()
        self.note(Acked("load", now(), self.source, *place, value.decode()))

    def _read(self) -> None:
        """Reads what is committed in the sink, through all crashes."""
        reader = Consumer(
            {
                "bootstrap.servers": self.node.address,
                "group.id": "unused",
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 50,
                "log_level": 2,
            }
        )
        reader.assign([TopicPartition(self.sink, each, 0) for each in range(PARTITIONS)])
        while not self._over.is_set():
            for message in reader.consume(500, 0.1):
                if message.error() is not None:
                    continue
                value, partition, offset = message.value(), message.partition(), message.offset()
                assert value is not None
                self.outputs[partition].append(value.decode())
                records = ((offset, value.decode()),)
                committed = Isolation.COMMITTED
                self.note(Consumed("reader", now(), self.sink, partition, records, None, committed))
        reader.close()


@pytest.fixture
def durable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that can be killed and started again."""
    with target_class()(tmp_path_factory.mktemp("eos"), QUICK_GROUPS) as node:
        yield node
    assert "a bug of ours" not in node.log_text(), node.log_tail()


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", ["confluent", "franz-go", "java"])
def test_the_output_is_exactly_that_of_the_input(durable: Node, name: str, kills: int) -> None:
    with Pipeline(durable, NAMED[name]) as pipeline:
        pipeline.keep_running()
        for number in range(kills):
            pipeline.progress(BETWEEN)
            if number % 3 == 1:
                pipeline.kill_loop(number % LOOPS)
            durable.kill()
            durable.start()
        pipeline.progress(BETWEEN)
        pipeline.finish()
        pipeline.check()
    committed = [e for e in pipeline.events if isinstance(e, Ended) and e.commit]
    assert len(committed) > kills
