"""One Fetch on its way: read what is there, or wait until enough is (facts of Kafka's `FetchPurgatory`).

A fetch always works on a session. A request without one gets a session of its own for as long as
it lasts, so that there is one way to read and one way to wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from barnabas.log.errors import LogDamaged, OffsetOutOfRange, StorageError
from barnabas.log.read import ColdRead, ReadResult, bytes_between, read
from barnabas.ports import Timer
from barnabas.security.operations import Operation
from barnabas.server.fetch_response import FetchResult, Node, about_size, encode
from barnabas.server.fetch_sessions import (
    NO_SESSION,
    FetchPartition,
    FetchSession,
    PartitionKey,
)
from barnabas.server.limits import FETCH_CROWDED_BYTES
from barnabas.server.partitions import Found, HostedPartition
from barnabas.wire import uuids
from barnabas.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Payload, Request

READ_UNCOMMITTED: Final = 0
READ_COMMITTED: Final = 1
LEADERS_FROM: Final = 16
NOT_READ: Final = {
    ErrorCode.UNKNOWN_TOPIC_ID,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode.TOPIC_AUTHORIZATION_FAILED,
}
"""Errors of a partition that are known before it is looked for in a log directory."""


class Look:
    """What one pass over the partitions found; `cold` maps a place in `results` to its read."""

    __slots__ = ("closed", "cold", "enough", "results")

    def __init__(self) -> None:
        #: Partitions that have to be opened first.
        self.closed: list[FetchPartition] = []
        self.results: list[FetchResult] = []
        self.cold: dict[int, ColdRead] = {}
        self.enough = False


class FetchOperation:
    """Reads for one request; parked until data arrives, something changes or time is over."""

    __slots__ = (
        "_broker",
        "_finished",
        "_min_bytes",
        "_passes",
        "_reading",
        "_replica_id",
        "_request",
        "_response_bytes",
        "_scheduled",
        "_session",
        "_timer",
        "committed_only",
        "full",
        "session_id",
        "version",
    )

    def __init__(
        self,
        broker: Broker,
        request: Request,
        session: FetchSession,
        *,
        session_id: int,
        full: bool,
        max_bytes: int,
        min_bytes: int,
        isolation_level: int,
        replica_id: int,
    ) -> None:
        self._broker = broker
        self._request = request
        self._session = session
        self.session_id = session_id
        self.full = full
        self.version = request.api_version
        self.committed_only = isolation_level == READ_COMMITTED
        self._response_bytes = min(max_bytes, broker.fetch_max_bytes, broker.memory.fetch_bytes())
        if broker.quotas.active and replica_id < 0:
            self._response_bytes = broker.quotas.fetch_bytes(request, self._response_bytes)
        self._min_bytes = min(min_bytes, self._response_bytes)
        self._replica_id = replica_id
        self._timer: Timer | None = None
        self._scheduled = False
        self._reading = False
        self._finished = False
        #: Counts among the parked fetches without a session.
        self._passes = False

    # -- the way of a fetch ----------------------------------------------------------------------

    def start(self, max_wait_ms: int) -> Payload | None:
        """Answer at once when there is reason to, else park."""
        look = self._look()
        if not (look.cold or look.closed) and (
            look.enough or max_wait_ms <= 0 or not self._session.partitions
        ):
            return self._finish(look.results)
        self._request.connection.parked = self
        if look.closed:
            self._reading = True
            self._broker.spawn(self._open(look.closed, max_wait_ms), self._request)
        elif look.cold:
            self._go_cold(look)
        elif not self._may_park():
            return self._finish(look.results)
        else:
            self._request.patience_ns = max_wait_ms * 1_000_000
            meter = self._request.connection.outbox.meter
            over = self._time_over if meter is None else partial(meter.run, self._time_over)
            self._timer = self._broker.clock.call_later(max_wait_ms, over)
            self._session.waiter = self._wake
        return None

    def _may_park(self) -> bool:
        """One without a session holds its partitions while it waits; beyond a bound none waits."""
        if self._passes or self.session_id != NO_SESSION:
            return True
        self._passes = self._broker.sessions.park(self._session)
        return self._passes

    async def _open(self, closed: list[FetchPartition], max_wait_ms: int) -> None:
        """Partitions that are used for the first time; then begin again."""
        for partition in closed:
            await self._broker.partitions.open(partition.topic or "", partition.index)
        self._reading = False
        if not self._finished:
            payload = self.start(max_wait_ms)
            if payload is not None:
                self._request.respond(payload)

    def _wake(self) -> None:
        """Something changed: look again at the end of this turn of the loop, once for all changes."""
        if not self._scheduled:
            self._scheduled = True
            meter = self._request.connection.outbox.meter
            self._broker.call_soon(
                self._attempt if meter is None else partial(meter.run, self._attempt)
            )

    def _attempt(self) -> None:
        self._scheduled = False
        if not self._finished and not self._reading and self._enough_waiting():
            self._answer(self._look(), late=False)

    def _time_over(self) -> None:
        if not self._finished and not self._reading:
            self._answer(self._look(), late=True)

    def _answer(self, look: Look, *, late: bool) -> None:
        if look.closed:
            self._reading = True
            self._broker.spawn(self._open(look.closed, 0), self._request)
        elif look.cold:
            self._go_cold(look)
        elif look.enough or late:
            self._request.respond(self._finish(look.results))

    def _go_cold(self, look: Look) -> None:
        self._reading = True
        self._broker.spawn(self._read_cold(look), self._request)

    def _finish(self, results: list[FetchResult]) -> Payload:
        self.cancel()
        quotas = self._broker.quotas
        if quotas.active and self._replica_id < 0:
            throttle_ms = quotas.fetched(self._request, about_size(results))
            if throttle_ms:
                return self._throttled(throttle_ms)
        told = self._settle(results)
        if self.session_id == 0:
            self._session.close()
        endpoints: list[Node] = []
        if self.version >= LEADERS_FROM and any(result.leader for result in told):
            leaders = {result.leader[0] for result in told if result.leader}
            endpoints = [
                Node(n.id, n.host, n.port, n.rack)
                for n in self._broker.nodes(self._request.connection)
                if n.id in leaders
            ]
        return encode(
            self.version,
            self._request.correlation_id,
            self.session_id,
            ErrorCode.NONE,
            told,
            endpoints,
        )

    def _throttled(self, throttle_ms: int) -> Payload:
        """Nothing, and nothing is noted as told. A new session begins with the next request."""
        if self.full:
            self._broker.sessions.remove(self.session_id)
            self._session.close()
            self.session_id = NO_SESSION
        return encode(
            self.version,
            self._request.correlation_id,
            self.session_id,
            ErrorCode.NONE,
            (),
            throttle_ms=throttle_ms,
        )

    def cancel(self) -> None:
        """Stop waiting: answered, or the client is gone."""
        self._finished = True
        if self._session.waiter == self._wake:  # else the client has another fetch parked by now
            self._session.waiter = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._request.connection.parked = None
        if self._passes:
            self._passes = False
            self._broker.sessions.unpark(self._session)

    def hurry(self) -> None:
        """Answer with what is there."""
        self._time_over()

    def abandon(self) -> None:
        """The client is gone."""
        self.cancel()
        if self.session_id == 0:
            self._session.close()

    # -- reading ---------------------------------------------------------------------------------

    def _enough_waiting(self) -> bool:
        """A cheap estimate, without reading, of whether `min_bytes` are there."""
        if self._min_bytes <= 1:
            return True
        total = 0
        for key in self._session.dirty:
            partition = self._session.partitions[key]
            hosted = partition.hosted
            if hosted is None or hosted.error():
                return True
            upper = self._upper(hosted)
            if partition.offset > upper:
                return True
            try:
                waiting = bytes_between(hosted.log, partition.offset, upper)
            except (KafkaError, OSError):
                return True
            if waiting is None:
                return True
            total += min(waiting, partition.max_bytes)
            if total >= self._min_bytes:
                return True
        return False

    def _upper(self, hosted: HostedPartition) -> int:
        if self.committed_only:
            return hosted.last_stable_offset
        return hosted.replica.high_watermark

    def _look(self) -> Look:
        """Read every partition that may have something."""
        session = self._session
        look = Look()
        budget = self._response_bytes
        for key in list(session.dirty):
            partition = session.partitions[key]
            hosted = self._find(key, partition)
            if hosted is None:
                look.closed.append(partition)
                continue
            if isinstance(hosted, ErrorCode):
                # Kafka says it of what it does not read with an empty list, else with none.
                unread = hosted in NOT_READ
                result = FetchResult(partition, hosted, aborted=() if unread else None)
            else:
                result = self._examine(hosted, partition)
                if not result.error and result.diverging is None:
                    result = self._read(look, hosted, result, budget)
            look.results.append(result)
            budget -= len(result.records)
            if result.error or result.diverging:
                look.enough = True
        if self._response_bytes - budget >= self._min_bytes:
            look.enough = True
        return look

    def _examine(self, hosted: HostedPartition, partition: FetchPartition) -> FetchResult:
        """Everything but the records: epochs, leadership, range (facts/replication 3.2, 7 to 14)."""
        replica, log = hosted.replica, hosted.log
        error = replica.check_epoch(partition.leader_epoch)
        if not error:
            error = self._check_reader(hosted, partition)
        if error:
            hint = error in (ErrorCode.FENCED_LEADER_EPOCH, ErrorCode.NOT_LEADER_OR_FOLLOWER)
            told = hint and self.version >= LEADERS_FROM
            leader = (replica.leader_id, replica.leader_epoch) if told else None
            return FetchResult(partition, error, leader=leader)
        diverging = None
        if partition.last_fetched_epoch >= 0:
            epoch, end = log.epochs.end_offset_for(partition.last_fetched_epoch, log.end_offset)
            if epoch < 0:
                return FetchResult(partition, ErrorCode.OFFSET_OUT_OF_RANGE)
            if epoch < partition.last_fetched_epoch or end < partition.offset:
                diverging = (epoch, end)
        if partition.offset < log.log_start_offset or (
            diverging is None and partition.offset > log.end_offset
        ):
            return FetchResult(partition, ErrorCode.OFFSET_OUT_OF_RANGE)
        return FetchResult(
            partition,
            ErrorCode.NONE,
            replica.high_watermark,
            hosted.last_stable_offset,
            log.log_start_offset,
            aborted=() if self.committed_only else None,
            diverging=diverging,
        )

    def _read(
        self, look: Look, hosted: HostedPartition, result: FetchResult, budget: int
    ) -> FetchResult:
        """Add the records; notes in `look` what has to be read on the executor."""
        partition = result.partition
        upper = result.last_stable_offset if self.committed_only else result.high_watermark
        first = budget == self._response_bytes and not look.cold
        if partition.offset < upper and min(partition.max_bytes, self._response_bytes) < 0:
            return FetchResult(partition, ErrorCode.UNKNOWN_SERVER_ERROR)
        if self._broker.memory.answers_full:
            budget -= max(0, self._response_bytes - FETCH_CROWDED_BYTES)
            first = False
        if partition.offset >= upper or (budget <= 0 and not first):
            return result
        try:
            found = read(
                hosted.log,
                partition.offset,
                max(0, min(partition.max_bytes, budget)),
                upper,
                at_least_one=first,
                aborted=self.committed_only,
            )
        except OffsetOutOfRange:
            return FetchResult(partition, ErrorCode.OFFSET_OUT_OF_RANGE)
        except (StorageError, LogDamaged, OSError) as failure:
            return self._storage_failed(partition, hosted, failure)
        except KafkaError as refused:
            return FetchResult(partition, refused.code)
        if isinstance(found, ColdRead):
            look.cold[len(look.results)] = found
            look.enough = True
            return result
        return result._replace(records=found.data, aborted=self._aborted(found))

    def _aborted(self, found: ReadResult) -> Sequence[tuple[int, int]] | None:
        if not self.committed_only:
            return None
        return [(txn.producer_id, txn.first_offset) for txn in found.aborted or ()]

    def _storage_failed(
        self, partition: FetchPartition, hosted: HostedPartition, failure: Exception
    ) -> FetchResult:
        self._broker.storage_failed(hosted, failure)
        if isinstance(failure, LogDamaged):
            return FetchResult(partition, failure.code)
        return FetchResult(partition, self._storage_error())

    def _storage_error(self) -> ErrorCode:
        """Clients of v5 and older do not know KAFKA_STORAGE_ERROR."""
        if self.version <= 5:
            return ErrorCode.NOT_LEADER_OR_FOLLOWER
        return ErrorCode.KAFKA_STORAGE_ERROR

    def _find(self, key: PartitionKey, partition: FetchPartition) -> Found:
        """The partition's replica here, or why it cannot be read (facts/replication 3.2, 1 to 6)."""
        broker = self._broker
        hosted = partition.hosted
        if hosted is None or hosted.gone:
            name = partition.topic
            if partition.topic_id != uuids.ZERO:
                topic = broker.image.topics.by_id.get(partition.topic_id)
                if topic is None:
                    self._session.bind(key, None)
                    return ErrorCode.UNKNOWN_TOPIC_ID
                name = partition.topic = topic.name
            elif name is None:
                return ErrorCode.UNKNOWN_TOPIC_ID
            if not broker.allowed.topic(self._request, Operation.READ, name or ""):
                # Before anything else: who may not read it does not learn whether it exists.
                self._session.bind(key, None)
                return ErrorCode.TOPIC_AUTHORIZATION_FAILED
            found = broker.partitions.get(name or "", partition.index)
            if found is None:
                return None
            if isinstance(found, ErrorCode):
                self._session.bind(key, None)
                return self._storage_error() if found is ErrorCode.KAFKA_STORAGE_ERROR else found
            hosted = found
            self._session.bind(key, hosted)
        if not broker.allowed.topic(self._request, Operation.READ, hosted.topic):
            return ErrorCode.TOPIC_AUTHORIZATION_FAILED
        return hosted

    def _check_reader(self, hosted: HostedPartition, partition: FetchPartition) -> ErrorCode:
        """Leadership, and whether a follower belongs to the replica set (3.2, 9 and 10)."""
        replica = hosted.replica
        if not replica.is_leader and (self.version < 11 or self._replica_id >= 0):
            return ErrorCode.NOT_LEADER_OR_FOLLOWER
        others = self._replica_id in replica.replicas and self._replica_id != replica.leader_id
        if self._replica_id >= 0 and not others:
            if partition.leader_epoch >= 0:
                return ErrorCode.UNKNOWN_LEADER_EPOCH
            return ErrorCode.NOT_LEADER_OR_FOLLOWER
        return ErrorCode.NONE

    def _settle(self, results: list[FetchResult]) -> list[FetchResult]:
        """Note what the client is told; leave out what an incremental response need not say."""
        session = self._session
        told: list[FetchResult] = []
        for result in results:
            partition = result.partition
            if partition.hosted is not None:
                counters = partition.hosted.counters
                counters.fetches += 1
                counters.bytes_out += len(result.records)
                counters.failed_fetches += result.error != 0
            key: PartitionKey = (
                (partition.topic_id if session.uses_ids else partition.topic or ""),
                partition.index,
            )
            news = bool(result.error) or result.diverging is not None or len(result.records) > 0
            if (
                self.full
                or news
                or result.high_watermark != partition.high_watermark
                or result.log_start_offset != partition.log_start_offset
            ):
                told.append(result)
            partition.high_watermark = -1 if result.error else result.high_watermark
            partition.log_start_offset = result.log_start_offset
            unread = not result.error and partition.offset < (
                result.last_stable_offset if self.committed_only else result.high_watermark
            )
            session.served(key, told=news, unread=unread)
        return told

    # -- cold pages ------------------------------------------------------------------------------

    async def _read_cold(self, look: Look) -> None:
        """Pages are not in memory: read them on the executor, then answer with what came."""
        for at, cold in look.cold.items():
            result = look.results[at]
            hosted = result.partition.hosted
            assert hosted is not None
            try:
                read = await cold.run(self._broker.executor)
                look.results[at] = result._replace(records=read.data, aborted=self._aborted(read))
            except OffsetOutOfRange:
                look.results[at] = FetchResult(result.partition, ErrorCode.OFFSET_OUT_OF_RANGE)
            except (StorageError, LogDamaged, OSError) as failure:
                look.results[at] = self._storage_failed(result.partition, hosted, failure)
            except KafkaError as refused:
                look.results[at] = FetchResult(result.partition, refused.code)
        if not self._finished:
            self._request.respond(self._finish(look.results))
