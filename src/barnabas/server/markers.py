"""Transaction markers: the control records that end transactions on the partitions led here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from barnabas.records.control import EndMarker, build_marker
from barnabas.server.append import append_own
from barnabas.server.coordinators.internal_topics import CONSUMER_OFFSETS
from barnabas.wire.errors import ErrorCode

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.partitions import HostedPartition

Place: TypeAlias = tuple[str, int]
"""Topic and partition."""


class Marker(NamedTuple):
    """How the transaction of a producer ended, and who says so."""

    producer_id: int
    producer_epoch: int
    commit: bool
    coordinator_epoch: int
    transaction_version: int


class _Committed:
    """Waits for a marker to be safe."""

    __slots__ = ("deadline_ms", "future")

    def __init__(self, deadline_ms: int) -> None:
        self.deadline_ms = deadline_ms
        self.future: asyncio.Future[ErrorCode] = asyncio.get_running_loop().create_future()

    def reached(self, hosted: HostedPartition, error: ErrorCode) -> None:
        """It is, or will not be."""
        del hosted
        if not self.future.done():
            self.future.set_result(error)


async def write_markers(
    broker: Broker, marker: Marker, places: Iterable[Place]
) -> dict[Place, ErrorCode]:
    """Append a marker to each partition and wait until all are committed.

    Errors: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR,
    NOT_ENOUGH_REPLICAS, REQUEST_TIMED_OUT, INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED.
    """
    results: dict[Place, ErrorCode] = {}
    waiting: list[tuple[Place, _Committed]] = []
    for place in places:
        found = broker.partitions.get(*place)
        if found is None:
            found = await broker.partitions.open(*place)
        if isinstance(found, ErrorCode):
            results[place] = found
            continue
        results[place] = _append(broker, found, marker)
        if not results[place] and found.log.end_offset > found.replica.high_watermark:
            waiter = _Committed(broker.coarse_ms + broker.config.get_int("request.timeout.ms"))
            found.wait_committed(found.log.end_offset, waiter)
            waiting.append((place, waiter))
    for place, waiter in waiting:
        results[place] = await waiter.future
    return results


def _append(broker: Broker, hosted: HostedPartition, marker: Marker) -> ErrorCode:
    """Check and append, without waiting."""
    error = hosted.error()
    if error:
        return error
    if -1 in (marker.producer_id, marker.producer_epoch, marker.transaction_version):
        return ErrorCode.UNKNOWN_SERVER_ERROR  # as with Kafka: nobody sends that
    code = hosted.log.producers.check_marker(
        marker.producer_id,
        marker.producer_epoch,
        marker.coordinator_epoch,
        marker.transaction_version,
    )
    if code:
        return ErrorCode(code)
    end = EndMarker(marker.commit, marker.coordinator_epoch)
    batch = build_marker(marker.producer_id, marker.producer_epoch, end, broker.clock.wall_ms())
    appended = append_own(hosted, batch, limited=False)
    if not appended.error and hosted.topic == CONSUMER_OFFSETS:
        broker.coordinators.marker(
            hosted.index, marker.producer_id, marker.producer_epoch, commit=marker.commit
        )
    return appended.error
