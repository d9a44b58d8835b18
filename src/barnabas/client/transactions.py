"""Administration of transactions: what there is, which of them hang, how to end them (KIP-664)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from barnabas.client.cluster import Cluster
from barnabas.client.errors import error_code
from barnabas.client.fetch_core import TopicPartition
from barnabas.client.storage import ActiveProducer, describe_producers
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.describe_transactions_request import DescribeTransactionsRequest
from barnabas.wire.messages.describe_transactions_response import DescribeTransactionsResponse
from barnabas.wire.messages.find_coordinator_request import FindCoordinatorRequest
from barnabas.wire.messages.find_coordinator_response import FindCoordinatorResponse
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.list_transactions_request import ListTransactionsRequest
from barnabas.wire.messages.list_transactions_response import ListTransactionsResponse
from barnabas.wire.messages.write_txn_markers_request import (
    WritableTxnMarker,
    WritableTxnMarkerTopic,
    WriteTxnMarkersRequest,
)
from barnabas.wire.messages.write_txn_markers_response import WriteTxnMarkersResponse

Result = TypeVar("Result")
_TRANSACTION = 1
#: Nothing is ever written with the producer that `fence` gets.
_FENCE_TIMEOUT_MS = 1


class TransactionListing(NamedTuple):
    """A transactional id in a list; `coordinator` is the node that keeps it."""

    transactional_id: str
    coordinator: int
    producer_id: int
    state: str


@dataclass(frozen=True, slots=True)
class TransactionDescription:
    """A transactional id; `start_ms` is -1 when it has never begun a transaction."""

    transactional_id: str
    coordinator: int
    producer_id: int
    producer_epoch: int
    state: str
    timeout_ms: int
    start_ms: int
    partitions: list[TopicPartition]


class TransactionFilters(NamedTuple):
    """What is listed; empty: everything. Some need a newer node, which else raises."""

    states: tuple[str, ...] = ()
    producer_ids: tuple[int, ...] = ()
    longer_than_ms: int = -1
    pattern: str | None = None


async def list_transactions(
    cluster: Cluster, filters: TransactionFilters
) -> list[TransactionListing]:
    """All transactional ids of the cluster that pass, by name. Raises `KafkaError`."""
    await cluster.refresh()
    request = ListTransactionsRequest(
        list(filters.states),
        list(filters.producer_ids),
        filters.longer_than_ms,
        filters.pattern,
    )
    found: list[TransactionListing] = []
    for node in sorted(cluster.metadata.nodes):

        async def attempt(node: int = node) -> ListTransactionsResponse:
            answer = await cluster.ask(request, ListTransactionsResponse, node=node)
            _raise(answer.error_code)
            return answer

        found += [
            TransactionListing(
                each.transactional_id, node, each.producer_id, each.transaction_state
            )
            for each in (await cluster.retrying(attempt)).transaction_states
        ]
    return sorted(found)


async def describe_transaction(cluster: Cluster, transactional_id: str) -> TransactionDescription:
    """One transactional id. Raises `KafkaError`, TRANSACTIONAL_ID_NOT_FOUND among others."""

    async def ask(node: int) -> TransactionDescription:
        request = DescribeTransactionsRequest([transactional_id])
        answer = await cluster.ask(request, DescribeTransactionsResponse, node=node)
        state = answer.transaction_states[0]
        _raise(state.error_code, transactional_id)
        return TransactionDescription(
            transactional_id,
            node,
            state.producer_id,
            state.producer_epoch,
            state.transaction_state,
            state.transaction_timeout_ms,
            state.transaction_start_time_ms,
            sorted((topic.topic, index) for topic in state.topics for index in topic.partitions),
        )

    return await _at_coordinator(cluster, transactional_id, ask)


async def find_hanging(
    cluster: Cluster, partitions: Iterable[TopicPartition], older_than_ms: int
) -> list[ActiveProducer]:
    """Open transactions whose last record is older, and that no coordinator will ever end.

    Those are the ones of a producer id that no transactional id has, or whose transaction does not
    know the partition. Raises `KafkaError`.
    """
    oldest_ms = cluster.ports.clock.wall_ms() - older_than_ms
    candidates = [
        producer
        for producer in await describe_producers(cluster, partitions)
        if producer.transaction_start >= 0 and producer.last_timestamp < oldest_ms
    ]
    if not candidates:
        return []
    ids = tuple(sorted({producer.id for producer in candidates}))
    known: dict[int, list[TopicPartition]] = {}
    for each in await list_transactions(cluster, TransactionFilters(producer_ids=ids)):
        try:
            described = await describe_transaction(cluster, each.transactional_id)
        except KafkaError as error:
            if error.code is not ErrorCode.TRANSACTIONAL_ID_NOT_FOUND:
                raise
        else:
            known[each.producer_id] = described.partitions
    return [p for p in candidates if (p.topic, p.partition) not in known.get(p.id, ())]


async def abort_on(cluster: Cluster, topic: str, partition: int, start_offset: int) -> None:
    """End what hangs: an abort marker for the transaction that begins at `start_offset`.

    Raises `KafkaError`, INVALID_TXN_STATE when none begins there.
    """
    for producer in await describe_producers(cluster, [(topic, partition)]):
        if producer.transaction_start == start_offset:
            break
    else:
        raise KafkaError(
            ErrorCode.INVALID_TXN_STATE,
            f"no open transaction of {topic}-{partition} begins at offset {start_offset}",
        )
    topics = [WritableTxnMarkerTopic(topic, [partition])]
    coordinator_epoch = max(0, producer.coordinator_epoch)
    marker = WritableTxnMarker(producer.id, producer.epoch, False, topics, coordinator_epoch)

    async def attempt() -> None:
        node = await cluster.leader(topic, partition)
        answer = await cluster.ask(
            WriteTxnMarkersRequest([marker]), WriteTxnMarkersResponse, node=node
        )
        _raise(answer.markers[0].topics[0].partitions[0].error_code, f"{topic}-{partition}")

    await cluster.retrying(attempt)


async def fence(cluster: Cluster, transactional_id: str) -> None:
    """Abort the transaction of a transactional id, and fence its producer. Raises `KafkaError`."""

    async def ask(node: int) -> None:
        request = InitProducerIdRequest(transactional_id, _FENCE_TIMEOUT_MS)
        answer = await cluster.ask(request, InitProducerIdResponse, node=node)
        _raise(answer.error_code, transactional_id)

    await _at_coordinator(cluster, transactional_id, ask)


async def _at_coordinator(
    cluster: Cluster, transactional_id: str, ask: Callable[[int], Awaitable[Result]]
) -> Result:
    """Ask the node that keeps a transactional id, wherever it is by then."""

    async def attempt() -> Result:
        request = FindCoordinatorRequest(key_type=_TRANSACTION, coordinator_keys=[transactional_id])
        found = (await cluster.ask(request, FindCoordinatorResponse)).coordinators[0]
        _raise(found.error_code, transactional_id)
        if found.node_id not in cluster.metadata.nodes:
            await cluster.refresh()
        return await ask(found.node_id)

    return await cluster.retrying(attempt)


def _raise(code: int, about: str | None = None) -> None:
    if code:
        raise KafkaError(error_code(code), about)
