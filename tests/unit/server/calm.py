"""A node in a calm world, and a client that sends it one request of any version at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from barnabas.client.connection import Connection
from barnabas.records.batch import iter_batches
from barnabas.records.builder import build_batch
from barnabas.records.record import Record, read_records
from barnabas.security.authorizer import Authorizer
from barnabas.server.partitions import HostedPartition
from barnabas.testing.sim import SimWorld
from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message
from barnabas.wire.messages.create_topics_request import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from barnabas.wire.messages.create_topics_response import CreateTopicsResponse
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.fetch_response import FetchResponse, PartitionData
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import PartitionProduceResponse, ProduceResponse
from tests.sim.node_host import CONTROLLER_PORT, PORT, NodeHost, connect

Response = TypeVar("Response", bound=Message)
BIG = 1 << 20


class Session:
    """One client of one node."""

    def __init__(self, world: SimWorld, node: NodeHost) -> None:
        self.world = world
        self.node = node
        self.host = world.host("client")
        self.ids: dict[str, bytes] = {}
        self._connections: dict[int, Connection] = {}

    @property
    def now(self) -> int:
        """The client's clock, ms; the node's is the same in a calm world."""
        return self.host.ports.clock.wall_ms()

    async def connection(self, port: int = PORT) -> Connection:
        """The open connection to a listener."""
        found = self._connections.get(port)
        if found is None or found.closed:
            address = self.node.host.address
            found = await connect(self.host.ports, address, port, timeout_ms=60_000)
            self._connections[port] = found
        return found

    async def ask(
        self,
        request: Message,
        response: type[Response],
        version: int | None = None,
        *,
        port: int = PORT,
    ) -> Response:
        """Send and wait."""
        connection = await self.connection(port)
        return await connection.request(request, response, version=version)

    async def sleep(self, ms: int) -> None:
        """Let virtual time pass."""
        await self.host.ports.clock.sleep(ms)

    def hang_up(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()

    async def restart(self, kind: str = "stop") -> None:
        """End the node's process and start the next one."""
        self.hang_up()
        if kind == "stop":
            assert await self.node.stop()
        elif kind == "kill":
            self.node.kill()
        else:
            self.node.power_loss()
        assert await self.node.start()

    def hosted(self, topic: str, index: int = 0) -> HostedPartition:
        """The node's own view of an open partition."""
        assert self.node.node is not None
        found = self.node.node.broker.partitions.opened(topic, index)
        assert found is not None
        return found

    async def create(self, name: str, partitions: int = 1, **configs: str) -> bytes:
        """Create a topic (underscores in config names stand for dots); its id."""
        made = [CreatableTopicConfig(k.replace("_", "."), v) for k, v in configs.items()]
        topic = CreatableTopic(name, partitions, 1, [], made)
        answer = await self.ask(CreateTopicsRequest([topic], 5000), CreateTopicsResponse)
        found = answer.topics[0]
        assert found.error_code == ErrorCode.NONE, found.error_message
        self.ids[name] = found.topic_id
        return found.topic_id

    def batch(self, *values: bytes, **options: Any) -> bytes:
        """A batch of now."""
        stamp = options.pop("timestamp", self.now)
        return bytes(build_batch([(None, value, stamp, ()) for value in values], **options))

    async def produce(
        self,
        topic: str,
        data: bytes | None,
        *,
        index: int = 0,
        acks: int = -1,
        version: int | None = None,
        topic_id: bytes | None = None,
    ) -> PartitionProduceResponse:
        """Produce to one partition."""
        topic_id = self.ids.get(topic, bytes(16)) if topic_id is None else topic_id
        parts = [PartitionProduceData(index, data)]
        request = ProduceRequest(None, acks, 5000, [TopicProduceData(topic, topic_id, parts)])
        answer = await self.ask(request, ProduceResponse, version)
        return answer.responses[0].partition_responses[0]

    async def identity(self) -> dict[str, int]:
        """A producer id, as options of `batch`."""
        answer = await self.ask(InitProducerIdRequest(None, 60_000), InitProducerIdResponse)
        assert answer.error_code == ErrorCode.NONE
        return {"producer_id": answer.producer_id, "producer_epoch": answer.producer_epoch}

    async def fetch(
        self, topic: str, offset: int = 0, *, version: int | None = None, **options: Any
    ) -> PartitionData:
        """Fetch one partition without a session."""
        wanted = FetchPartition(
            options.pop("index", 0),
            fetch_offset=offset,
            partition_max_bytes=options.pop("partition_max_bytes", BIG),
            current_leader_epoch=options.pop("current_leader_epoch", -1),
            last_fetched_epoch=options.pop("last_fetched_epoch", -1),
        )
        topic_id = options.pop("topic_id", self.ids.get(topic, bytes(16)))
        settings: dict[str, Any] = {
            "max_wait_ms": 0,
            "min_bytes": 0,
            "max_bytes": BIG,
            "session_epoch": -1,
        }
        request = FetchRequest(**settings | options, topics=[FetchTopic(topic, topic_id, [wanted])])
        answer = await self.ask(request, FetchResponse, version)
        assert answer.error_code == ErrorCode.NONE
        return answer.responses[0].partitions[0]

    async def values(self, topic: str, offset: int = 0, **options: Any) -> list[bytes]:
        """Values of what a fetch brings."""
        return [
            r.value or b"" for r in records((await self.fetch(topic, offset, **options)).records)
        ]


def records(data: Any) -> list[Record]:
    """All records of whole batches."""
    found = []
    for position, _ in iter_batches(data or b""):
        found += read_records(data, position, limit=BIG)
    return found


def calm(
    scenario: Callable[[Session], Awaitable[None]],
    overrides: Mapping[str, str | None] | None = None,
    *,
    authorizer: Authorizer | None = None,
) -> None:
    """Run `scenario` as a client of a node, then stop the node."""
    world = SimWorld(1)
    node = NodeHost(world, overrides, authorizer=authorizer)
    session = Session(world, node)

    async def client() -> None:
        await scenario(session)
        session.hang_up()

    async def main() -> None:
        assert await node.start()
        # The test's own steps belong to no host: it may crash and restart any of them.
        await client()
        assert await node.stop()

    world.run(main())


__all__ = ["BIG", "CONTROLLER_PORT", "Session", "calm", "records"]
