"""A group of other people's clients under load, and the history that they write together."""

from __future__ import annotations

import contextlib
import itertools
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic

from barnabas.testing.checkers import Event, check_events, from_json, to_json
from barnabas.testing.checkers.events import (
    Acked,
    Assigned,
    Committed,
    Consumed,
    Crashed,
    Lost,
    Place,
    Produced,
    Revoked,
)
from tests.interop.clients.member import now
from tests.interop.conftest import WAIT_SECONDS
from tests.interop.kafka import REPOSITORY, Node
from tests.interop.programs import CACHE, Program

HISTORIES = CACHE / "histories"
PARTITIONS = 12
SESSION_MS = 4_000
HEARTBEAT_MS = 400
AT_LEAST = 1_000
BURST = 10
PAUSE_SECONDS = 0.01
LOOK_SECONDS = 0.2
QUICK_GROUPS = {
    "group.min.session.timeout.ms": "1000",
    "group.initial.rebalance.delay.ms": "0",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": str(SESSION_MS),
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": str(HEARTBEAT_MS),
}
"""What a node needs, so that members that crash are missed soon."""


def keep_history(failure: Exception, name: str, events: list[Event]) -> None:
    """Write the history of a run that failed into a file, one event a line; the failure names it."""
    HISTORIES.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"{name}-", suffix=".jsonl", dir=HISTORIES, delete=False
    ) as file:
        file.writelines(f"{to_json(each)}\n" for each in sorted(events, key=lambda each: each.at))
    failure.add_note(f"The history: {file.name}")


class Notebook(Protocol):
    """Who takes what members note."""

    node: Node

    def note(self, event: Event) -> None:
        """One event, from any thread."""


