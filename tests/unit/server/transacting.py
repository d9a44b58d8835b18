"""A transactional producer made of plain requests, so that each can be of any version, late or wrong."""

from __future__ import annotations

from typing import NamedTuple

from barnabas.records.batch import iter_batches
from barnabas.records.record import read_records
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.add_offsets_to_txn_request import AddOffsetsToTxnRequest
from barnabas.wire.messages.add_offsets_to_txn_response import AddOffsetsToTxnResponse
from barnabas.wire.messages.add_partitions_to_txn_request import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTopic,
)
from barnabas.wire.messages.add_partitions_to_txn_response import AddPartitionsToTxnResponse
from barnabas.wire.messages.describe_transactions_request import DescribeTransactionsRequest
from barnabas.wire.messages.describe_transactions_response import (
    DescribeTransactionsResponse,
    TransactionState,
)
from barnabas.wire.messages.end_txn_request import EndTxnRequest
from barnabas.wire.messages.end_txn_response import EndTxnResponse
from barnabas.wire.messages.find_coordinator_request import FindCoordinatorRequest
from barnabas.wire.messages.find_coordinator_response import FindCoordinatorResponse
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.list_offsets_request import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from barnabas.wire.messages.list_offsets_response import ListOffsetsResponse
from barnabas.wire.messages.offset_fetch_request import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from barnabas.wire.messages.offset_fetch_response import OffsetFetchResponse
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import ProduceResponse
from barnabas.wire.messages.txn_offset_commit_request import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from barnabas.wire.messages.txn_offset_commit_response import TxnOffsetCommitResponse
from tests.unit.server.calm import BIG, Session

NONE = ErrorCode.NONE
PLAIN_PRODUCE, BUMPING_PRODUCE = 11, 12
PLAIN_END, BUMPING_END = 4, 5
READ_COMMITTED = 1
GROUP, TRANSACTION = 0, 1
ABORT_KEY = b"\0\0\0\0"


class Who(NamedTuple):
    """A producer id and an epoch."""

    id: int
    epoch: int


