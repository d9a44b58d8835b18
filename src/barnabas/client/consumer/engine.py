"""The consumer's core: everything but the application's own calls, on one event loop.

Methods run on the core's loop, except `ready`, `room` and what is said to be for any thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from barnabas.client.cluster import Address, Cluster
from barnabas.client.config import ClientConfig
from barnabas.client.consumer.commits import Commits
from barnabas.client.consumer.config import ConsumerConfig
from barnabas.client.consumer.coordinator import Coordinator
from barnabas.client.consumer.leases import UNKNOWN, Lease, Leases, OffsetAndMetadata
from barnabas.client.consumer.member import Core, Member
from barnabas.client.consumer.starts import Start, starts
from barnabas.client.errors import ClientError
from barnabas.client.fetch_core import FetchedBatch, TopicPartition
from barnabas.client.fetcher import Fetcher
from barnabas.client.membership.classic import ClassicMember
from barnabas.client.membership.consumer import ConsumerMember
from barnabas.client.membership.events import Partitions, Subscribed
from barnabas.ports import Ports, Timer
from barnabas.wire.errors import KafkaError

RETRY_MS = 100
"""How often partitions are looked at whose node did not answer."""
MOST_ERRORS = 100
"""Errors that wait for the application's next call."""
MISSING_MS = 1_000
"""How often topics are looked for that do not exist yet."""
Listener: TypeAlias = Callable[[str, list[TopicPartition]], Awaitable[None]]
"""Calls a method of the application's rebalance listener: assigned, revoked or lost."""
Matcher: TypeAlias = Callable[[str], bool]


class Delivery(NamedTuple):
    """A batch on its way to the application."""

    lease: Lease
    token: object
    batch: FetchedBatch


