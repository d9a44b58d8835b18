"""A node on a simulated host: started, killed, cut off from power, started again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from barnabas.client.config import ClientConfig
from barnabas.client.connection import Connection
from barnabas.config.broker import BrokerConfig, default_properties
from barnabas.ports import Ports
from barnabas.security.authorizer import Authorizer
from barnabas.server.node import Node
from barnabas.testing.sim import SimHost, SimWorld

PORT = 9092
CONTROLLER_PORT = 9093
DATA = "/data"


class NodeHost:
    """The machine and the node that lives on it at the moment, if any."""

    def __init__(
        self,
        world: SimWorld,
        overrides: Mapping[str, str | None] | None = None,
        *,
        name: str = "broker",
        authorizer: Authorizer | None = None,
    ) -> None:
        self.host: SimHost = world.host(name)
        self.overrides = dict(overrides or {})
        self.authorizer = authorizer
        self.node: Node | None = None

    @property
    def host_address(self) -> tuple[str, int]:
        """Where its clients reach it."""
        return self.host.address, PORT

    def config(self) -> BrokerConfig:
        """The node's configuration; an override that is None takes a default away."""
        properties = default_properties(
            DATA, host=self.host.address, port=PORT, controller_port=CONTROLLER_PORT
        )
        merged = {**properties, **self.overrides}
        return BrokerConfig.from_properties({n: v for n, v in merged.items() if v is not None})

    async def start(self) -> bool:
        """Begin a life; false when it ended before the node was up. Raises what `start` raises."""
        ports = self.host.ports if self.host.is_alive else self.host.restart()
        node = Node(self.config(), ports, authorizer=self.authorizer)
        if not await self._live(node.start()):
            return False
        self.node = node
        return True

    async def stop(self) -> bool:
        """The clean stop, and the end of the process; false when it crashed on the way."""
        node, self.node = self.node, None
        stopped = node is not None and await self._live(node.stop())
        self.host.kill()
        return stopped

    def kill(self) -> None:
        """kill -9."""
        self.node = None
        self.host.kill()

    def power_loss(self) -> None:
        """The cable."""
        self.node = None
        self.host.power_loss()

    async def _live(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run `work` on the host; whether it ended before the host did."""
        task = self.host.spawn(work)
        death = asyncio.ensure_future(self.host.crashed())
        try:
            await asyncio.wait([task, death], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                return False
            await task
            return True
        finally:
            death.cancel()


async def connect(
    ports: Ports, address: str, port: int = PORT, *, timeout_ms: int = 5_000
) -> Connection:
    """A client's connection to a node. Raises `ClientError`."""
    config = ClientConfig(request_timeout_ms=timeout_ms, socket_connection_setup_timeout_ms=3_000)
    return await Connection.open(ports, config, address, port)
