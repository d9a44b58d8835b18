"""Transactions of a producer: what `TransactionCore` allows, asked of the transaction coordinator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, TypeVar

from barnabas.client.cluster import Cluster
from barnabas.client.config import ProducerConfig
from barnabas.client.connection import Connection
from barnabas.client.errors import CannotConnect, ClientError, error_code, only
from barnabas.client.producer_core import ProducerCore
from barnabas.client.transaction_core import FATAL_OF_COORDINATOR, Name, State, TransactionCore
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.add_offsets_to_txn_request import AddOffsetsToTxnRequest
from barnabas.wire.messages.add_offsets_to_txn_response import AddOffsetsToTxnResponse
from barnabas.wire.messages.add_partitions_to_txn_request import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTopic,
)
from barnabas.wire.messages.add_partitions_to_txn_response import AddPartitionsToTxnResponse
from barnabas.wire.messages.end_txn_request import EndTxnRequest
from barnabas.wire.messages.end_txn_response import EndTxnResponse
from barnabas.wire.messages.find_coordinator_request import FindCoordinatorRequest
from barnabas.wire.messages.find_coordinator_response import FindCoordinatorResponse
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.txn_offset_commit_request import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from barnabas.wire.messages.txn_offset_commit_response import TxnOffsetCommitResponse

T = TypeVar("T")
_GROUP: Final = 0
_TRANSACTION: Final = 1
_FEATURE: Final = "transaction.version"
_LAST_EXPLICIT_END: Final = 4
"""From EndTxn 5 and TxnOffsetCommit 5 on the cluster works by transaction.version 2 (KIP-890)."""
_LAST_EXPLICIT_ADD: Final = 3
"""Later versions of AddPartitionsToTxn are for brokers."""
_MOVED: Final = frozenset({ErrorCode.NOT_COORDINATOR, ErrorCode.COORDINATOR_NOT_AVAILABLE})


class Transactions:
    """The transactional side of one producer. `quiesce` waits until nothing is on its way,
    `drop` gives up what is not in flight."""

    def __init__(
        self,
        cluster: Cluster,
        config: ProducerConfig,
        core: ProducerCore,
        state: TransactionCore,
        quiesce: Callable[[], Awaitable[None]],
        drop: Callable[[Exception], None],
    ) -> None:
        self._cluster = cluster
        self._id = config.transactional_id or ""
        self._timeout_ms = config.transaction_timeout_ms
        self._limit_ms = config.max_block_ms
        self._core = core
        self._state = state
        self._quiesce = quiesce
        self._drop = drop
        self._coordinators: dict[tuple[int, str], int] = {}

    # -- the caller --

    @property
    def open(self) -> bool:
        """Whether there is a transaction to be ended."""
        return self._state.state in (State.OPEN, State.FAILED)

    async def initialize(self) -> None:
        """Take over the transactional id: an older producer of it is fenced, its transaction over.

        Raises `RuntimeError` when that was done already, `KafkaError`, `ClientError`.
        """
        self._state.require(State.NEW)
        await self._identify(-1, -1)
        self._state.ready()

    async def begin(self) -> None:
        """Begin a transaction. Raises `RuntimeError` when there is one already."""
        self._state.require(State.READY)
        connection = await self._coordinator(_TRANSACTION, self._id)
        implicit = (
            connection.features.get(_FEATURE, 0) >= 2
            and connection.version(EndTxnRequest) > _LAST_EXPLICIT_END
        )
        self._state.begin(implicit=implicit)

    async def commit(self) -> None:
        """Deliver all records of the transaction and commit it.

        Raises what a record failed with; then the transaction can only be aborted. So can one whose
        commit was cancelled.
        """
        self._state.commit()  # what is sent from now on is refused, not left behind
        try:
            await self._quiesce()
            self._state.require(State.ENDING)
            await self._end(committed=True)
        except asyncio.CancelledError:
            self._state.interrupted(ClientError("the commit was cancelled"))
            raise

    async def abort(self) -> None:
        """Drop what was not sent, and make what was sent invisible."""
        self._state.abort()
        error = ClientError("the transaction was aborted")
        self._drop(error)
        try:
            await self._quiesce()
            self._drop(error)
            await self._end(committed=False)
        except asyncio.CancelledError:
            self._state.interrupted(ClientError("the abort was cancelled"))
            raise

    async def send_offsets(
        self,
        offsets: Mapping[Name, int],
        group_id: str,
        *,
        generation_id: int,
        member_id: str,
        group_instance_id: str | None,
    ) -> None:
        """Commit a group's offsets with the transaction. Raises `KafkaError`, `ClientError`."""
        self._state.require(State.OPEN)
        if not offsets:
            return
        topics: dict[str, list[TxnOffsetCommitRequestPartition]] = {}
        for (topic, partition), offset in sorted(offsets.items()):
            part = TxnOffsetCommitRequestPartition(partition, offset, -1, "")
            topics.setdefault(topic, []).append(part)
        producer_id, epoch = self._core.identity
        request = TxnOffsetCommitRequest(
            transactional_id=self._id,
            group_id=group_id,
            producer_id=producer_id,
            producer_epoch=epoch,
            generation_id=generation_id,
            member_id=member_id,
            group_instance_id=group_instance_id,
            topics=[TxnOffsetCommitRequestTopic(name, parts) for name, parts in topics.items()],
        )
        self._state.started = True
        if not self._state.implicit:
            await self._asking(_TRANSACTION, self._id, lambda node: self._add_group(node, group_id))
        await self._asking(_GROUP, group_id, lambda node: self._commit_offsets(node, request))

    # -- the sender --

    async def register(self) -> None:
        """Tell the coordinator which partitions take part."""
        names = self._state.asked
        self._state.started = True
        await self._asking(_TRANSACTION, self._id, lambda node: self._add_partitions(node, names))
        self._state.knows(names)

    # -- requests --

    async def _identify(self, producer_id: int, epoch: int) -> None:
        request = InitProducerIdRequest(
            transactional_id=self._id,
            transaction_timeout_ms=self._timeout_ms,
            producer_id=producer_id,
            producer_epoch=epoch,
        )

        async def attempt(node: Connection) -> InitProducerIdResponse:
            answer = await node.request(request, InitProducerIdResponse)
            _check(answer.error_code, "InitProducerId")
            return answer

        answer = await self._asking(_TRANSACTION, self._id, attempt)
        self._core.restart(answer.producer_id, answer.producer_epoch)

    async def _end(self, *, committed: bool) -> None:
        state = self._state
        identity = self._core.identity
        if state.started:
            request = EndTxnRequest(self._id, *identity, committed)

            async def attempt(node: Connection) -> EndTxnResponse:
                version = node.version(EndTxnRequest)
                if not state.implicit:
                    version = min(version, _LAST_EXPLICIT_END)
                answer = await node.request(request, EndTxnResponse, version=version)
                _check(answer.error_code, "EndTxn")
                return answer

            answer = await self._asking(_TRANSACTION, self._id, attempt)
            if state.implicit and answer.producer_id >= 0:
                self._core.restart(answer.producer_id, answer.producer_epoch)
        if not committed and not (state.implicit and state.started):
            # Sequences of dropped batches are lost: the next epoch begins them anew (KIP-360).
            await self._identify(*identity)
        state.ready()

    async def _add_partitions(self, node: Connection, names: Iterable[Name]) -> None:
        topics: dict[str, list[int]] = {}
        for topic, partition in sorted(names):
            topics.setdefault(topic, []).append(partition)
        producer_id, epoch = self._core.identity
        request = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self._id,
            v3_and_below_producer_id=producer_id,
            v3_and_below_producer_epoch=epoch,
            v3_and_below_topics=[
                AddPartitionsToTxnTopic(name, parts) for name, parts in topics.items()
            ],
        )
        version = min(node.version(AddPartitionsToTxnRequest), _LAST_EXPLICIT_ADD)
        answer = await node.request(request, AddPartitionsToTxnResponse, version=version)
        for result in answer.results_by_topic_v3_and_below:
            for part in result.results_by_partition:
                _check(part.partition_error_code, f"{result.name}-{part.partition_index}")

    async def _add_group(self, node: Connection, group_id: str) -> None:
        request = AddOffsetsToTxnRequest(self._id, *self._core.identity, group_id)
        answer = await node.request(request, AddOffsetsToTxnResponse)
        _check(answer.error_code, f"group {group_id}")

    async def _commit_offsets(self, node: Connection, request: TxnOffsetCommitRequest) -> None:
        version = node.version(TxnOffsetCommitRequest)
        if not self._state.implicit:
            version = min(version, _LAST_EXPLICIT_END)
        answer = await node.request(request, TxnOffsetCommitResponse, version=version)
        for topic in answer.topics:
            for part in topic.partitions:
                _check(part.error_code, f"{topic.name}-{part.partition_index}")

    # -- coordinators --

    async def _asking(self, kind: int, key: str, ask: Callable[[Connection], Awaitable[T]]) -> T:
        """Ask a coordinator until it answers. A failure is that of the transaction."""

        async def attempt() -> T:
            node = await self._coordinator(kind, key)
            try:
                return await ask(node)
            except KafkaError as error:
                if error.code in _MOVED:
                    self._coordinators.pop((kind, key), None)
                raise
            except ClientError:
                self._coordinators.pop((kind, key), None)
                raise

        try:
            return await self._cluster.retrying(attempt, self._limit_ms)
        except (KafkaError, ClientError) as error:
            self._state.failed(error, FATAL_OF_COORDINATOR)
            raise

    async def _coordinator(self, kind: int, key: str) -> Connection:
        node = self._coordinators.get((kind, key))
        if node is None:
            request = FindCoordinatorRequest(key_type=kind, coordinator_keys=[key])
            answer = await self._cluster.ask(request, FindCoordinatorResponse)
            found = only(answer.coordinators, "FindCoordinator")
            _check(found.error_code, f"coordinator of {key}")
            self._cluster.metadata.met(found.node_id, found.host, found.port, None)
            node = self._coordinators[kind, key] = found.node_id
        try:
            return await self._cluster.connection(node)
        except CannotConnect:
            self._coordinators.pop((kind, key), None)
            raise


def _check(code: int, what: str) -> None:
    if code != ErrorCode.NONE:
        raise KafkaError(error_code(code), what)
