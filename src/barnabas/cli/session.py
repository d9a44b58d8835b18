"""Runs a command's work against a cluster, on an event loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from barnabas.cli.options import parse_bootstrap
from barnabas.client.cluster import Cluster
from barnabas.client.config import ClientConfig
from barnabas.host import new_event_loop, open_ports

Result = TypeVar("Result")


def with_cluster(
    bootstrap: str, work: Callable[[Cluster], Awaitable[Result]], *, client_id: str = "barnabas-cli"
) -> Result:
    """Connect, do `work`, disconnect. Ctrl-C cancels the work and raises KeyboardInterrupt."""
    addresses = parse_bootstrap(bootstrap)

    async def body() -> Result:
        ports = open_ports(asyncio.get_running_loop())
        try:
            config = ClientConfig(client_id=client_id, api_timeout_ms=15_000)
            async with Cluster(ports, addresses, config) as cluster:
                return await work(cluster)
        finally:
            ports.close()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(body())