class Transactor:
    """The transactional id `name`, and requests in its name."""

    def __init__(self, session: Session, name: str = "x") -> None:
        self.s = session
        self.name = name
        self.who = Who(-1, -1)
        self.sequences: dict[tuple[Who, str, int], int] = {}

    async def find(self, kind: int = TRANSACTION) -> None:
        """FindCoordinator: makes the topic."""
        request = FindCoordinatorRequest(key_type=kind, coordinator_keys=[self.name])
        answer = await self.s.ask(request, FindCoordinatorResponse)
        assert answer.coordinators[0].error_code == NONE
        assert answer.coordinators[0].node_id == 1

    async def try_init(self, timeout_ms: int = 60_000) -> ErrorCode:
        """InitProducerId once."""
        request = InitProducerIdRequest(self.name, timeout_ms)
        answer = await self.s.ask(request, InitProducerIdResponse)
        if answer.error_code == NONE:
            self.who = Who(answer.producer_id, answer.producer_epoch)
        return ErrorCode(answer.error_code)

    async def init(self, timeout_ms: int = 60_000) -> Who:
        """InitProducerId as often as it takes."""
        await self.find()
        while code := await self.try_init(timeout_ms):
            assert code is ErrorCode.CONCURRENT_TRANSACTIONS
            await self.s.sleep(10)
        return self.who

    async def add(self, topic: str, index: int = 0, *, who: Who | None = None) -> ErrorCode:
        """AddPartitionsToTxn, as clients send it."""
        producer_id, epoch = who or self.who
        request = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self.name,
            v3_and_below_producer_id=producer_id,
            v3_and_below_producer_epoch=epoch,
            v3_and_below_topics=[AddPartitionsToTxnTopic(topic, [index])],
        )
        answer = await self.s.ask(request, AddPartitionsToTxnResponse, 3)
        results = answer.results_by_topic_v3_and_below[0].results_by_partition
        return ErrorCode(results[0].partition_error_code)

    async def send(
        self,
        topic: str,
        *values: bytes,
        index: int = 0,
        version: int = BUMPING_PRODUCE,
        who: Who | None = None,
        sequence: int | None = None,
        name: str | None = "",
    ) -> ErrorCode:
        """Produce one batch; `name` None is a request without transactional id."""
        who = who or self.who
        place = (who, topic, index)
        first = self.sequences.get(place, 0) if sequence is None else sequence
        batch = self.s.batch(
            *values,
            producer_id=who.id,
            producer_epoch=who.epoch,
            base_sequence=first,
            transactional=True,
        )
        parts = [PartitionProduceData(index, batch)]
        data = [TopicProduceData(topic, bytes(16), parts)]
        request = ProduceRequest(self.name if name == "" else name, -1, 5000, data)
        answer = await self.s.ask(request, ProduceResponse, version)
        code = ErrorCode(answer.responses[0].partition_responses[0].error_code)
        if code is NONE and sequence is None:
            self.sequences[place] = first + len(values)
        return code

    async def end(
        self, *, commit: bool = True, version: int = BUMPING_END, who: Who | None = None
    ) -> ErrorCode:
        """EndTxn; the producer goes on with what it is answered."""
        request = EndTxnRequest(self.name, *(who or self.who), commit)
        answer = await self.s.ask(request, EndTxnResponse, version)
        if answer.error_code == NONE and answer.producer_id >= 0:
            self.who = Who(answer.producer_id, answer.producer_epoch)
        return ErrorCode(answer.error_code)

    async def add_offsets(self, group: str = "g") -> ErrorCode:
        """AddOffsetsToTxn."""
        request = AddOffsetsToTxnRequest(self.name, *self.who, group)
        return ErrorCode((await self.s.ask(request, AddOffsetsToTxnResponse)).error_code)

    async def commit_offset(
        self, offset: int, *, version: int = 5, who: Who | None = None, group: str = "g"
    ) -> ErrorCode:
        """TxnOffsetCommit of t-0."""
        part = TxnOffsetCommitRequestPartition(0, offset)
        topic = TxnOffsetCommitRequestTopic("t", [part])
        request = TxnOffsetCommitRequest(self.name, group, *(who or self.who), topics=[topic])
        answer = await self.s.ask(request, TxnOffsetCommitResponse, version)
        return ErrorCode(answer.topics[0].partitions[0].error_code)

    async def describe(self) -> TransactionState:
        """DescribeTransactions."""
        request = DescribeTransactionsRequest([self.name])
        answer = await self.s.ask(request, DescribeTransactionsResponse)
        return answer.transaction_states[0]

    async def settled(self) -> str:
        """Wait until all markers are written; the state then."""
        while True:
            state = (await self.describe()).transaction_state
            if not state.startswith("Prepare"):
                return state
            await self.s.sleep(5)


async def committed_offset(s: Session, group: str = "g", *, stable: bool = False) -> int:
    """OffsetFetch of t-0; -2 while a transaction holds it back."""
    topic = OffsetFetchRequestTopics("t", s.ids["t"], [0])
    request = OffsetFetchRequest(
        groups=[OffsetFetchRequestGroup(group, topics=[topic])], require_stable=stable
    )
    answer = await s.ask(request, OffsetFetchResponse)
    part = answer.groups[0].topics[0].partitions[0]
    return -2 if part.error_code == ErrorCode.UNSTABLE_OFFSET_COMMIT else part.committed_offset


async def stable_end(s: Session, topic: str, index: int = 0) -> tuple[int, int]:
    """(last stable offset, high watermark) of a partition."""
    ends = []
    for isolation in (READ_COMMITTED, 0):
        part = ListOffsetsPartition(index, timestamp=-1)
        request = ListOffsetsRequest(-1, isolation, [ListOffsetsTopic(topic, [part])])
        answer = await s.ask(request, ListOffsetsResponse)
        ends.append(answer.topics[0].partitions[0].offset)
    return ends[0], ends[1]


async def read_committed(s: Session, topic: str, index: int = 0) -> list[bytes]:
    """Values that a read_committed consumer gets, without aborted ones and markers."""
    found = await s.fetch(topic, index=index, isolation_level=READ_COMMITTED)
    aborted = sorted((a.first_offset, a.producer_id) for a in found.aborted_transactions or ())
    leaving: set[int] = set()
    values = []
    data = found.records or b""
    for position, header in iter_batches(data):
        while aborted and aborted[0][0] <= header.last_offset:
            leaving.add(aborted.pop(0)[1])
        records = read_records(data, position, limit=BIG)
        if header.is_control:
            if records[0].key == ABORT_KEY:
                leaving.discard(header.producer_id)
        elif not (header.is_transactional and header.producer_id in leaving):
            values += [record.value or b"" for record in records]
    return values
