"""The asyncio face of a cluster: a connection per node, metadata, and calls with retries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from types import TracebackType
from typing import TypeVar

from barnabas.client.backoff import backoff_ms
from barnabas.client.config import ClientConfig
from barnabas.client.connection import Connection
from barnabas.client.errors import CannotConnect, ClientError, ConnectionLost, error_code
from barnabas.client.metadata import MetadataCache, TopicState
from barnabas.ports import Ports
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.metadata_request import MetadataRequest, MetadataRequestTopic
from barnabas.wire.messages.metadata_response import MetadataResponse

Response = TypeVar("Response", bound=Message)
Result = TypeVar("Result")
Address = tuple[str, int]
_ANY = -1
"""Stands for "whichever node answers" among the connections being opened."""


class Cluster:
    """Connections to the nodes of one cluster, opened when needed.

    Use it as an async context manager; entering connects to one bootstrap address.
    """

    def __init__(
        self, ports: Ports, bootstrap: Sequence[Address], config: ClientConfig | None = None
    ) -> None:
        self.ports = ports
        self.config = config or ClientConfig()
        self.metadata = MetadataCache()
        self._bootstrap = tuple(bootstrap)
        self._connections: dict[int, Connection] = {}
        self._opening: dict[int, asyncio.Task[Connection]] = {}
        self._seed: Connection | None = None
        self._closed = False

    async def __aenter__(self) -> Cluster:
        try:
            await self.any_connection()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        self._closed = True
        opening = list(self._opening.values())
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        for connection in [*self._connections.values(), self._seed]:
            if connection is not None:
                connection.close()

    # -- connections --

    def open_connection(self, node: int) -> Connection | None:
        """The connection to a node if it is open right now."""
        connection = self._connections.get(node)
        return connection if connection is not None and not connection.closed else None

    async def connection(self, node: int) -> Connection:
        """The connection to a node, opened if need be. Raises `CannotConnect`."""
        connection = self.open_connection(node)
        if connection is not None:
            return connection
        task = self._opening.get(node)
        if task is None:
            address = self.metadata.nodes.get(node)
            if address is None or self._closed:
                raise CannotConnect(f"node {node} is not in the cluster's metadata")
            task = asyncio.ensure_future(self._open(node, address.host, address.port))
            self._opening[node] = task
        # A caller that gives up must not tear down what others wait for.
        return await asyncio.shield(task)

    async def _open(self, node: int, host: str, port: int) -> Connection:
        try:
            seed = self._seed
            if seed is not None and not seed.closed and (seed.host, seed.port) == (host, port):
                self._seed = None
                connection = seed
            else:
                connection = await Connection.open(self.ports, self.config, host, port)
            self._connections[node] = connection
            return connection
        finally:
            self._opening.pop(node, None)

    async def any_connection(self) -> Connection:
        """An open connection to whichever node answers. Raises `CannotConnect`."""
        for connection in [*self._connections.values(), self._seed]:
            if connection is not None and not connection.closed:
                return connection
        if self._closed:
            raise CannotConnect("the client is closed")
        task = self._opening.get(_ANY)
        if task is None:
            task = self._opening[_ANY] = asyncio.ensure_future(self._open_any())
        return await asyncio.shield(task)

    async def _open_any(self) -> Connection:
        known = [(node.host, node.port) for node in self.metadata.nodes.values()]
        failures: list[str] = []
        try:
            again = self._bootstrap if self.config.rebootstrap or not known else ()
            for host, port in dict.fromkeys([*known, *again]):
                try:
                    self._seed = await Connection.open(self.ports, self.config, host, port)
                except CannotConnect as error:
                    failures.append(str(error))
                else:
                    return self._seed
        finally:
            self._opening.pop(_ANY, None)
        raise CannotConnect("; ".join(failures) or "no bootstrap address")

    def _forget_nodes(self) -> None:
        """Begin anew with the bootstrap addresses, because a node says so (KIP-1102)."""
        self.metadata.nodes.clear()
        connections = [*self._connections.values(), self._seed]
        self._connections.clear()
        self._seed = None
        for connection in connections:
            if connection is not None:
                connection.close()

    # -- calls --

    async def ask(
        self,
        request: Message,
        response: type[Response],
        *,
        node: int | None = None,
        timeout_ms: int | None = None,
    ) -> Response:
        """One request to `node` (default: any node), once."""
        connection = await (self.any_connection() if node is None else self.connection(node))
        return await connection.request(request, response, timeout_ms=timeout_ms)

    async def retrying(
        self, attempt: Callable[[], Awaitable[Result]], timeout_ms: int | None = None
    ) -> Result:
        """Repeat `attempt` after retriable errors and lost connections, with growing pauses.

        Raises the last error when time is up (default `api_timeout_ms`), and `CannotConnect` at
        once when no node was reached yet.
        """
        clock = self.ports.clock
        limit = self.config.api_timeout_ms if timeout_ms is None else timeout_ms
        deadline = clock.monotonic_ms() + limit
        failures = 0
        while True:
            try:
                return await attempt()
            except KafkaError as error:
                if not error.code.retriable or clock.monotonic_ms() >= deadline:
                    raise
            except ClientError:
                if clock.monotonic_ms() >= deadline:
                    raise
            await clock.sleep(self.pause_ms(failures))
            failures += 1

    def pause_ms(self, failures: int) -> int:
        """How long to wait after the given number of earlier failures."""
        config = self.config
        return backoff_ms(
            failures, config.retry_backoff_ms, config.retry_backoff_max_ms, self.ports.random.below
        )

    # -- metadata --

    async def refresh(
        self, topics: Iterable[str] | None = (), *, create: bool = False
    ) -> MetadataResponse:
        """Ask for the metadata of `topics` (None: of all). `create` lets the node create them."""
        wanted = None if topics is None else [MetadataRequestTopic(name=name) for name in topics]
        request = MetadataRequest(topics=wanted, allow_auto_topic_creation=create)
        response = await self.ask(request, MetadataResponse)
        if response.error_code == ErrorCode.REBOOTSTRAP_REQUIRED and self.config.rebootstrap:
            self._forget_nodes()
            raise ConnectionLost("the node asks its clients to bootstrap again")
        if response.error_code != ErrorCode.NONE:
            raise KafkaError(error_code(response.error_code), "no metadata")
        self.metadata.update(response, self.ports.clock.monotonic_ms())
        return response

    async def topic(
        self, name: str, *, create: bool = False, timeout_ms: int | None = None
    ) -> TopicState:
        """A topic whose partitions are known; waits for one that is being created.

        Raises `KafkaError`: UNKNOWN_TOPIC_OR_PARTITION at once unless `create`.
        """

        async def attempt() -> TopicState:
            await self.refresh([name], create=create)
            state = self.metadata.topics.get(name)
            if state is None:
                raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, f"no answer about topic {name!r}")
            missing = state.error == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            if state.error != ErrorCode.NONE and (create or not missing):
                raise KafkaError(state.error, f"topic {name!r}")
            return state

        state = await self.retrying(attempt, timeout_ms)
        if state.error != ErrorCode.NONE:
            raise KafkaError(state.error, f"topic {name!r} does not exist")
        return state

    async def leader(self, topic: str, partition: int) -> int:
        """The node that leads a partition. Raises `KafkaError` LEADER_NOT_AVAILABLE."""
        node = self.metadata.leader(topic, partition)
        if node < 0:
            await self.refresh([topic])
            node = self.metadata.leader(topic, partition)
        if node < 0:
            raise KafkaError(
                ErrorCode.LEADER_NOT_AVAILABLE, f"partition {topic}-{partition} has no leader"
            )
        return node
