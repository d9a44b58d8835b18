"""Requests encoded before the clock starts, and where in their answers the loader has to look."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from pathlib import Path

from barnabas.records.builder import NewRecord, build_batch
from barnabas.wire.headers import request_frame, response_frame
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.fetch_response import (
    FetchableTopicResponse,
    FetchResponse,
    PartitionData,
)
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import (
    PartitionProduceResponse,
    ProduceResponse,
    TopicProduceResponse,
)

PRODUCE_VERSION = 13
FETCH_VERSION = 17
CLIENT_ID = "bench"
TIMESTAMP = 1_700_000_000_000
SIZE_BYTES = 4
PARTITION_FETCH_BYTES = 1 << 20
FETCH_BYTES = 50 << 20
KEY_BYTES = 16
KEYED_EVENTS = 150
# A topic id that the floor, which knows no topics, is asked for.
FLOOR_TOPIC = bytes(range(16))


@dataclass(frozen=True)
class Topic:
    """A topic on one node: what clients call it and what requests call it."""

    name: str
    id: bytes
    partitions: int


def event_batch(events: int, size: int) -> bytes:
    """A batch of `events` values of `size` bytes, without keys."""
    value = bytes(97 + number % 26 for number in range(size))
    return bytes(build_batch([(None, value, TIMESTAMP, ())] * events))


def produce_frame(topic: Topic, partition: int, events: int, size: int) -> bytes:
    """A Produce request (acks=all) with one `event_batch` for one partition."""
    return produce_request(topic, partition, event_batch(events, size))


def produce_request(topic: Topic, partition: int, batch: bytes) -> bytes:
    """A Produce request (acks=all) with one batch."""
    data = TopicProduceData(
        topic_id=topic.id, partition_data=[PartitionProduceData(index=partition, records=batch)]
    )
    request = ProduceRequest(acks=-1, timeout_ms=30_000, topic_data=[data])
    return bytes(request_frame(request, PRODUCE_VERSION, 1, CLIENT_ID))


def keyed_frames(topic: Topic, count: int, keys: int, size: int) -> list[bytes]:
    """Produce requests, each with a batch of `KEYED_EVENTS` events of `size` bytes whose keys are
    drawn from `keys`; the same in each run."""
    draw = random.Random(1)
    value = bytes(size - KEY_BYTES)
    frames = []
    for _ in range(count):
        records: list[NewRecord] = [
            (b"%0*d" % (KEY_BYTES, draw.randrange(keys)), value, TIMESTAMP, ())
            for _ in range(KEYED_EVENTS)
        ]
        frames.append(produce_request(topic, 0, bytes(build_batch(records))))
    return frames


def fetch_frame(topic: Topic, offset: int = 0) -> bytes:
    """A Fetch request without a session for partition 0, that waits up to five seconds."""
    partition = FetchPartition(
        partition=0, fetch_offset=offset, partition_max_bytes=PARTITION_FETCH_BYTES
    )
    request = FetchRequest(
        max_wait_ms=5_000,
        min_bytes=1,
        max_bytes=FETCH_BYTES,
        topics=[FetchTopic(topic_id=topic.id, partitions=[partition])],
    )
    return bytes(request_frame(request, FETCH_VERSION, 1, CLIENT_ID))


def produce_response(topic_id: bytes, error_code: int = 0) -> bytes:
    """The answer to `produce_frame`, as every node gives it."""
    partition = PartitionProduceResponse(error_code=error_code, base_offset=1, log_start_offset=0)
    topic = TopicProduceResponse(topic_id=topic_id, partition_responses=[partition])
    return bytes(response_frame(ProduceResponse(responses=[topic]), PRODUCE_VERSION, 1))


def fetch_response(topic_id: bytes, records: bytes) -> bytes:
    """The answer to `fetch_frame`, as every node gives it."""
    partition = PartitionData(
        high_watermark=1,
        last_stable_offset=1,
        log_start_offset=0,
        aborted_transactions=None,
        records=records,
    )
    topic = FetchableTopicResponse(topic_id=topic_id, partitions=[partition])
    return bytes(response_frame(FetchResponse(responses=[topic]), FETCH_VERSION, 1))


def first_difference(one: bytes, other: bytes) -> int:
    """Where two frames first differ, counted behind their sizes."""
    pairs = zip(one[SIZE_BYTES:], other[SIZE_BYTES:], strict=False)
    return next(at for at, (a, b) in enumerate(pairs) if a != b)


def error_at() -> int:
    """Where the error code stands in a Produce response."""
    return first_difference(
        produce_response(FLOOR_TOPIC), produce_response(FLOOR_TOPIC, error_code=0x0101)
    )


def records_at() -> int:
    """Where the records field stands in a Fetch response."""
    return first_difference(
        fetch_response(FLOOR_TOPIC, b""), fetch_response(FLOOR_TOPIC, bytes(60))
    )


def offset_at(topic: Topic) -> int:
    """Where the fetch offset stands in a Fetch request."""
    everywhere = struct.unpack(">q", b"\1" * 8)[0]
    return first_difference(fetch_frame(topic), fetch_frame(topic, everywhere))


def write_frames(path: Path, frames: list[bytes]) -> None:
    """The file that the wire loader reads."""
    path.write_bytes(b"".join(frames))
