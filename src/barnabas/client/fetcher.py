"""Reads assigned partitions: carries out what `FetchCore` decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any

from barnabas.client.cluster import Cluster
from barnabas.client.config import FetchConfig
from barnabas.client.connection import Connection
from barnabas.client.errors import ClientError, error_code
from barnabas.client.fetch_core import FetchCore, FetchedRecords, TopicPartition
from barnabas.client.fetch_session import FetchSession
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.fetch_request import (
    FetchPartition,
    FetchRequest,
    FetchTopic,
    ForgottenTopic,
)
from barnabas.wire.messages.fetch_response import FetchResponse
from barnabas.wire.uuids import ZERO

_SESSION_ERRORS = frozenset(
    {
        ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
        ErrorCode.INVALID_FETCH_SESSION_EPOCH,
        ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR,
    }
)
"""Begin a new session, at once."""
Asked = dict[TopicPartition, int]
"""Partitions of one request and the offset asked for in each."""


class Fetcher:
    """Long-polls the leaders of its partitions, one request at a time per node.

    The next request goes out while the application works on what the last one brought.
    """

    def __init__(
        self,
        cluster: Cluster,
        config: FetchConfig | None = None,
        on_news: Callable[[], None] | None = None,
    ) -> None:
        self._cluster = cluster
        self._config = config or FetchConfig()
        self._clock = cluster.ports.clock
        self.core = FetchCore(self._config)
        self._busy: set[int] = set()
        self._chores: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._notify = self._news.set if on_news is None else on_news
        self._sessions: dict[int, FetchSession] = {}
        self._closed = False

    async def __aenter__(self) -> Fetcher:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop fetching. Requests in flight are left to their connections."""
        self._closed = True
        self.core.assign({})
        chores = list(self._chores.values())
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)

    async def assign(self, positions: dict[TopicPartition, int]) -> None:
        """Read these partitions from these offsets. Raises `KafkaError` for an unknown topic."""
        for topic in sorted({name[0] for name in positions}):
            await self._cluster.topic(topic)
        self.core.assign(positions)

    def drop(self, topic: str, partition: int) -> None:
        """Read this partition no longer."""
        self.core.drop((topic, partition))

    def positions(self) -> dict[TopicPartition, int]:
        """The next offset of every assigned partition."""
        return self.core.positions()

    async def poll(self, timeout_ms: int) -> FetchedRecords | None:
        """The next batch of records; None when none came in time.

        None also when a position moved without a record to show for it (markers, aborted records):
        whoever waits for an end offset looks at `positions` then.

        Raises `KafkaError` for a partition that can't be read, `ClientError` for damaged data.
        """
        deadline = self._clock.monotonic_ms() + timeout_ms
        while True:
            taken = self.core.take()
            self.pump()
            if taken is not None:
                return taken
            left = deadline - self._clock.monotonic_ms()
            if left <= 0 or self.core.skipped:
                self.core.skipped = False
                return None
            self._news.clear()
            # A paused partition needs a second look even when nothing arrives.
            await self._wait(min(left, self._config.fetch_max_wait_ms))

    async def _wait(self, timeout_ms: int) -> None:
        timer = self._clock.call_later(timeout_ms, self._news.set)
        try:
            await self._news.wait()
        finally:
            timer.cancel()

    def pump(self) -> None:
        """Ask every idle node for the partitions that need data."""
        by_node: dict[int, Asked] = {}
        if self._closed:
            return
        now = self._clock.monotonic_ms()
        for name, offset in self.core.wanted(now):
            node = self.core.replica(name, now)
            if node not in self._cluster.metadata.nodes:
                node = self._cluster.metadata.leader(*name)
            if node < 0:
                self.core.stale_topics.add(name[0])
            elif node not in self._busy:
                by_node.setdefault(node, {})[name] = offset
        for node, asked in by_node.items():
            self._busy.add(node)
            connection = self._cluster.open_connection(node)
            if connection is None:
                self._chore(f"connect {node}", partial(self._connect, node, asked))
            else:
                self._send(connection, node, asked)
        if self.core.stale_topics:
            self._chore("metadata", self._refresh)

    def _chore(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if name in self._chores:
            return

        def done(task: asyncio.Task[None]) -> None:
            del self._chores[name]
            if not task.cancelled():
                task.result()
                self._notify()

        task = asyncio.ensure_future(work())
        self._chores[name] = task
        task.add_done_callback(done)

    async def _refresh(self) -> None:
        topics = sorted(self.core.stale_topics)
        self.core.stale_topics.clear()
        try:
            await self._cluster.refresh(topics)
        except (ClientError, KafkaError):
            self.core.stale_topics.update(topics)
        await self._clock.sleep(self._cluster.pause_ms(0))

    async def _connect(self, node: int, asked: Asked) -> None:
        try:
            connection = await self._cluster.connection(node)
        except ClientError:
            self._unreachable(node, asked)
        else:
            self._send(connection, node, asked)

    def _unreachable(self, node: int, asked: Asked) -> None:
        self._busy.discard(node)
        pause = self._cluster.pause_ms(3)
        self.core.postpone(asked, self._clock.monotonic_ms() + pause)
        self.core.stale_topics.update(name[0] for name in asked)
        self._notify()

    def _send(self, connection: Connection, node: int, asked: Asked) -> None:
        wait = self._config.fetch_max_wait_ms
        try:
            connection.send(
                self._request(node, asked),
                FetchResponse,
                lambda response, _error: self._answered(node, asked, response),
                timeout_ms=wait + self._cluster.config.request_timeout_ms,
            )
        except KafkaError as error:  # the node has no such version
            self._sessions[node].reset()
            self.core.fails(error)
            self._unreachable(node, asked)

    def _request(self, node: int, asked: Asked) -> FetchRequest:
        config, metadata = self._config, self._cluster.metadata
        ids = {topic: metadata.topics[topic].id for topic, _ in asked if topic in metadata.topics}
        session = self._sessions.get(node)
        if session is None:
            session = self._sessions[node] = FetchSession(enabled=config.sessions)
        mentioned = session.request(asked, ids)
        topics: dict[str, FetchTopic] = {}
        for name in mentioned.partitions:
            topic, partition = name
            entry = topics.get(topic)
            if entry is None:
                entry = topics[topic] = FetchTopic(topic=topic, topic_id=ids.get(topic, ZERO))
            entry.partitions.append(
                FetchPartition(
                    partition=partition,
                    fetch_offset=asked[name],
                    partition_max_bytes=config.max_partition_fetch_bytes,
                )
            )
        return FetchRequest(
            max_wait_ms=config.fetch_max_wait_ms,
            min_bytes=config.fetch_min_bytes,
            max_bytes=config.fetch_max_bytes,
            isolation_level=1 if config.read_committed else 0,
            session_id=mentioned.session_id,
            session_epoch=mentioned.epoch,
            topics=list(topics.values()),
            forgotten_topics_data=[
                ForgottenTopic(topic, topic_id or ZERO, [partition])
                for (topic, partition), topic_id in mentioned.forgotten
            ],
            rack_id=config.client_rack,
        )

    def _answered(self, node: int, asked: Asked, response: Message | None) -> None:
        session = self._sessions[node]
        if not isinstance(response, FetchResponse):
            session.reset()
            self._unreachable(node, asked)
            return
        code = error_code(response.error_code)
        session.answered(code, response.session_id)
        if code != ErrorCode.NONE and code not in _SESSION_ERRORS:
            self._unreachable(node, asked)
            return
        self._busy.discard(node)
        now = self._clock.monotonic_ms()
        names = {state.id: state.name for state in self._cluster.metadata.topics.values()}
        for topic in response.responses:
            name = topic.topic or names.get(topic.topic_id, "")
            for data in topic.partitions:
                offset = asked.get((name, data.partition_index))
                if offset is None:
                    continue
                leader = data.current_leader
                self._cluster.metadata.moved(
                    name, data.partition_index, leader.leader_id, leader.leader_epoch
                )
                self.core.received((name, data.partition_index), offset, data, now)
        self._notify()
