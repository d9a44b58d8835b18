"""What handlers may use of the node: its image, its partitions, its clock, its controller."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from barnabas.config.broker import BrokerConfig
from barnabas.metadata.controller.decision import ControllerSettings, Decision
from barnabas.metadata.controller.producer_ids import allocate_producer_ids
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.partition import Partition
from barnabas.ports import Clock, Executor, Ports
from barnabas.raft.types import Endpoint
from barnabas.security.authorizer import Authorizer
from barnabas.server.authorization import Authorization
from barnabas.server.auto_creation import AutoCreation
from barnabas.server.coordinators.registry import Coordinators
from barnabas.server.fetch_sessions import FetchSessionCache
from barnabas.server.hosting import Hosting
from barnabas.server.limits import RECEIVE_BYTES, SWEEP_INTERVAL_MS
from barnabas.server.memory_budget import MemoryBudget
from barnabas.server.meter import Metered
from barnabas.server.partitions import HostedPartition
from barnabas.server.producer_ids import ProducerIdAllocator
from barnabas.server.quotas import Mutations, Quotas
from barnabas.server.request_times import RequestRecorder
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.allocate_producer_ids_request import AllocateProducerIdsRequest
from barnabas.wire.uuids import to_hyphenated

if TYPE_CHECKING:
    from barnabas.log.directory import LogDirectory
    from barnabas.replication.metadata_log import MetadataLog
    from barnabas.server.connection import Connection
    from barnabas.server.request import Request

log = logging.getLogger("barnabas.server")

T = TypeVar("T")


class NodeAddress(NamedTuple):
    """A node as clients of one listener reach it."""

    id: int
    host: str
    port: int
    rack: str | None
    fenced: bool


class Broker:
    """The services behind the handlers of one node."""

    def __init__(
        self,
        hosting: Hosting,
        ports: Ports,
        metadata: MetadataLog,
        settings: ControllerSettings,
        authorizer: Authorizer,
        quotas: Quotas,
        *,
        on_storage_failure: Callable[[HostedPartition, Exception], None],
    ) -> None:
        config = hosting.config
        self._hosting = hosting
        self.node_id = config.node_id
        self.cluster_id = settings.cluster_id
        self.clock: Clock = ports.clock
        self.executor: Executor = ports.executor
        self.keep = ports.machine.keep
        self.recorder = RequestRecorder(ports.clock.monotonic_ns, config.slow_request_ms)
        self.topic_counters = hosting.counters
        self.writer = hosting.writer
        self.metadata = metadata
        self.settings = settings
        self.partitions = hosting.partitions
        self.allowed = Authorization(authorizer)
        self.quotas = quotas
        self.sessions = FetchSessionCache(
            config.get_int("max.incremental.fetch.session.cache.slots"), ports.random.below
        )
        self.producer_ids = ProducerIdAllocator(self._allocate_producer_ids)
        self.fetch_max_bytes = config.get_int("fetch.max.bytes")
        queued = config.get_int("queued.max.request.bytes")
        #: What the connections of all listeners may hold together.
        self.memory = MemoryBudget(queued if queued > 0 else RECEIVE_BYTES)
        #: Monotonic milliseconds at the next sweep: "now" for time-outs, which so are never early.
        self.coarse_ms = self.clock.monotonic_ms() + SWEEP_INTERVAL_MS
        self.call_soon: Callable[[Callable[[], None]], object] = (
            asyncio.get_running_loop().call_soon
        )
        self._random_below = ports.random.below
        self._wildcards = {e.name for e in config.advertised_broker_listeners if e.everywhere}
        self._storage_failed = on_storage_failure
        # Dicts where a set would do: their order is that of insertion, the same in every run.
        self._tasks: dict[asyncio.Task[None], Request | None] = {}
        self.auto_creation = AutoCreation(self)
        #: Where the other voters reach this controller; known once the listeners are open.
        self.controller_endpoints: tuple[Endpoint, ...] = ()
        #: Parked fetches of the metadata log, told of its progress.
        self.metadata_waiters: dict[Callable[[], None], None] = {}
        metadata.on_progress(self._metadata_progress)
        self._random_bytes = ports.random.bytes
        self.coordinators = Coordinators(self)
        metadata.subscribe(self.coordinators.publish)

    @property
    def config(self) -> BrokerConfig:
        """The node's configuration, dynamic changes included."""
        return self._hosting.config

    @property
    def image(self) -> MetadataImage:
        """The committed metadata."""
        return self.metadata.image

    # -- tasks -----------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None], request: Request | None = None) -> None:
        """Run `work` beside the loop; its failure is logged, and it ends with the node.

        Where `work` answers `request`, a failure closes the connection: else its client, and what
        the client sent behind it, would wait for ever.
        """
        meter = None if request is None else request.connection.outbox.meter
        if meter is not None:
            work = Metered(work, meter)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = request
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        request = self._tasks.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("a bug of ours: a task failed", exc_info=task.exception())
            if request is not None:
                request.close("internal error")

    async def stop(self) -> None:
        """Send away who waits for a coordinator, and cancel what still runs."""
        self.coordinators.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for session in list(self.sessions):
            self.sessions.remove(session.id)

    def _metadata_progress(self) -> None:
        for wake in list(self.metadata_waiters):
            wake()

    # -- metadata --------------------------------------------------------------------------------

    async def submit(self, decide: Callable[[MetadataImage], Decision[T]]) -> T:
        """Let the active controller decide; returns its reply once the records are committed.

        Raises `KafkaError`.
        """
        return await self.metadata.submit(decide)

    def nodes(self, client: Connection, *, include_fenced: bool = False) -> list[NodeAddress]:
        """Brokers that clients of a listener can reach.

        A listener on every address of the machine, with nothing advertised, is told as the address
        that the client itself has reached.
        """
        listener = client.listener_name
        found = []
        for broker in self.image.cluster.brokers.values():
            endpoint = broker.endpoint(listener)
            if endpoint is None or (broker.fenced and not include_fenced):
                continue
            own = broker.id == self.node_id and listener in self._wildcards
            host = client.local[0] if own else endpoint.host
            found.append(NodeAddress(broker.id, host, endpoint.port, broker.rack, broker.fenced))
        return found

    def controller_nodes(self, listener: str) -> list[NodeAddress]:
        """Controllers that clients of a controller listener can reach."""
        return [
            NodeAddress(c.id, endpoint.host, endpoint.port, None, False)
            for c in self.image.cluster.controllers.values()
            for endpoint in c.endpoints
            if endpoint.name == listener
        ]

    def new_uuid_text(self) -> str:
        """A random UUID in the usual text form, as in the ids of group members."""
        return to_hyphenated(self._random_bytes(16))

    def random_broker_id(self) -> int:
        """Any broker takes requests for the controller; -1 without a live one."""
        alive = [b.id for b in self.image.cluster.brokers.values() if not b.fenced]
        return alive[self._random_below(len(alive))] if alive else -1

    def offline_replicas(self, topic: str, index: int, partition: Partition) -> list[int]:
        """Replicas on brokers that are gone or fenced, or whose directory failed."""
        brokers = self.image.cluster.brokers
        offline = []
        for replica, directory in zip(partition.replicas, partition.directories, strict=True):
            broker = brokers.get(replica)
            if broker is None or broker.fenced or not broker.has_online_directory(directory):
                offline.append(replica)
        del topic, index
        return offline

    def mutations(self, request: Request, *, strict_from: int) -> Mutations:
        """What a request may create and delete; from version `strict_from` on, clients know the
        error."""
        return Mutations(self.quotas, self.clock, request, strict_from=strict_from)

    async def _allocate_producer_ids(self) -> tuple[int, int]:
        registration = self.image.cluster.brokers.get(self.node_id)
        if registration is None:
            # Unregistered: producers try again until the next start has registered this node.
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        request = AllocateProducerIdsRequest(self.node_id, registration.epoch)
        response = await self.submit(lambda image: allocate_producer_ids(image, request))
        return response.producer_id_start, response.producer_id_len

    # -- storage ---------------------------------------------------------------------------------

    @property
    def log_directories(self) -> Sequence[LogDirectory]:
        """Those of `log.dirs`, in their order, offline ones included."""
        return self._hosting.log_directories

    async def keep_log_starts(self, timeout_ms: int) -> bool:
        """Make every log start as it is now survive a crash; false when the time is over first."""
        kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def end(in_time: bool) -> None:
            if not kept.done():
                kept.set_result(in_time)

        # As with acknowledgements, a time-out is only looked for every so often: zero is no refusal.
        patience = max(timeout_ms, SWEEP_INTERVAL_MS)
        timer = self.clock.call_later(patience, lambda: end(False))
        self._hosting.keep_log_starts(lambda: end(True))
        try:
            return await kept
        finally:
            timer.cancel()

    def has_files(self, topic: str, index: int) -> bool:
        """Whether a partition has been used on this node."""
        return self._hosting.has_files(topic, index)

    def storage_failed(self, hosted: HostedPartition, failure: Exception) -> None:
        """A read met a failing device or damage: the directory goes offline."""
        self._storage_failed(hosted, failure)
