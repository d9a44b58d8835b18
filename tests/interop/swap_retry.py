"""An idempotent producer whose acknowledgement got lost in the swap: it sends its last batch again."""

from __future__ import annotations

import time

from barnabas.records.builder import build_batch
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import ProduceResponse
from tests.hostile.target import WAIT_SECONDS, Client
from tests.interop.kafka import HOST, Node
from tests.interop.seen import ask

RECORDS = 3
NEW_TOPIC = {ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.NOT_LEADER_OR_FOLLOWER}
"""What Kafka answers for a moment after a topic was created."""

VERSION = 12
"""The last version of Produce that names topics."""


class Retrier:
    """A producer with an id from one node, which goes on with whichever node has the directory."""

    def __init__(self, node: Node, topic: str) -> None:
        self.topic = topic
        self.sequence = 0
        self.last = (b"", -1)
        self.producer_id, self.epoch = self._init(node)

    @staticmethod
    def _init(node: Node) -> tuple[int, int]:
        request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            with Client((HOST, node.port)) as client:
                answer = ask(client, request, 4, InitProducerIdResponse)
            if answer.error_code != ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
                assert answer.error_code == 0
                return answer.producer_id, answer.producer_epoch
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def go_on(self, node: Node) -> None:
        """Two more batches, acknowledged."""
        for _ in range(2):
            batch = self._batch(self.sequence)
            error, offset = self._produce(node, batch)
            assert error == ErrorCode.NONE
            self.last = (batch, offset)
            self.sequence += RECORDS

    def retry(self, node: Node) -> None:
        """The last batch again gets its first answer; one after a gap is refused."""
        batch, offset = self.last
        assert self._produce(node, batch) == (ErrorCode.NONE, offset)
        error, _ = self._produce(node, self._batch(self.sequence + RECORDS))
        assert error == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER

    def _batch(self, sequence: int) -> bytes:
        now = int(time.time() * 1000)
        return bytes(
            build_batch(
                [(b"%d" % (sequence + at), b"retried", now, ()) for at in range(RECORDS)],
                producer_id=self.producer_id,
                producer_epoch=self.epoch,
                base_sequence=sequence,
            )
        )

    def _produce(self, node: Node, batch: bytes) -> tuple[int, int]:
        data = [TopicProduceData(self.topic, partition_data=[PartitionProduceData(0, batch)])]
        request = ProduceRequest(acks=-1, timeout_ms=10_000, topic_data=data)
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            with Client((HOST, node.port)) as client:
                answer = ask(client, request, VERSION, ProduceResponse)
            partition = answer.responses[0].partition_responses[0]
            if partition.error_code not in NEW_TOPIC or time.monotonic() > deadline:
                return partition.error_code, partition.base_offset
            time.sleep(0.05)
