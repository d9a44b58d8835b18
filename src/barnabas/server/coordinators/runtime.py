"""`CoordinatorRuntime`: the shards of one internal topic on this node, bound to log, clock and clients."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from barnabas.coordinator.effects import Effects, Now, Origin, Shard, Ticket, TimerKey
from barnabas.coordinator.framing import AnyRecord, RecordTypes, encode_record
from barnabas.coordinator.placement import partition_for
from barnabas.log.errors import LogDamaged
from barnabas.records.batch import read_header
from barnabas.records.builder import NewRecord, build_batch, cuts
from barnabas.server.append import append_own
from barnabas.server.coordinators.loading import Doors, client_error, load_shard
from barnabas.server.coordinators.timers import Timers
from barnabas.server.partitions import HostedPartition
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message

if TYPE_CHECKING:
    from barnabas.metadata.delta import MetadataDelta
    from barnabas.metadata.image import MetadataImage
    from barnabas.server.broker import Broker
    from barnabas.server.fetch_sessions import PartitionKey

log = logging.getLogger("barnabas.server")

S = TypeVar("S", bound=Shard)

#: A request that finds its shard still loading waits so long before it is sent away with
#: COORDINATOR_LOAD_IN_PROGRESS: a new group on a fresh node need not come back for it.
LOAD_WAIT_MS: Final = 1_000
#: Requests that wait for one shard.
LOAD_WAITERS_MAX: Final = 10_000
LOADS_KEPT: Final = 1_000


class Settings(NamedTuple):
    """What the configuration says to a coordinator's runtime."""

    partitions: Callable[[], int]
    """Partitions the topic will have; counts only until the topic is there."""
    codec: int
    write_timeout_ms: int


#: For a ticket that knows its answer.
_KNOWN: Final = Message()


class _Pending(NamedTuple):
    """Replies and orders that wait for the high watermark."""

    end_offset: int
    deadline_ms: int
    replies: list[tuple[Ticket, Message]]
    orders: list[object]


class _Request(NamedTuple, Generic[S]):
    """A request that waits for its shard to be loaded."""

    decide: Callable[[S, Now], Effects]
    ticket: Ticket


class Slot(Generic[S]):
    """The shard of one partition: being loaded, or at work. For the runtime's own package."""

    __slots__ = ("epoch", "hosted", "loaded", "number", "pending", "shard", "waiting")

    def __init__(self, number: int, shard: S) -> None:
        self.number = number
        self.shard = shard
        self.loaded = False
        self.hosted: HostedPartition | None = None
        #: Leader epoch in which it was loaded: the coordinator epoch.
        self.epoch = -1
        self.waiting: list[_Request[S]] = []
        self.pending: deque[_Pending] = deque()


