"""Carries out what a member of a group decides: requests, timers, look-ups of topics."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from functools import partial
from typing import Any, Protocol

from barnabas.client.cluster import Cluster
from barnabas.client.connection import Connection
from barnabas.client.consumer.coordinator import Coordinator
from barnabas.client.errors import ClientError
from barnabas.client.membership.classic import ClassicMember
from barnabas.client.membership.consumer import ConsumerMember
from barnabas.client.membership.events import (
    Answered,
    Assign,
    CoordinatorFound,
    CoordinatorRefused,
    Describe,
    Effect,
    Event,
    Fail,
    Failed,
    FindCoordinator,
    Leave,
    Lose,
    Partitions,
    Released,
    Revoke,
    Send,
    Tick,
    Topics,
)
from barnabas.ports import Timer
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message

Core = ClassicMember | ConsumerMember


class Owner(Protocol):
    """Works on the partitions that the member is given."""

    def closing(self, partitions: Partitions) -> None:
        """At once: hand out nothing more of these."""

    def losing(self, partitions: Partitions) -> None:
        """At once: these are somebody else's, commits would be refused."""

    async def assign(self, partitions: Partitions) -> None:
        """Begin with these. Called one after the other with `revoke` and `lose`."""

    async def revoke(self, partitions: Partitions) -> None:
        """Finish with these, in time."""

    async def lose(self, partitions: Partitions) -> None:
        """These are gone."""

    def failed(self, error: Exception) -> None:
        """Something went wrong that the application should hear of."""

    def ended(self, error: Exception) -> None:
        """Membership has ended, for good."""


class Member:
    """The shell of a membership core."""

    def __init__(
        self, cluster: Cluster, core: Core, coordinator: Coordinator, owner: Owner
    ) -> None:
        self.core = core
        self._cluster = cluster
        self._clock = cluster.ports.clock
        self._coordinator = coordinator
        self._owner = owner
        self._events: deque[Event] = deque()
        self._stepping = False
        self._timer: Timer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changes: asyncio.Queue[Assign | Revoke | Lose] = asyncio.Queue()
        self._spawn(self._work())

    def feed(self, event: Event) -> None:
        """Something happened."""
        self._events.append(event)
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._events:
                for effect in self.core.step(self._events.popleft(), self._clock.monotonic_ms()):
                    self._do(effect)
        finally:
            self._stepping = False
        self._arm()

    def look(self) -> None:
        """The metadata of topics is new."""
        self.feed(self._topics())

    async def leave(self, *, stay: bool) -> None:
        """Leave the group; the request is sent, and its answer awaited for a moment."""
        self._events.clear()
        sends = self.core.step(Leave(stay), self._clock.monotonic_ms())
        for effect in sends:
            connection = self._coordinator.connection
            if isinstance(effect, Send) and connection is not None:
                try:
                    await connection.request(effect.request, effect.response, timeout_ms=5_000)
                except (ClientError, KafkaError):
                    break  # the session will run out

    async def idle(self, timeout_ms: int) -> None:
        """Until the owner was told of all changes, or time is up."""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self._changes.join()
        except TimeoutError:
            pass

    async def close(self) -> None:
        """End all that runs."""
        if self._timer is not None:
            self._timer.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake = self.core.wake_ms
        if wake is not None:
            # A timer may run a moment early.
            delay = max(wake - self._clock.monotonic_ms(), 1)
            self._timer = self._clock.call_later(delay, partial(self.feed, Tick()))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):  # nobody foresaw it: better told than stuck
            self._owner.ended(error)

    def _do(self, effect: Effect) -> None:
        match effect:
            case Send():
                self._send(effect)
            case FindCoordinator(after_ms):
                self._spawn(self._find(after_ms))
            case Describe(topics, ids):
                self._spawn(self._describe(topics, ids))
            case Assign():
                self._changes.put_nowait(effect)
            case Revoke(partitions):
                self._owner.closing(partitions)
                self._changes.put_nowait(effect)
            case Lose(partitions):
                self._owner.losing(partitions)
                self._changes.put_nowait(effect)
            case Fail(error):
                self._owner.ended(error)

    async def _work(self) -> None:
        """Tell the owner of changes, one after the other."""
        while True:
            change = await self._changes.get()
            try:
                match change:
                    case Assign(partitions):
                        await self._owner.assign(partitions)
                    case Revoke(partitions):
                        await self._owner.revoke(partitions)
                    case Lose(partitions):
                        await self._owner.lose(partitions)
            except (ClientError, KafkaError) as error:
                self._owner.failed(error)
            if isinstance(change, Revoke):
                self.feed(Released())
            self._changes.task_done()

    # -- requests --

    def _send(self, effect: Send) -> None:
        if effect.waits:
            self._spawn(self._send_waiting(effect))
            return
        connection = self._coordinator.connection
        if connection is None:
            self._events.append(Failed(effect.token))
        else:
            self._send_over(connection, effect)

    async def _send_waiting(self, effect: Send) -> None:
        try:
            connection = await self._coordinator.waiting()
        except ClientError:
            self.feed(Failed(effect.token))
        else:
            self._send_over(connection, effect)

    def _send_over(self, connection: Connection, effect: Send) -> None:
        def told(response: Message | None, _error: Exception | None) -> None:
            self.feed(
                Failed(effect.token) if response is None else Answered(effect.token, response)
            )

        try:
            connection.send(effect.request, effect.response, told, timeout_ms=effect.timeout_ms)
        except KafkaError as error:  # the node has no such version
            self.feed(CoordinatorRefused(error))

    async def _find(self, after_ms: int) -> None:
        if after_ms:
            await self._clock.sleep(after_ms)
        failures = 0
        while True:
            try:
                await self._coordinator.find()
                break
            except KafkaError as error:
                if not error.code.retriable:
                    self.feed(CoordinatorRefused(error))
                    return
            except ClientError:
                pass
            await self._clock.sleep(self._cluster.pause_ms(failures))
            failures += 1
        self.feed(CoordinatorFound())

    # -- topics --

    def _topics(self) -> Topics:
        states = self._cluster.metadata.topics.values()
        counts = {s.name: len(s.partitions) for s in states if s.error == ErrorCode.NONE}
        return Topics(counts, {s.id: s.name for s in states if any(s.id)})

    async def _describe(self, topics: frozenset[str], ids: frozenset[bytes]) -> None:
        failures = 0
        while True:
            try:
                await self._cluster.refresh(sorted(topics))
            except (ClientError, KafkaError):
                pass
            else:
                found = self._topics()
                if ids <= set(found.ids):
                    self.feed(found)
                    return
            await self._clock.sleep(self._cluster.pause_ms(failures))
            failures += 1
