"""A consumer's core in its thread, and what both faces ask of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from barnabas.client.cluster import Address
from barnabas.client.config import ClientConfig
from barnabas.client.consumer.config import ConsumerConfig
from barnabas.client.consumer.engine import Engine, Listener
from barnabas.client.consumer.hand import Hand
from barnabas.client.consumer.leases import OffsetAndMetadata
from barnabas.client.consumer.starts import Start
from barnabas.client.fetch_core import TopicPartition
from barnabas.client.offsets import EARLIEST, LATEST, OffsetAt, list_offsets
from barnabas.host import HostPorts, open_ports
from barnabas.host.background import LoopThread

Offsets = Mapping[TopicPartition, int | OffsetAndMetadata]


class RebalanceListener:
    """What an application may want to hear. With `barnabas.Consumer` methods may be coroutines and
    run on its loop; with `barnabas.sync` they run in a thread of the consumer's.

    `partitions` is a sorted list of (topic, partition).
    """

    def on_assigned(self, partitions: list[TopicPartition]) -> object:
        """These are new; nothing of them was handed out yet. The place to seek."""

    def on_revoked(self, partitions: list[TopicPartition]) -> object:
        """These go to somebody else as soon as this returns, or revoke.timeout.ms has passed. The
        place to commit."""

    def on_lost(self, partitions: list[TopicPartition]) -> object:
        """These are somebody else's already; commits for them are refused."""


class Setup(NamedTuple):
    """What a face was given."""

    addresses: Sequence[Address]
    client: ClientConfig
    config: ConsumerConfig
    start: Start | None = None


class Running:
    """One engine on a loop in a thread of its own. Coroutines run there."""

    def __init__(self, setup: Setup, news: Callable[[], None], listener: Listener) -> None:
        """Start. Raises `CannotConnect`."""
        self.thread = LoopThread("barnabas-consumer")
        self._ports: HostPorts | None = None
        try:
            self.engine = self.thread.call(self._open(setup, news, listener))
        except BaseException:
            self.thread.stop()
            raise
        self.hand = Hand(self.engine, self.soon)

    def soon(self, callback: Callable[[], object]) -> None:
        """Call `callback` on the core's loop; from any thread."""
        with suppress(RuntimeError):  # another thread has closed the consumer
            self.thread.soon(callback)

    async def _open(self, setup: Setup, news: Callable[[], None], listener: Listener) -> Engine:
        ports = self._ports = open_ports(asyncio.get_running_loop())
        engine = Engine(
            ports,
            setup.addresses,
            setup.client,
            setup.config,
            news=news,
            listener=listener,
            start=setup.start,
        )
        try:
            await engine.open()
        except BaseException:
            ports.close()
            raise
        return engine

    async def close(self, *, finished: bool) -> None:
        """Commit, leave, disconnect; the thread is ended by the caller."""
        try:
            await self.engine.close(finished=finished)
        finally:
            if self._ports is not None:
                self._ports.close()

    @property
    def ports(self) -> HostPorts:
        """The ports of the core's loop."""
        assert self._ports is not None
        return self._ports

    async def subscribe(self, what: Sequence[str] | re.Pattern[str]) -> None:
        """See `Consumer.subscribe`."""
        if self.engine.config.group_id is None:
            raise ValueError("a subscription needs a group.id; use assign without one")
        if isinstance(what, re.Pattern):
            pattern = what
            await self.engine.subscribe((), lambda name: pattern.fullmatch(name) is not None)
        else:
            await self.engine.subscribe(what, None)

    async def assign(self, names: Iterable[TopicPartition]) -> None:
        """See `Consumer.assign`."""
        await self.engine.use(names)

    async def commit(self, offsets: Offsets | None) -> None:
        """See `Consumer.commit`."""
        if offsets is None:
            await self.engine.commits.commit(None)
            return
        given = {
            name: at if isinstance(at, OffsetAndMetadata) else OffsetAndMetadata(at)
            for name, at in offsets.items()
        }
        await self.engine.commits.commit(given)

    async def committed(
        self, names: Iterable[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """See `Consumer.committed`."""
        return await self.engine.commits.committed(names)

    async def seek_to(self, names: Iterable[TopicPartition], at: int) -> None:
        """Go to the beginning or the end."""
        await self.engine.seek(await self.ends(names, at))

    async def ends(self, names: Iterable[TopicPartition], at: int) -> dict[TopicPartition, int]:
        """First or last offsets."""
        wanted = dict.fromkeys(names, at)
        committed = self.engine.config.read_committed
        found = await list_offsets(self.engine.cluster, wanted, read_committed=committed)
        return {name: each.offset for name, each in found.items()}

    async def offsets_for_times(
        self, times: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAt]:
        """See `Consumer.offsets_for_times`."""
        found = await list_offsets(self.engine.cluster, times)
        return {name: each for name, each in found.items() if each.offset >= 0}

    async def partitions_for(self, topic: str) -> list[int]:
        """See `Consumer.partitions_for`."""
        return sorted((await self.engine.cluster.topic(topic)).partitions)


BEGINNING = EARLIEST
END = LATEST