class Engine:
    """One consumer. `news` is called whenever `ready`, `errors` or what is ours has something new."""

    def __init__(
        self,
        ports: Ports,
        addresses: Iterable[Address],
        client: ClientConfig,
        config: ConsumerConfig,
        *,
        news: Callable[[], None],
        listener: Listener,
        start: Start | None = None,
    ) -> None:
        self.config = config
        self.leases = Leases()
        self.ready: deque[Delivery] = deque()
        self.errors: deque[Exception] = deque()
        self.fatal: Exception | None = None
        self.taken_bytes = 0
        """What the application took of `ready`, ever; only its thread writes it."""
        self._given_bytes = 0
        self._clock = ports.clock
        self.cluster = Cluster(ports, tuple(addresses), client)
        self._fetcher = Fetcher(self.cluster, config.fetching(), self.fill)
        self._news = news
        self._listener = listener
        self._start = start
        self._topics: frozenset[str] = frozenset()
        self._matcher: Matcher | None = None
        self._coordinator: Coordinator | None = None
        self._member: Member | None = None
        self._commits: Commits | None = None
        self._moved = asyncio.Event()
        self._timer: Timer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._resetting = self._ending = False
        self._watch_now = asyncio.Event()

    async def open(self) -> None:
        """Connect. Raises `CannotConnect`."""
        await self.cluster.__aenter__()
        if self.config.group_id is not None:
            self._coordinator = Coordinator(self.cluster, self.config.group_id)
            self._commits = Commits(
                self.cluster, self._coordinator, self.leases, self.config.group_instance_id
            )
            if self.config.enable_auto_commit:
                self._spawn(self._commit_now_and_then())
        self._spawn(self._watch())

    async def close(self, *, finished: bool) -> None:
        """Commit, leave, disconnect. `finished`: what the application was given is processed."""
        self._ending = True
        for lease in (*self.leases.held.values(), *self.leases.closing.values()):
            if finished:
                lease.processed = lease.handed
        try:
            if self.leases.closing and self._member is not None:  # a rebalance is on its way
                self.moved()
                await self._member.idle(self.config.revoke_timeout_ms)
            self.closing(frozenset(self.leases.held))
            names = frozenset(self.leases.closing)
            if names:
                await self._let_go(names, patient=False)
            if self._member is not None:
                await self._member.leave(stay=self.config.group_instance_id is not None)
        finally:
            await self._end()

    async def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._member is not None:
            await self._member.close()
        await self._fetcher.close()
        if self._coordinator is not None:
            self._coordinator.forget()
        await self.cluster.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)

        def done(ended: asyncio.Task[None]) -> None:
            self._tasks.discard(ended)
            error = None if ended.cancelled() else ended.exception()
            if isinstance(error, Exception):
                self.failed(error)

        task.add_done_callback(done)

    # -- which partitions --

    async def subscribe(self, topics: Iterable[str], matcher: Matcher | None) -> None:
        """Take part in the group for these topics, or for those that `matcher` accepts."""
        self._matcher = matcher
        self._topics = frozenset(topics)
        await self._look(create=True)
        if self._member is None:
            assert self._coordinator is not None
            self._member = Member(self.cluster, self._new_member(), self._coordinator, self)
            assert self._commits is not None
            self._commits.member = self._member
        self._member.feed(Subscribed(self._topics))

    def _new_member(self) -> Core:
        assert self.config.group_id is not None
        config = self.config.membership(self.config.group_id)
        if self.config.group_protocol == "classic":
            return ClassicMember(config)
        raw = self.cluster.ports.random.bytes(16).hex()
        return ConsumerMember(
            config, "-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:]))
        )

    async def use(self, names: Iterable[TopicPartition]) -> None:
        """Read these partitions, without a group's help. Raises `KafkaError` for unknown topics."""
        wanted = frozenset(names)
        for topic in sorted({topic for topic, _ in wanted}):
            await self.cluster.topic(topic)
        going = frozenset(self.leases.held) - wanted
        self.closing(going)
        if going:
            await self._let_go(going, patient=False)
        leases = self.leases.begin(wanted - frozenset(self.leases.held))
        try:
            await self._begin(leases)
        except BaseException:  # the next call begins anew
            self.leases.end(lease.name for lease in leases)
            raise

    async def _watch(self) -> None:
        """Keep the picture of topics fresh: new partitions, new topics."""
        while True:
            watched = self._topics if self._member is None else self._member.core.watched
            known = self.cluster.metadata.topics
            missing = [t for t in watched if t not in known or known[t].error]
            pause = MISSING_MS if missing else self.config.metadata_max_age_ms
            await self._clock.sleep(max(pause, 1))
            if not watched and self._matcher is None:
                continue
            try:
                await self._look(watched)
            except (ClientError, KafkaError):
                continue
            if self._member is not None:
                if self._matcher is not None:
                    self._member.feed(Subscribed(self._topics))
                self._member.look()

    async def _look(self, watched: Iterable[str] = (), *, create: bool = False) -> None:
        if self._matcher is None:
            await self.cluster.refresh(sorted({*self._topics, *watched}), create=create)
            return
        await self.cluster.refresh(None)
        states = self.cluster.metadata.topics.values()
        self._topics = frozenset(
            state.name for state in states if not state.internal and self._matcher(state.name)
        )

    # -- what the member says (`member.Owner`) --

    def closing(self, partitions: Partitions) -> None:
        """Hand out nothing more of these."""
        self.leases.close(partitions)
        for name in partitions:
            self._fetcher.drop(*name)
        self._news()  # what is worked on side by side: nothing more of these begins

    def losing(self, partitions: Partitions) -> None:
        """These are somebody else's: commits are refused."""
        self.leases.end(partitions)
        for name in partitions:
            self._fetcher.drop(*name)
        self.moved()
        self._news()

    async def assign(self, partitions: Partitions) -> None:
        """Begin where the group stands. The listener hears of it first, and may seek."""
        leases = self.leases.begin(partitions)
        await self._tell("assigned", partitions)
        try:
            await self._begin(leases)
        except (ClientError, KafkaError) as error:
            self.failed(error)
            self._spawn(self._begin_later(leases))

    async def revoke(self, partitions: Partitions) -> None:
        """Wait, in bounds, until the application is done with what it has; commit; tell it."""
        self.closing(partitions)  # again: `assign` may have come behind the first time
        await self._let_go(partitions, patient=True)

    async def lose(self, partitions: Partitions) -> None:
        """Tell the application."""
        self.losing(partitions)  # as in `revoke`
        await self._tell("lost", partitions)

    def failed(self, error: Exception) -> None:
        """The application hears of it with its next call; once, however often it happens."""
        waiting = [str(each) for each in list(self.errors)]
        if len(waiting) < MOST_ERRORS and str(error) not in waiting:
            self.errors.append(error)
        self._news()

    def ended(self, error: Exception) -> None:
        """Every call of the application raises it from now on."""
        self.fatal = error
        self.failed(error)

    def raise_errors(self) -> None:
        """For the application's thread: raise what it was not told yet, or what ended it all."""
        if self.errors:
            raise self.errors.popleft()
        if self.fatal is not None:
            raise self.fatal

    async def _tell(self, what: str, partitions: Partitions, timeout_ms: int | None = None) -> None:
        limit = self.config.revoke_timeout_ms if timeout_ms is None else timeout_ms
        try:
            async with asyncio.timeout(limit / 1000):
                await self._listener(what, sorted(partitions))
        except TimeoutError:
            pass  # the application is busy with something else
        except Exception as error:
            self.failed(error)

    async def _let_go(self, partitions: Partitions, *, patient: bool) -> None:
        deadline = self._clock.monotonic_ms() + self.config.revoke_timeout_ms
        if patient:
            await self._until_idle(partitions, deadline)
        if self._commits is not None and self.config.enable_auto_commit:
            try:
                async with asyncio.timeout(self._left(deadline) / 1000):
                    await self._commits.commit_processed(partitions)
            except (ClientError, KafkaError, TimeoutError):
                pass  # whoever is next repeats what was not committed
        gone = frozenset(name for name in partitions if name not in self.leases.closing)
        if partitions - gone and self._group_managed:
            await self._tell("revoked", partitions - gone, self._left(deadline))
        self.leases.end(partitions)

    @property
    def _group_managed(self) -> bool:
        return self._member is not None

    def _left(self, deadline: int) -> int:
        return max(deadline - self._clock.monotonic_ms(), 1)

    async def _until_idle(self, partitions: Partitions, deadline: int) -> None:
        """Until nothing of these is in the application's hands, or they are lost."""
        timer = self._clock.call_later(self._left(deadline), self._moved.set)
        try:
            while self._clock.monotonic_ms() < deadline and not self._ending:
                self._moved.clear()
                held = (self.leases.closing.get(name) for name in partitions)
                if not any(lease is not None and lease.busy for lease in held):
                    return
                await self._moved.wait()
        finally:
            timer.cancel()

    def moved(self) -> None:
        """The application is done with something."""
        self._moved.set()

    # -- positions --

    async def _begin(self, leases: list[Lease]) -> None:
        """Find out where to begin, and begin."""
        committed: Mapping[TopicPartition, OffsetAndMetadata] = {}
        open_ = [lease for lease in leases if lease.handed == UNKNOWN and lease.token is not None]
        if open_ and self._commits is not None:
            committed = await self._commits.fetch(open_)
        rest = [lease for lease in open_ if lease.name not in committed and lease.token is not None]
        found = {}
        if rest:
            names = [lease.name for lease in rest]
            found = await starts(self.cluster, self.config, names, self._start)
        for lease in leases:
            if lease.token is None:
                continue
            known = committed.get(lease.name)
            if lease.handed != UNKNOWN:
                continue  # it was sought meanwhile, and is fetched already
            lease.move(found[lease.name] if known is None else known.offset)
            if known is not None:
                lease.committed, lease.leader_epoch = known.offset, known.leader_epoch
                lease.saved = known
            self._fetcher.core.add(lease.name, lease.handed)
            self._fetcher.core.pause(lease.name, lease.paused)
        self.fill()

    async def _begin_later(self, leases: list[Lease]) -> None:
        """Again and again: where to begin could not be found out."""
        while leases := [lease for lease in leases if lease.token is not None]:
            await self._clock.sleep(MISSING_MS)
            try:
                await self._begin(leases)
            except (ClientError, KafkaError) as error:
                self.failed(error)
            else:
                return

    def lease(self, name: TopicPartition) -> Lease:
        """An assigned partition. Raises `ValueError`."""
        lease = self.leases.held.get(name)
        if lease is None:
            raise ValueError(f"{name[0]}-{name[1]} is not assigned")
        return lease

    async def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Go on from these offsets. Raises `ValueError` for what is not assigned."""
        leases = [(self.lease(name), offset) for name, offset in offsets.items()]
        for lease, offset in leases:
            if offset < 0:
                raise ValueError(f"offset {offset} of {lease.name[0]}-{lease.name[1]}")
            lease.move(offset)
            self._fetcher.core.add(lease.name, offset)
            self._fetcher.core.pause(lease.name, lease.paused)
        self.fill()

    async def pause(self, names: Iterable[TopicPartition], paused: bool) -> None:
        """Hand out nothing of these, or go on. Raises `ValueError` for what is not assigned."""
        leases = [self.lease(name) for name in names]
        for lease in leases:
            lease.paused = paused
        await self.rewind(leases)

    async def rewind(self, leases: Iterable[Lease]) -> None:
        """What was fetched of these and not handed out is fetched again."""
        for lease in leases:
            if lease.token is None or lease.handed == UNKNOWN:
                continue  # over, or not begun
            lease.token = object()
            self._fetcher.core.add(lease.name, lease.handed)
            self._fetcher.core.pause(lease.name, lease.paused)
        self.fill()

    async def hold(self, lease: Lease, held: bool) -> None:
        """Fetch nothing more of this one for now, or go on; nothing is lost."""
        if lease.token is not None:
            self._fetcher.core.pause(lease.name, held or lease.paused)
            self.fill()

    async def _reset(self) -> None:
        """Positions that are not in the log: begin where auto.offset.reset says."""
        core, names = self._fetcher.core, self._out_of_range()
        try:
            found = await starts(self.cluster, self.config, names, None)
            for name, offset in found.items():
                lease = self.leases.held.get(name)
                if lease is not None and name in core.out_of_range:
                    lease.move(offset)
                    core.add(name, offset)
        except (ClientError, KafkaError) as error:
            self.failed(error)
            await self._clock.sleep(RETRY_MS)
        finally:
            for name in names:
                core.out_of_range.pop(name, None)
            self._resetting = False
        self.fill()

    def _out_of_range(self) -> list[TopicPartition]:
        """What has to begin elsewhere: not before all is handed out that was fetched before."""
        held, lost = self.leases.held, self._fetcher.core.out_of_range
        return [name for name, at in lost.items() if name in held and held[name].handed >= at]

    # -- commits --

    @property
    def commits(self) -> Commits:
        """Raises `ValueError` without a group."""
        if self._commits is None:
            raise ValueError("commits need a group.id")
        return self._commits

    async def _commit_now_and_then(self) -> None:
        assert self._commits is not None
        while True:
            await self._clock.sleep(self.config.auto_commit_interval_ms)
            try:
                await self._commits.commit_processed(None)
            except (ClientError, KafkaError):
                continue  # a rebalance is on its way; or the next time

    def group_member(self) -> tuple[str, int]:
        """Member id and generation or member epoch; no id while it is in no group."""
        return ("", -1) if self._member is None else self._member.core.commits_as

    # -- records --

    def fill(self) -> None:
        """Move what was fetched to `ready`, within bounds, and fetch on."""
        limit, core, added = self.config.prefetch_bytes, self._fetcher.core, False
        try:
            while self._given_bytes - self.taken_bytes < limit:
                batch = core.take_batch()
                if batch is None:
                    break
                lease = self.leases.held.get((batch.topic, batch.partition))
                if lease is not None and lease.token is not None:
                    self._given_bytes += batch.header.size
                    self.ready.append(Delivery(lease, lease.token, batch))
                    added = True
        except (ClientError, KafkaError) as error:
            self.failed(error)
        self._fetcher.pump()
        if not self._resetting and self._out_of_range():
            self._resetting = True
            self._spawn(self._reset())
        if added:
            self._news()
        if self._timer is None and core.waiting(self._clock.monotonic_ms()):
            self._timer = self._clock.call_later(RETRY_MS, self._retry)

    def _retry(self) -> None:
        self._timer = None
        self.fill()
