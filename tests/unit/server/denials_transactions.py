"""Requests about transactions, from somebody who may do nothing (see `denials`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from barnabas.records.builder import build_batch
from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message
from barnabas.wire.messages import (
    add_offsets_to_txn_request,
    add_partitions_to_txn_request,
    describe_transactions_request,
    end_txn_request,
    list_transactions_request,
    produce_request,
    txn_offset_commit_request,
    write_txn_markers_request,
)
from tests.unit.server.denials_kinds import Build, Denial, World

TXN_DENIED: Final = ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
CLUSTER_DENIED: Final = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
TOPIC_DENIED: Final = ErrorCode.TOPIC_AUTHORIZATION_FAILED
GROUP_DENIED: Final = ErrorCode.GROUP_AUTHORIZATION_FAILED
NONE: Final = ErrorCode.NONE


def produce_in_transaction(world: World) -> Iterator[Denial]:
    """A Produce of transactional records, with a transactional id and without."""
    batch = build_batch(
        [(None, b"denied", world.now_ms, ())],
        producer_id=7,
        producer_epoch=0,
        base_sequence=0,
        transactional=True,
    )
    for transactional_id in ("x", None):
        part = produce_request.PartitionProduceData(0, bytes(batch))
        topic = produce_request.TopicProduceData("t", world.topic_id, [part])
        request = produce_request.ProduceRequest(transactional_id, -1, 5000, [topic])
        yield Denial(request, (TXN_DENIED,), f"in a transaction, {transactional_id=}")


def _add_partitions(_world: World, version: int, _listener: str) -> Iterator[Denial]:
    topic = add_partitions_to_txn_request.AddPartitionsToTxnTopic("t", [0])
    if version >= 4:
        each = add_partitions_to_txn_request.AddPartitionsToTxnTransaction(
            "x", 7, 0, topics=[topic]
        )
        request = add_partitions_to_txn_request.AddPartitionsToTxnRequest([each])
        yield Denial(request, (CLUSTER_DENIED,))
        return
    request = add_partitions_to_txn_request.AddPartitionsToTxnRequest(
        v3_and_below_transactional_id="x",
        v3_and_below_producer_id=7,
        v3_and_below_producer_epoch=0,
        v3_and_below_topics=[topic],
    )
    yield Denial(request, (NONE, TXN_DENIED))


def _add_offsets(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    yield Denial(add_offsets_to_txn_request.AddOffsetsToTxnRequest("x", 7, 0, "g"), (TXN_DENIED,))


def _end_txn(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    yield Denial(end_txn_request.EndTxnRequest("x", 7, 0, True), (TXN_DENIED,))


def _write_txn_markers(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    topic = write_txn_markers_request.WritableTxnMarkerTopic("t", [0])
    marker = write_txn_markers_request.WritableTxnMarker(7, 0, True, [topic], 0)
    yield Denial(write_txn_markers_request.WriteTxnMarkersRequest([marker]), (CLUSTER_DENIED,))


def _txn_offset_commit(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    part = txn_offset_commit_request.TxnOffsetCommitRequestPartition(0, 1)
    topic = txn_offset_commit_request.TxnOffsetCommitRequestTopic("t", [part])
    request = txn_offset_commit_request.TxnOffsetCommitRequest("x", "g", 7, 0, topics=[topic])
    yield Denial(request, (TXN_DENIED,))


def _describe_transactions(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    request = describe_transactions_request.DescribeTransactionsRequest(["x"])
    yield Denial(request, (TXN_DENIED,))


def _list_transactions(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    yield Denial(list_transactions_request.ListTransactionsRequest(), (NONE,))


class InPart(NamedTuple):
    """What somebody asks who may do anything but with one resource, and the codes, sorted."""

    kind: str
    name: str
    key: int
    versions: range
    request: Message
    codes: tuple[int, ...]


def _in_part() -> Iterator[InPart]:
    Topic = add_partitions_to_txn_request.AddPartitionsToTxnTopic
    for topics, codes in (
        ([Topic("t", [0])], (TOPIC_DENIED,)),
        (
            [Topic("t", [0]), Topic("new", [0])],
            (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, TOPIC_DENIED),
        ),
        ([Topic("t", [0]), Topic("u", [0])], (TOPIC_DENIED, ErrorCode.OPERATION_NOT_ATTEMPTED)),
    ):
        added = add_partitions_to_txn_request.AddPartitionsToTxnRequest(
            v3_and_below_transactional_id="x",
            v3_and_below_producer_id=7,
            v3_and_below_producer_epoch=0,
            v3_and_below_topics=topics,
        )
        yield InPart("TOPIC", "t", 24, range(4), added, (NONE, *codes))
    offsets = add_offsets_to_txn_request.AddOffsetsToTxnRequest("x", 7, 0, "g")
    yield InPart("GROUP", "g", 25, range(5), offsets, (GROUP_DENIED,))
    part = txn_offset_commit_request.TxnOffsetCommitRequestPartition(0, 1)
    topic = txn_offset_commit_request.TxnOffsetCommitRequestTopic("t", [part])
    commit = txn_offset_commit_request.TxnOffsetCommitRequest("x", "g", 7, 0, topics=[topic])
    yield InPart("GROUP", "g", 28, range(6), commit, (GROUP_DENIED,))
    yield InPart("TOPIC", "t", 28, range(6), commit, (TOPIC_DENIED,))
    yield InPart("TRANSACTIONAL_ID", "x", 28, range(6), commit, (TXN_DENIED,))


DENIED_IN_PART: Final = tuple(_in_part())

TRANSACTION_DENIALS: Final[dict[int, Build]] = {
    24: _add_partitions,
    25: _add_offsets,
    26: _end_txn,
    27: _write_txn_markers,
    28: _txn_offset_commit,
    65: _describe_transactions,
    66: _list_transactions,
}