class Member:
    """One process of a client in a group."""

    def __init__(self, group: Notebook, name: str, command: list[str]) -> None:
        self.name = name
        self._group = group
        self._errors = (group.node.directory / f"{name}.err").open("w+b")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=REPOSITORY,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith(b"\n"):  # a killed one may leave a part
                self._group.note(from_json(line.decode()))

    def leave(self) -> None:
        """End its input: it leaves the group and ends."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(WAIT_SECONDS)
        self._reader.join()
        assert self.process.returncode == 0, self.said()

    def kill(self) -> None:
        """SIGKILL: it says nothing to nobody."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        self._group.note(Crashed(self.name, now()))

    def halt(self, after: float, seconds: float) -> None:
        """SIGSTOP for so long, as where a machine has no time for it, unless it has ended by then."""
        time.sleep(after)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            self.process.send_signal(signal.SIGCONT)

    def said(self) -> str:
        """The end of what it wrote to standard error."""
        self._errors.seek(0)
        return f"{self.name}: {self._errors.read().decode(errors='replace')[-2000:]}"

    def close(self) -> None:
        """End it, however it stands."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


class Group:
    """A topic of twelve partitions under load, a group that reads it, and their history."""

    def __init__(self, node: Node, name: str) -> None:
        self.node, self.name, self.topic = node, name, f"load-{name}"
        self.events: list[Event] = []
        self.members: list[Member] = []
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._owned: dict[str, set[Place]] = {}
        self._busy: set[str] = set()
        self._looked = False
        self._generations: dict[str, int | None] = {}
        self._acked: set[str] = set()
        self._consumed: set[str] = set()
        self._over = threading.Event()
        self._loaded = threading.Event()
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._load, self._look)
        ]

    def __enter__(self) -> Group:
        admin = AdminClient({"bootstrap.servers": self.node.address})
        admin.create_topics([NewTopic(self.topic, PARTITIONS, 1)])[self.topic].result(WAIT_SECONDS)
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
        for member in self.members:
            member.close()
        if isinstance(error, Exception):
            keep_history(error, self.name, self.events)

    def note(self, event: Event) -> None:
        """Take an event of any thread into the history."""
        with self._changed:
            self.events.append(event)
            match event:
                case Assigned():
                    self._owned.setdefault(event.client, set()).update(event.partitions)
                    self._generations[event.client] = event.generation
                case Revoked() | Lost():
                    self._owned.setdefault(event.client, set()).difference_update(event.partitions)
                case Crashed():
                    self._owned.pop(event.client, None)
                case Acked():
                    self._acked.add(event.value)
                case Consumed():
                    self._busy.add(event.client)
                    self._consumed.update(value for _, value in event.records)
            self._changed.notify_all()

    def join(
        self,
        program: Program,
        assignor: str,
        *,
        instance: str | None = None,
        protocol: str = "classic",
        session_ms: int = SESSION_MS,
    ) -> Member:
        """Start a member."""
        name = f"{program.name}-{next(self._numbers)}"
        settings = {
            "client": name,
            "group": self.name,
            "topic": self.topic,
            "assignor": assignor,
            "instance": instance,
            "session_ms": session_ms,
            "heartbeat_ms": HEARTBEAT_MS,
            "isolation": "read_uncommitted",
            "protocol": protocol,
        }
        member = Member(self, name, program.member(self.node, settings))
        self.members.append(member)
        return member

    def shared_by(self, *members: Member) -> None:
        """Wait until these have all partitions among them, each some, and each has read something."""
        names = {member.name for member in members}

        def shared() -> bool:
            return names <= self._busy and self._all_owned_by(names)

        self._await(shared, lambda: f"{sorted(names)} share: {self._owned}")

    def _all_owned_by(self, names: set[str]) -> bool:
        owned = {name: mine for name, mine in self._owned.items() if mine}
        alone = sum(map(len, owned.values())) == PARTITIONS
        return owned.keys() == names and alone and len(set().union(*owned.values())) == PARTITIONS

    def generation(self, *members: Member) -> int:
        """Wait until the group rests and all of these have one generation or epoch; returns it.

        While somebody still has to give up what another waits for (cooperative members do it once
        they know their assignment), the next generation is on its way.
        """
        names = {member.name for member in members}
        admin = AdminClient({"bootstrap.servers": self.node.address})
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            about = admin.describe_consumer_groups([self.name])[self.name].result(WAIT_SECONDS)
            if about.state == ConsumerGroupState.STABLE:
                break
            assert time.monotonic() < deadline, about.state

        def agreed() -> bool:
            told = {self._generations[name] for name in names}
            return len(told) == 1 and self._all_owned_by(names)

        self._await(agreed, lambda: f"generations: {self._generations}")
        agreed_on = self._generations[members[0].name]
        assert agreed_on is not None
        return agreed_on

    def finish(self) -> None:
        """End the load, wait until all of it was consumed, and let the members leave."""
        self._await(lambda: len(self._acked) >= AT_LEAST, lambda: f"{len(self._acked)} records")
        self._loaded.set()
        self._threads[0].join()
        self._await(
            lambda: self._acked <= self._consumed,
            lambda: f"never consumed: {sorted(self._acked - self._consumed)[:20]}",
        )
        self._await(lambda: self._looked, lambda: "nobody saw a committed offset")
        for member in self.members:
            if member.process.poll() is None:
                member.leave()
        self._over.set()
        self._threads[1].join()

    def check(self) -> None:
        """Nothing is wrong with the history; every member took part."""
        found = check_events(self.events)
        assert not found, "\n".join(map(str, found[:20]))
        assert self._busy == {member.name for member in self.members}

    def _await(self, holds: Callable[[], bool], what: Callable[[], str]) -> None:
        with self._changed:
            deadline = time.monotonic() + WAIT_SECONDS
            while not holds():
                left = deadline - time.monotonic()
                ended = [m.said() for m in self.members if (m.process.poll() or 0) > 0]
                assert left > 0, what()
                assert not ended, ended
                self._changed.wait(min(left, 1.0))

    def _load(self) -> None:
        """An idempotent producer, in bursts, until `_loaded`."""
        producer = Producer({"bootstrap.servers": self.node.address, "enable.idempotence": True})
        for number in itertools.count():
            value = f"v{number}"
            self.note(Produced("load", now(), self.topic, value))
            producer.produce(self.topic, value, key=value[-2:], on_delivery=self._delivered)
            if number % BURST == 0:
                producer.poll(0)
                if self._loaded.wait(PAUSE_SECONDS):
                    break
        assert producer.flush(WAIT_SECONDS) == 0

    def _delivered(self, error: object, message: Message) -> None:
        assert error is None, error
        value = message.value()
        assert value is not None
        place = message.partition(), message.offset()
        self.note(Acked("load", now(), self.topic, *place, value.decode()))

    def _look(self) -> None:
        """Looks at the committed offsets all the time: they never go back."""
        outsider = Consumer({"bootstrap.servers": self.node.address, "group.id": self.name})
        everything = [TopicPartition(self.topic, each) for each in range(PARTITIONS)]
        while not self._over.wait(LOOK_SECONDS):
            begun = now()
            try:
                answer = outsider.committed(everything, WAIT_SECONDS)
            except KafkaException:
                continue
            offsets = tuple(
                (each.topic, each.partition, each.offset) for each in answer if each.offset >= 0
            )
            if offsets:
                self._looked = True
                self.note(Committed("look", now(), self.name, begun, offsets))
        outsider.close()
