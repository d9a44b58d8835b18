"""Talks to a group's coordinator, over connections that no fetch holds up.

JoinGroup and SyncGroup, which the coordinator answers when the other members are ready, have a
connection of their own: heartbeats and commits go on beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from barnabas.client.cluster import Cluster
from barnabas.client.connection import Connection
from barnabas.client.consumer.leases import OffsetAndMetadata
from barnabas.client.errors import ConnectionLost, error_code, only
from barnabas.client.fetch_core import TopicPartition
from barnabas.client.membership.protocol import by_topic
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.find_coordinator_request import FindCoordinatorRequest
from barnabas.wire.messages.find_coordinator_response import FindCoordinatorResponse
from barnabas.wire.messages.offset_commit_request import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from barnabas.wire.messages.offset_commit_response import OffsetCommitResponse
from barnabas.wire.messages.offset_fetch_request import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from barnabas.wire.messages.offset_fetch_response import OffsetFetchResponse

Response = TypeVar("Response", bound=Message)
_GROUP = 0
_BY_NAME = 9
"""From version 10 on topics go by their ids."""
_MOVED = frozenset({ErrorCode.NOT_COORDINATOR, ErrorCode.COORDINATOR_NOT_AVAILABLE})


class Coordinator:
    """The coordinator of one group, wherever it is."""

    def __init__(self, cluster: Cluster, group_id: str) -> None:
        self._cluster = cluster
        self.group_id = group_id
        self._address: tuple[str, int] | None = None
        self._connection: Connection | None = None
        self._waiting: Connection | None = None

    @property
    def connection(self) -> Connection | None:
        """The open connection to it, if there is one."""
        connection = self._connection
        return connection if connection is not None and not connection.closed else None

    async def find(self) -> Connection:
        """Find it, and connect. Raises `KafkaError`, `ClientError`; after retriable ones try again."""
        request = FindCoordinatorRequest(key_type=_GROUP, coordinator_keys=[self.group_id])
        answer = await self._cluster.ask(request, FindCoordinatorResponse)
        found = only(answer.coordinators, "FindCoordinator")
        if found.error_code:
            raise KafkaError(error_code(found.error_code), f"group {self.group_id!r}")
        self.forget()
        self._address = (found.host, found.port)
        opened = await self._open()
        if (known := self.connection) is not None:  # somebody else has found it meanwhile
            opened.close()
            return known
        self._connection = opened
        return opened

    async def _open(self) -> Connection:
        if self._address is None:
            raise ConnectionLost("the coordinator is unknown")
        cluster = self._cluster
        return await Connection.open(cluster.ports, cluster.config, *self._address)

    async def waiting(self) -> Connection:
        """The connection for requests whose answers are held back. Raises `CannotConnect`."""
        if self._waiting is None or self._waiting.closed:
            self._waiting = await self._open()
        return self._waiting

    def forget(self) -> None:
        """It is not there any more."""
        for connection in (self._connection, self._waiting):
            if connection is not None:
                connection.close()
        self._connection = self._waiting = None

    async def _ask(
        self, request: Message, response: type[Response], version: int | None = None
    ) -> Response:
        connection = self.connection or await self.find()
        return await connection.request(request, response, version=version)

    async def commit(
        self,
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        member: tuple[str, int],
        instance_id: str | None,
    ) -> dict[TopicPartition, ErrorCode]:
        """One attempt to commit as `member` (id and generation); what was said about each
        partition. Raises `ClientError`, and what `find` raises."""
        member_id, generation = member
        request = OffsetCommitRequest(
            self.group_id,
            generation,
            member_id,
            instance_id,
            topics=[
                OffsetCommitRequestTopic(
                    topic,
                    partitions=[
                        OffsetCommitRequestPartition(
                            number,
                            offsets[topic, number].offset,
                            offsets[topic, number].leader_epoch,
                            offsets[topic, number].metadata,
                        )
                        for number in numbers
                    ],
                )
                for topic, numbers in by_topic(offsets).items()
            ],
        )
        answer = await self._ask(request, OffsetCommitResponse, _BY_NAME)
        return {
            (topic.name, part.partition_index): error_code(part.error_code)
            for topic in answer.topics
            for part in topic.partitions
        }

    async def fetch(
        self, names: Iterable[TopicPartition], member: tuple[str, int]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """What the group has committed for these partitions; those without are absent. Repeats
        after retriable errors. Raises `KafkaError`, `ClientError`."""
        topics = [
            OffsetFetchRequestTopics(t, partition_indexes=n) for t, n in by_topic(names).items()
        ]

        async def attempt() -> dict[TopicPartition, OffsetAndMetadata]:
            member_id, epoch = member
            group = OffsetFetchRequestGroup(self.group_id, member_id or None, epoch, topics)
            request = OffsetFetchRequest(groups=[group], require_stable=True)
            response = await self._ask(request, OffsetFetchResponse, _BY_NAME)
            answer = only(response.groups, "OffsetFetch")
            self._raise(answer.error_code)
            found = {}
            for topic in answer.topics:
                for part in topic.partitions:
                    self._raise(part.error_code)
                    if part.committed_offset >= 0:
                        found[topic.name, part.partition_index] = OffsetAndMetadata(
                            part.committed_offset, part.metadata or "", part.committed_leader_epoch
                        )
            return found

        return await self._cluster.retrying(attempt)

    def _raise(self, code: int) -> None:
        if code:
            named = error_code(code)
            if named in _MOVED:
                self.forget()
            raise KafkaError(named, f"group {self.group_id!r}")
