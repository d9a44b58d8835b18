"""Fetch responses as lists of buffers: the records are never copied into the message."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from barnabas.ports import Buffer
from barnabas.server.fetch_sessions import FetchPartition
from barnabas.wire.errors import ErrorCode
from barnabas.wire.primitives import write_uvarint

_HEAD_V7 = Struct(">iihi")  # correlation id, throttle, error, session id
_HEAD_V12 = Struct(">ixihi")  # the same behind the tagged fields of the response header
_HEAD_V4 = Struct(">ii")
_PARTITION_V5 = Struct(">ihqqq")
_PARTITION_V4 = Struct(">ihqq")
_COUNT = Struct(">i")
_SHORT = Struct(">h")
_ABORTED = Struct(">qq")
_EPOCH_END = Struct(">iqb")
_LEADER = Struct(">iib")


class FetchResult(NamedTuple):
    """What one partition has to say. Offsets -1 when they are not told (errors)."""

    partition: FetchPartition
    error: ErrorCode
    high_watermark: int = -1
    last_stable_offset: int = -1
    log_start_offset: int = -1
    records: Buffer = b""
    #: (producer id, first offset) of aborted transactions; None for read_uncommitted.
    aborted: Sequence[tuple[int, int]] | None = None
    #: (epoch, end offset) where the client's log diverges from ours (KIP-595).
    diverging: tuple[int, int] | None = None
    #: (leader id, leader epoch) for a client that holds an outdated one (KIP-951).
    leader: tuple[int, int] | None = None


class Node(NamedTuple):
    """Where a broker is reached, for `nodeEndpoints` (KIP-951)."""

    id: int
    host: str
    port: int
    rack: str | None


def encode(
    version: int,
    correlation_id: int,
    session_id: int,
    error: ErrorCode,
    results: Sequence[FetchResult],
    endpoints: Sequence[Node] = (),
    throttle_ms: int = 0,
) -> list[Buffer]:
    """The response, header included, grouped by runs of the same topic."""
    flexible = version >= 12
    out = bytearray(
        _HEAD_V12.pack(correlation_id, throttle_ms, error, session_id)
        if flexible
        else _HEAD_V7.pack(correlation_id, throttle_ms, error, session_id)
        if version >= 7
        else _HEAD_V4.pack(correlation_id, throttle_ms)
    )
    buffers: list[Buffer] = []
    groups = _group(results, by_id=version >= 13)
    _count(out, len(groups), flexible)
    for group in groups:
        first = group[0].partition
        if version >= 13:
            out += first.topic_id
        else:
            name = (first.topic or "").encode()
            if flexible:
                write_uvarint(out, len(name) + 1)
            else:
                out += _SHORT.pack(len(name))
            out += name
        _count(out, len(group), flexible)
        for result in group:
            out = _partition(version, flexible, out, buffers, result)
        if flexible:
            out.append(0)
    if flexible:
        out += _endpoints(endpoints) if endpoints else b"\0"
    buffers.append(out)
    return buffers


def about_size(results: Sequence[FetchResult]) -> int:
    """What an answer weighs, give or take the length of its numbers."""
    head = _HEAD_V12.size + len(results) * (_PARTITION_V5.size + 12)
    return head + sum(len(result.records) for result in results)


def _group(results: Sequence[FetchResult], *, by_id: bool) -> list[list[FetchResult]]:
    groups: list[list[FetchResult]] = []
    last: object = None
    for result in results:
        partition = result.partition
        topic = partition.topic_id if by_id else partition.topic
        if groups and topic == last:
            groups[-1].append(result)
        else:
            groups.append([result])
            last = topic
    return groups


def _count(out: bytearray, n: int, flexible: bool) -> None:
    if flexible:
        write_uvarint(out, n + 1)
    else:
        out += _COUNT.pack(n)


def _partition(
    version: int, flexible: bool, out: bytearray, buffers: list[Buffer], result: FetchResult
) -> bytearray:
    """Append one partition; returns the bytearray that what follows is written to."""
    if version >= 5:
        out += _PARTITION_V5.pack(
            result.partition.index,
            result.error,
            result.high_watermark,
            result.last_stable_offset,
            result.log_start_offset,
        )
    else:
        out += _PARTITION_V4.pack(
            result.partition.index, result.error, result.high_watermark, result.last_stable_offset
        )
    aborted = result.aborted
    if aborted is None:
        out += b"\0" if flexible else b"\xff\xff\xff\xff"
    else:
        _count(out, len(aborted), flexible)
        for producer_id, first_offset in aborted:
            out += _ABORTED.pack(producer_id, first_offset)
            if flexible:
                out.append(0)
    if version >= 11:
        out += b"\xff\xff\xff\xff"  # preferred read replica: none
    records = result.records
    if flexible:
        write_uvarint(out, len(records) + 1)
    else:
        out += _COUNT.pack(len(records))
    if len(records) >= 1024:
        buffers.append(out)
        buffers.append(records)
        out = bytearray()
    else:
        out += records
    if flexible:
        out += _tags(result)
    return out


def _tags(result: FetchResult) -> bytes:
    diverging, leader = result.diverging, result.leader
    if diverging is None and leader is None:
        return b"\0"
    tags = bytearray([(diverging is not None) + (leader is not None)])
    if diverging is not None:
        tags += b"\x00\x0d" + _EPOCH_END.pack(*diverging, 0)
    if leader is not None:
        tags += b"\x01\x09" + _LEADER.pack(*leader, 0)
    return bytes(tags)


def _endpoints(endpoints: Sequence[Node]) -> Buffer:
    body = bytearray()
    write_uvarint(body, len(endpoints) + 1)
    for node in endpoints:
        host = node.host.encode()
        body += _COUNT.pack(node.id)
        write_uvarint(body, len(host) + 1)
        body += host
        body += _COUNT.pack(node.port)
        if node.rack is None:
            body.append(0)
        else:
            rack = node.rack.encode()
            write_uvarint(body, len(rack) + 1)
            body += rack
        body.append(0)
    out = bytearray(b"\x01\x00")
    write_uvarint(out, len(body))
    return out + body
