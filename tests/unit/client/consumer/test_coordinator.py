"""Connections to a group's coordinator: none is left behind."""

from __future__ import annotations

import asyncio

import pytest

from barnabas.client.cluster import Cluster
from barnabas.client.connection import Connection
from barnabas.client.consumer.coordinator import Coordinator
from barnabas.host import open_ports
from barnabas.testing import Broker


def test_two_that_look_for_it_at_once_share_one_connection() -> None:
    async def main(host: str, port: int) -> None:
        ports = open_ports(asyncio.get_running_loop())
        async with Cluster(ports, [(host, port)]) as cluster:
            coordinator = Coordinator(cluster, "g")
            first, second = await asyncio.gather(coordinator.find(), coordinator.find())
            assert first is second
            coordinator.forget()
            assert first.closed
        ports.close()

    with Broker() as broker:
        host, port = broker.bootstrap_servers.rsplit(":", 1)
        asyncio.run(main(host, int(port)))


def test_a_connection_that_is_not_waited_for_any_more_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Connection] = []

    async def never(self: Connection) -> None:
        made.append(self)
        await asyncio.Event().wait()

    monkeypatch.setattr(Connection, "_negotiate", never)

    async def main(host: str, port: int) -> None:
        ports = open_ports(asyncio.get_running_loop())
        cluster = Cluster(ports, [(host, port)])
        task = asyncio.ensure_future(Connection.open(ports, cluster.config, host, port))
        while not made:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert made[0].closed
        ports.close()

    with Broker() as broker:
        host, port = broker.bootstrap_servers.rsplit(":", 1)
        asyncio.run(main(host, int(port)))