class CoordinatorRuntime(Generic[S]):
    """Runs decisions on the shards of `topic`.

    `make_shard(partition)` makes an empty one; `carry_out(partition, order)` gets the orders of its
    decisions once they are committed. Methods run on the event loop.
    """

    def __init__(
        self,
        broker: Broker,
        topic: str,
        types: RecordTypes,
        make_shard: Callable[[int], S],
        settings: Settings,
        carry_out: Callable[[int, object], None] | None = None,
    ) -> None:
        self.topic = topic
        self._order = carry_out
        self._broker = broker
        self._types = types
        self._make_shard = make_shard
        self._settings = settings
        self.codec = settings.codec
        self._slots: dict[int, Slot[S]] = {}
        self.timers = Timers(broker.clock, self._timer)
        self._stopping = False
        self.loads: deque[tuple[int, int]] = deque(maxlen=LOADS_KEPT)
        """The last shards that were loaded: when (monotonic ms), and how long it took."""

    # -- who is responsible ----------------------------------------------------------------------

    @property
    def partitions(self) -> int:
        """Partitions of the topic, or what it will have."""
        topic = self._broker.image.topics.by_name.get(self.topic)
        return self._settings.partitions() if topic is None else len(topic.partitions)

    def partition_of(self, name: str) -> int:
        """The partition that coordinates `name`."""
        return partition_for(name, self.partitions)

    def now(self) -> Now:
        """The time of a decision."""
        clock = self._broker.clock
        return Now(clock.wall_ms(), clock.monotonic_ms())

    # -- decisions -------------------------------------------------------------------------------

    def run(self, name: str, decide: Callable[[S, Now], Effects], ticket: Ticket) -> None:
        """Let the shard of `name` decide; its effects answer `ticket`, or keep it for later."""
        self.run_on(self.partition_of(name), decide, ticket)

    def run_on(self, number: int, decide: Callable[[S, Now], Effects], ticket: Ticket) -> None:
        """Let the shard of a partition decide."""
        slot = self._slots.get(number)
        if slot is None or (slot.loaded and not self._serves(slot)):
            error = self._check(number)
            if error:
                ticket.fail(error)
                return
            slot = self._load(number)
        if slot.loaded:
            self._do(slot, lambda now: decide(slot.shard, now), ticket)
        elif len(slot.waiting) < LOAD_WAITERS_MAX:
            slot.waiting.append(_Request(decide, ticket))
        else:
            ticket.fail(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)

    def loaded(self) -> list[int]:
        """Partitions whose shards are at work."""
        return [number for number, slot in self._slots.items() if slot.loaded]

    def used(self) -> list[int]:
        """Partitions that this node coordinates and that may hold anything."""
        topic = self._broker.image.topics.by_name.get(self.topic)
        return [
            number
            for number in (() if topic is None else topic.partitions)
            if not self._check(number)
            and (number in self._slots or self._broker.has_files(self.topic, number))
        ]

    @property
    def loading(self) -> bool:
        """Whether some shard is still being read."""
        return any(not slot.loaded for slot in self._slots.values())

    @property
    def shards(self) -> list[S]:
        """All shards at work."""
        return [slot.shard for slot in self._slots.values() if slot.loaded]

    def waiting(self) -> int:
        """Requests that wait for their shard to be loaded."""
        return sum(len(slot.waiting) for slot in self._slots.values())

    def partitions_loading(self) -> int:
        """Shards that are still being read."""
        return sum(not slot.loaded for slot in self._slots.values())

    def serving(self, number: int) -> Slot[S] | None:
        """A partition whose shard is at work here."""
        slot = self._slots.get(number)
        return slot if slot is not None and slot.loaded and self._serves(slot) else None

    def shard(self, number: int) -> S | None:
        """The shard of a partition when it is at work here."""
        slot = self.serving(number)
        return None if slot is None else slot.shard

    def epoch(self, number: int) -> int:
        """The coordinator epoch of a partition that is at work here."""
        return self._slots[number].epoch

    def act(self, number: int, decide: Callable[[S, Now], Effects]) -> None:
        """A decision that nobody asked for, on a shard that is at work; nothing on another."""
        slot = self._slots.get(number)
        if slot is not None and slot.loaded and self._serves(slot):
            self._do(slot, lambda now: decide(slot.shard, now), None)

    def marker(self, number: int, producer_id: int, producer_epoch: int, *, commit: bool) -> None:
        """A transaction marker was appended to a partition of the topic."""
        slot = self._slots.get(number)
        if slot is not None and slot.loaded:
            slot.shard.replay_marker(producer_id, producer_epoch, commit=commit)

    def _do(self, slot: Slot[S], decide: Callable[[Now], Effects], ticket: Ticket | None) -> None:
        try:
            effects = decide(self.now())
        except KafkaError as error:
            if ticket is None:
                raise
            ticket.fail(error.code)
            return
        self._carry_out(slot, effects)

    def _carry_out(self, slot: Slot[S], effects: Effects) -> None:
        """Append and replay, set timers, and let the replies wait; see `Effects`."""
        if effects.records:
            error = self._append(slot, effects)
            if error:
                if effects.refused is not None:
                    self._carry_out(slot, effects.refused(client_error(error)))
                    return
                for ticket, _ in effects.replies:
                    ticket.fail(client_error(error))
                return
        for key, at_ms in effects.timers:
            name = (slot.number, key)
            if at_ms is None:
                self.timers.cancel(name)
            else:
                self.timers.set(name, at_ms)
        if effects.replies or effects.orders:
            self._settle(slot, effects.replies, effects.orders)

    def _append(self, slot: Slot[S], effects: Effects) -> ErrorCode:
        hosted = slot.hosted
        assert hosted is not None
        now_ms = self._broker.clock.wall_ms()
        rows: list[NewRecord] = [(*encode_record(record), now_ms, ()) for record in effects.records]
        if not effects.divisible:
            return self._append_batch(slot, effects, effects.records, rows)
        limit = hosted.log.config.max_message_bytes
        for start, end in pairwise(cuts(rows, limit)):
            error = self._append_batch(slot, effects, effects.records[start:end], rows[start:end])
            if error:
                return error
        return ErrorCode.NONE

    def _append_batch(
        self,
        slot: Slot[S],
        effects: Effects,
        records: Sequence[AnyRecord],
        rows: Sequence[NewRecord],
    ) -> ErrorCode:
        hosted = slot.hosted
        assert hosted is not None
        producer_id, producer_epoch = effects.producer or (-1, -1)
        batch = build_batch(
            rows,
            codec=self._settings.codec,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            transactional=effects.producer is not None,
        )
        if effects.producer is not None:
            verified = self._broker.config.get_bool("transaction.partition.verification.enable")
            code, _ = hosted.log.producers.check(
                read_header(batch), effects.guard, client=False, verify=verified
            )
            if code:
                return ErrorCode(code)
        appended = append_own(hosted, batch, limited=not effects.divisible)
        if appended.error:
            return appended.error
        offset, now_ms = appended.base_offset, rows[0][2]
        for at, record in enumerate(records):
            slot.shard.replay(record, Origin(offset + at, now_ms, producer_id, producer_epoch))
        return ErrorCode.NONE

    def reply_later(self, slot: Slot[S], ticket: Ticket, now_ms: int) -> None:
        """Answer a ticket that knows its answer when what is appended by now is committed (there is
        something that is not)."""
        hosted = slot.hosted
        assert hosted is not None
        deadline = now_ms + self._settings.write_timeout_ms
        slot.pending.append(_Pending(hosted.log.end_offset, deadline, [(ticket, _KNOWN)], []))

    def _settle(
        self, slot: Slot[S], replies: list[tuple[Ticket, Message]], orders: list[object]
    ) -> None:
        """Let replies and orders wait for what is appended by now."""
        hosted = slot.hosted
        assert hosted is not None
        deadline = self._broker.clock.monotonic_ms() + self._settings.write_timeout_ms
        pending = _Pending(hosted.log.end_offset, deadline, replies, orders)
        if pending.end_offset <= hosted.replica.high_watermark and not slot.pending:
            self._committed(slot, pending)
        else:
            slot.pending.append(pending)

    def _committed(self, slot: Slot[S], pending: _Pending) -> None:
        for ticket, response in pending.replies:
            ticket.answer(response)
        for order in pending.orders:
            assert self._order is not None
            self._order(slot.number, order)

    # -- partitions ------------------------------------------------------------------------------

    def notify(self, key: PartitionKey) -> None:
        """The partition changed (`Watcher`): its high watermark moved, or it is lost."""
        slot = self._slots.get(key[1])
        if slot is None or not slot.loaded:
            return
        if not self._serves(slot):
            self._unload(slot)
            return
        assert slot.hosted is not None
        high_watermark = slot.hosted.replica.high_watermark
        pending = slot.pending
        while pending and pending[0].end_offset <= high_watermark:
            self._committed(slot, pending.popleft())

    def expire(self, now_ms: int) -> None:
        """Send away replies that wait too long for their records; these stay in the log, and so
        orders go on waiting."""
        for slot in list(self._slots.values()):
            late = [each for each in slot.pending if each.deadline_ms <= now_ms and each.replies]
            for each in late:
                replies = each.replies.copy()
                each.replies.clear()
                if not each.orders:
                    slot.pending.remove(each)
                for ticket, _ in replies:
                    ticket.fail(client_error(ErrorCode.REQUEST_TIMED_OUT))

    def publish(self, old: MetadataImage, new: MetadataImage, delta: MetadataDelta) -> None:
        """Metadata changed: shards that are led elsewhere, or whose topic is gone, are unloaded; what
        is led here from now on is loaded. Nobody may ask for a transaction that has to end."""
        del old
        if delta.topics is None:
            return
        for slot in list(self._slots.values()):
            if slot.hosted is not None and not self._serves(slot):
                self._unload(slot)
        topic = new.topics.by_name.get(self.topic)
        if topic is not None and topic.id in delta.topics.changed:
            self.load_all()

    def load_all(self) -> None:
        """Load what this node leads and has records of: sessions and transactions go on."""
        topic = self._broker.image.topics.by_name.get(self.topic)
        for number in () if topic is None else topic.partitions:
            used = self._broker.has_files(self.topic, number) and number not in self._slots
            if used and not self._check(number):
                self._load(number)

    def stop(self) -> None:
        """The node stops: everybody who waits is sent to look for another coordinator."""
        self._stopping = True
        for slot in list(self._slots.values()):
            self._unload(slot)
        self.timers.close()

    def _check(self, number: int) -> ErrorCode:
        if self._stopping or number >= self.partitions:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE
        partition = self._broker.image.topics.partition(self.topic, number)
        if partition is None or partition.leader != self._broker.node_id:
            return ErrorCode.NOT_COORDINATOR
        found = self._broker.partitions.get(self.topic, number)
        return client_error(found) if isinstance(found, ErrorCode) else ErrorCode.NONE

    def _serves(self, slot: Slot[S]) -> bool:
        hosted = slot.hosted
        return (
            hosted is not None and not hosted.error() and hosted.replica.leader_epoch == slot.epoch
        )

    def _load(self, number: int) -> Slot[S]:
        old = self._slots.get(number)
        if old is not None:
            self._unload(old)
        slot = self._slots[number] = Slot(number, self._make_shard(number))
        self._broker.spawn(self._loaded(slot))
        self._broker.clock.call_later(LOAD_WAIT_MS, lambda: self._waited(slot))
        return slot

    async def _loaded(self, slot: Slot[S]) -> None:
        broker = self._broker
        error = ErrorCode.NONE
        begun_ms = broker.clock.monotonic_ms()
        hosted = await broker.partitions.open(self.topic, slot.number)
        if isinstance(hosted, ErrorCode):
            self._give_up(slot, hosted)
            return
        slot.hosted = hosted
        slot.epoch = hosted.replica.leader_epoch
        try:
            doors = Doors(broker.executor, broker.clock, broker.keep)
            turn = broker.coordinators.turns.join(lambda: bool(slot.waiting))
            count = await load_shard(hosted, slot.shard, self._types, doors, turn)
        except KafkaError as failure:
            error = failure.code
        except (OSError, LogDamaged) as failure:
            broker.storage_failed(hosted, failure)
            error = ErrorCode.KAFKA_STORAGE_ERROR
        if error or self._slots.get(slot.number) is not slot or not self._serves(slot):
            self._give_up(slot, error or ErrorCode.NOT_LEADER_OR_FOLLOWER)
            return
        slot.loaded = True
        now_ms = broker.clock.monotonic_ms()
        self.loads.append((now_ms, now_ms - begun_ms))
        if count:
            log.info("%s-%d is loaded: %d records", self.topic, slot.number, count)
        hosted.watch(self, (self.topic, slot.number))
        self._carry_out(slot, slot.shard.activate(self.now()))
        waiting, slot.waiting = slot.waiting, []
        for request in waiting:
            self.run_on(slot.number, request.decide, request.ticket)

    def _waited(self, slot: Slot[S]) -> None:
        """Those who wait for the shard have waited long enough."""
        if not slot.loaded:
            waiting, slot.waiting = slot.waiting, []
            for request in waiting:
                request.ticket.fail(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)

    def _give_up(self, slot: Slot[S], error: ErrorCode) -> None:
        if self._slots.get(slot.number) is slot:
            del self._slots[slot.number]
        waiting, slot.waiting = slot.waiting, []
        for request in waiting:
            request.ticket.fail(client_error(error))

    def _unload(self, slot: Slot[S]) -> None:
        if self._slots.get(slot.number) is slot:
            del self._slots[slot.number]
        self.timers.drop(slot.number)
        if slot.hosted is not None:
            slot.hosted.unwatch(self, (self.topic, slot.number))
        tickets = [ticket for each in slot.pending for ticket, _ in each.replies]
        tickets += [request.ticket for request in slot.waiting]
        slot.pending.clear()
        slot.waiting = []
        if slot.loaded:
            tickets += slot.shard.unload()
        slot.loaded = False
        for ticket in tickets:
            ticket.fail(ErrorCode.NOT_COORDINATOR)

    def _timer(self, number: int, key: TimerKey) -> None:
        self.act(number, lambda shard, now: shard.timer(key, now))
