"""`barnabas consume --group`: a member of a group that prints what it is given.

What was printed counts as processed when the next batch is asked for, and is committed every
second, before partitions are given up, and at the end. So a crash repeats output and loses none.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from barnabas.cli.options import parse_bootstrap
from barnabas.client.cluster import Cluster
from barnabas.client.config import ClientConfig
from barnabas.client.consumer.config import ConsumerConfig
from barnabas.client.consumer.face import Consumer
from barnabas.client.consumer.leases import CommitRefused
from barnabas.client.consumer.records import Batch
from barnabas.client.consumer.running import RebalanceListener, Setup
from barnabas.client.fetch_core import FetchedRecords, TopicPartition
from barnabas.host import new_event_loop
from barnabas.records.record import Record

if TYPE_CHECKING:
    from barnabas.cli.commands.consume import Job

COMMIT_MS = 1_000
NOTHING_MS = 6_000
"""How long a member without partitions waits for some: a KIP-848 coordinator may give them with
the next heartbeat only."""


class _Assigned(RebalanceListener):
    """Knows whether there was an assignment yet, if only of nothing."""

    def __init__(self) -> None:
        self.told = False
        self.since_ms = 0

    def look(self, now: int) -> None:
        """Remember since when nothing has changed."""
        if not self.told or not self.since_ms:
            self.since_ms = now

    def on_assigned(self, partitions: list[TopicPartition]) -> None:
        """The group is settled."""
        del partitions
        self.told = True

    def on_revoked(self, partitions: list[TopicPartition]) -> None:
        """The group is about to be divided anew."""
        del partitions
        self.told = False

    def on_lost(self, partitions: list[TopicPartition]) -> None:
        """This member has to join again."""
        del partitions
        self.told = False


class GroupConsume:
    """Runs a `Job` as a member of a group."""

    def __init__(self, job: Job, group: str, instance_id: str | None, protocol: str) -> None:
        self._job = job
        self._config = ConsumerConfig(
            group_id=group,
            group_instance_id=instance_id,
            group_protocol=protocol,
            auto_commit_interval_ms=COMMIT_MS,
            isolation_level="read_committed" if job.read_committed else "read_uncommitted",
        )
        self._printed: dict[TopicPartition, int] = {}
        self._assigned = _Assigned()

    def run(self, bootstrap: str) -> None:
        """Print until the ends, the limit, or an interrupt; leave the group. Ctrl-C raises
        KeyboardInterrupt."""
        client = ClientConfig(client_id="barnabas-cli", api_timeout_ms=15_000)
        setup = Setup(parse_bootstrap(bootstrap), client, self._config, self._start)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(self._consume(setup))

    async def _start(
        self, cluster: Cluster, names: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int]:
        first, _ = await self._job.range(cluster, list(names))
        return first

    async def _consume(self, setup: Setup) -> None:
        consumer = Consumer.configured(setup, listener=self._assigned)
        await consumer.start()
        clock = consumer.clock
        begun = clock.monotonic_ms()
        try:
            names = [(self._job.topic, n) for n in await consumer.partitions_for(self._job.topic)]
            ends = {} if self._job.follow else await consumer.end_offsets(*names)
            await consumer.subscribe([self._job.topic])
            try:
                await self._loop(consumer, ends)
            finally:
                await self._commit(consumer)
        finally:
            await consumer.stop(finished=False)
        self._job.took_ms = clock.monotonic_ms() - begun

    async def _loop(self, consumer: Consumer, ends: dict[TopicPartition, int]) -> None:
        job, out, clock = self._job, sys.stdout.buffer, consumer.clock
        while True:
            left = None if job.limit is None else job.limit - job.count
            batch = await consumer.get_batch(left, timeout_ms=200)
            if batch is not None:
                name = (batch.topic, batch.partition)
                text, count = job.cut(_records(batch), ends)
                out.write(text)
                out.flush()
                job.count += count
                with suppress(ValueError):  # the partition went just now
                    await self._printed_to(consumer, batch, count, ends.get(name))
                if job.count == job.limit:
                    return
            self._assigned.look(clock.monotonic_ms())
            if ends and self._assigned.told and self._at_ends(consumer, ends):
                return

    def _at_ends(self, consumer: Consumer, ends: dict[TopicPartition, int]) -> bool:
        names = consumer.assignment()
        if not names:
            return consumer.clock.monotonic_ms() - self._assigned.since_ms > NOTHING_MS
        with suppress(ValueError):  # a partition went just now
            return all(consumer.position(name) >= ends[name] for name in names if name in ends)
        return False

    async def _printed_to(
        self, consumer: Consumer, batch: Batch, count: int, end: int | None
    ) -> None:
        """Note how far it was printed, and stop at the end."""
        name = (batch.topic, batch.partition)
        if count == len(batch):
            self._printed[name] = consumer.position(name)
        else:
            stop = batch.offsets[count - 1] + 1 if count else batch.offsets[0]
            if end is not None and self._job.count != self._job.limit:
                stop = end
            self._printed[name] = stop
            await consumer.seek(name, stop)
        if end is not None and self._printed[name] >= end:
            await consumer.pause(name)

    async def _commit(self, consumer: Consumer) -> None:
        """What was printed, as far as it is still this member's."""
        held = set(consumer.assignment())
        printed = {name: at for name, at in self._printed.items() if name in held}
        if printed:
            with suppress(CommitRefused):  # it just went to somebody else, who repeats it
                await consumer.commit(printed)


def _records(batch: Batch) -> FetchedRecords:
    rows = zip(
        batch.offsets, batch.timestamps, batch.keys, batch.values, batch.headers, strict=True
    )
    records = [Record(*row) for row in rows]
    return FetchedRecords(batch.topic, batch.partition, records, batch.timestamp_type)
