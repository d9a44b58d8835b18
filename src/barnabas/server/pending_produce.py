"""Produce requests on the way: what became of each partition, and the answer when the slowest is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from barnabas.ports import Buffer
from barnabas.server.append import Appended, InTransaction
from barnabas.server.dispatch import encode_response
from barnabas.server.partitions import HostedPartition
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.produce_response import (
    BatchIndexAndErrorMessage,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionProduceResponse,
    ProduceResponse,
    TopicProduceResponse,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Payload, Request

FLEXIBLE_FROM: Final = 9
LEADER_HINTS_FROM: Final = 10

ACKS_NONE: Final = 0
ACKS_LEADER: Final = 1
ACKS_ALL: Final = -1

TOO_LARGE: Final = (ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.RECORD_LIST_TOO_LARGE)
WITHOUT_START: Final = {
    *TOO_LARGE,
    ErrorCode.CORRUPT_MESSAGE,
    ErrorCode.KAFKA_STORAGE_ERROR,
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
}
"""Errors of an append with which Kafka does not tell the log start."""


class Outcome:
    """One partition of a request, and what becomes of it."""

    __slots__ = (
        "appended",
        "hosted",
        "index",
        "records",
        "start",
        "topic",
        "topic_id",
        "unread",
        "within",
    )

    def __init__(self, topic: str, topic_id: bytes, index: int, records: Buffer | None) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.index = index
        self.records = records
        self.appended = Appended(ErrorCode.NONE)
        self.hosted: HostedPartition | None = None
        #: The log start that is told with an error.
        self.start = -1
        #: Its records have to be looked at off the loop.
        self.unread = False
        #: Set when its records are part of a transaction.
        self.within: InTransaction | None = None

    def refuse(self, error: ErrorCode, message: str | None = None) -> None:
        """Append nothing: the partition is answered with an error."""
        appended = Appended(error, message=message)
        if self.hosted is None:
            self.appended = appended
        else:
            self.settle(self.hosted, appended)
            self.hosted = None
            self.start = -1

    def settle(self, hosted: HostedPartition, appended: Appended) -> None:
        """The partition took the records, or refused them, which its topic's counters note."""
        self.appended = appended
        if appended.error:
            counters = hosted.counters
            counters.produces += 1
            counters.failed_produces += 1
            if not appended.early and appended.error not in WITHOUT_START:
                self.start = hosted.log.log_start_offset
            if appended.error in TOO_LARGE:
                counters.bytes_rejected += len(self.records or b"")


class PendingProduce:
    """A request of several partitions: answered when the slowest of them is acknowledged."""

    __slots__ = ("_broker", "_outcomes", "_request", "_throttle_ms", "_waiting")

    def __init__(
        self, broker: Broker, request: Request, outcomes: list[Outcome], acks: int
    ) -> None:
        self._throttle_ms = 0
        if broker.quotas.active:
            self._throttle_ms = broker.quotas.produced(request, answered=acks != ACKS_NONE)
        self._broker = broker
        self._request = request
        self._outcomes = outcomes
        self._waiting = 0

    def wait(self, acks: int, timeout_ms: int) -> bool:
        """Register at every partition whose offset is not safe yet; false when none is left."""
        deadline_ms = self._broker.coarse_ms + timeout_ms
        for outcome in self._outcomes:
            hosted, end = outcome.hosted, outcome.appended.end_offset
            if hosted is None or outcome.appended.error:
                continue
            if hosted.gone:  # while the records of another partition were checked: nobody tells
                outcome.appended = Appended(hosted.gone)
            elif acks == ACKS_ALL or hosted.syncs_each:
                if end > hosted.replica.high_watermark:
                    self._waiting += 1
                    hosted.wait_committed(end, _Part(self, outcome, deadline_ms))
            elif end > hosted.log.written_offset:
                self._waiting += 1
                hosted.wait_written(end, _Part(self, outcome, deadline_ms))
        return self._waiting > 0

    def reached(self, outcome: Outcome, error: ErrorCode) -> None:
        """One partition is done."""
        if error:
            outcome.appended = Appended(error)
        self._waiting -= 1
        if self._waiting == 0:
            self._request.respond(self.answer())

    def failed(self) -> bool:
        """Whether any partition failed (which closes the connection of an acks=0 producer)."""
        return any(outcome.appended.error for outcome in self._outcomes)

    def answer(self) -> Payload:
        """The response."""
        topics: dict[tuple[str, bytes], list[PartitionProduceResponse]] = {}
        leaders: set[int] = set()
        for outcome in self._outcomes:
            partitions = topics.setdefault((outcome.topic, outcome.topic_id), [])
            partitions.append(self._partition(outcome, leaders))
        request = self._request
        nodes = self._broker.nodes(request.connection) if leaders else ()
        response = ProduceResponse(
            responses=[
                TopicProduceResponse(name, topic_id, partitions)
                for (name, topic_id), partitions in topics.items()
            ],
            node_endpoints=[
                NodeEndpoint(n.id, n.host, n.port, n.rack) for n in nodes if n.id in leaders
            ],
            throttle_time_ms=self._throttle_ms,
        )
        return encode_response(request, response, request.api_version >= FLEXIBLE_FROM)

    def _partition(self, outcome: Outcome, leaders: set[int]) -> PartitionProduceResponse:
        appended, hosted = outcome.appended, outcome.hosted
        response = PartitionProduceResponse(
            outcome.index,
            appended.error,
            appended.base_offset,
            appended.append_time,
            hosted.log.log_start_offset if hosted and not appended.error else outcome.start,
            [BatchIndexAndErrorMessage(i, text) for i, text in appended.record_errors],
            appended.message,
        )
        if (
            appended.error is ErrorCode.NOT_LEADER_OR_FOLLOWER
            and self._request.api_version >= LEADER_HINTS_FROM
        ):
            partition = self._broker.image.topics.partition(outcome.topic, outcome.index)
            if partition is not None:
                response.current_leader = LeaderIdAndEpoch(partition.leader, partition.leader_epoch)
                leaders.add(partition.leader)
        return response


class _Part:
    """One partition of a `PendingProduce`, as its waiter."""

    __slots__ = ("deadline_ms", "outcome", "pending")

    def __init__(self, pending: PendingProduce, outcome: Outcome, deadline_ms: int) -> None:
        self.pending = pending
        self.outcome = outcome
        self.deadline_ms = deadline_ms

    def reached(self, hosted: HostedPartition, error: ErrorCode) -> None:
        """The offset is safe, or will not be."""
        del hosted
        self.pending.reached(self.outcome, error)
