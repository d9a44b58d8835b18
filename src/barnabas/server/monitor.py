"""The node's HTTP port: metrics, liveness, readiness. Imported only where it is configured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from barnabas import __version__
from barnabas.log.sizes import learn_sizes
from barnabas.ports import Ports, Usage
from barnabas.server import health
from barnabas.server.http import HttpServer, Page
from barnabas.server.metrics import cluster, coordinators, exposition, process, storage, traffic

if TYPE_CHECKING:
    from barnabas.server.node import Node


class Monitor:
    """Answers for one node, from before it reads its first file until it is stopped."""

    def __init__(self, node: Node, ports: Ports) -> None:
        self._node = node
        self._ports = ports
        self._server = HttpServer(
            {"/metrics": self._metrics, "/livez": self._livez, "/readyz": self._readyz},
            ports.clock,
        )

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Open the port; returns the address. Raises `OSError`."""
        return await self._server.listen(self._ports.network, host, port)

    def close(self) -> None:
        """Close the port and cut who asks."""
        self._server.close()

    async def _livez(self) -> Page:
        """Whoever gets an answer at all knows that the loop turns."""
        failed = self._node.failed
        if failed is not None and failed.done():
            return Page(503, f"FAIL the node stops: {failed.result()}\n".encode())
        return Page(200, b"ok   the event loop turns\n")

    async def _readyz(self) -> Page:
        checks = health.readiness(self._node)
        return Page(200 if all(check.ok for check in checks) else 503, health.page(checks))

    async def _metrics(self) -> Page:
        ports, node = self._ports, self._node
        usage = await ports.executor.run(ports.machine.usage)
        rooms: storage.Volumes = {}
        if node.manager is not None:
            manager = node.manager
            rooms = await ports.executor.run(lambda: storage.volumes(manager))
            logs = list(node.manager.logs.values())
            await learn_sizes(logs, ports.disk, ports.executor, lambda: ports.clock.sleep(0))
        return Page(200, exposition.pieces(self._families(usage, rooms)), exposition.CONTENT_TYPE)

    def _families(self, usage: Usage, rooms: storage.Volumes) -> Iterator[str]:
        node, clock = self._node, self._ports.clock
        now_ms = clock.monotonic_ms()
        yield from process.process(usage)
        yield from process.loop(node.watch, now_ms)
        yield from cluster.broker_state(node.config, node.cluster_id, __version__, node.stage)
        if node.manager is not None:
            yield from storage.directories(node.manager, rooms)
            yield from storage.logs(node.manager)
            if node.cleaner is not None:
                yield from storage.cleaner(node.manager, node.cleaner)
            yield from storage.writer(node.manager, self._ports.executor, now_ms)
        if node.serves:
            broker = node.broker
            yield from cluster.quorum(broker.metadata, broker.node_id, clock.wall_ms())
            yield from cluster.controller(broker.image)
            yield from cluster.replicas(broker)
            yield from coordinators.coordinators(broker.coordinators, now_ms)
            yield from traffic.topics(broker.topic_counters)
            yield from traffic.requests(broker.recorder, node.listeners, now_ms)
            yield from traffic.connections(broker, node.listeners, node.watch)
