"""Two nodes in one process share nothing: no module state, no timer, no log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from barnabas.client.admin import Admin, NewTopic
from barnabas.client.cluster import Cluster
from barnabas.client.fetcher import Fetcher
from barnabas.client.offsets import LATEST, list_offsets
from barnabas.client.sender import Sender
from barnabas.config.broker import BrokerConfig, default_properties
from barnabas.host import new_event_loop, open_ports
from barnabas.ports import Ports
from barnabas.server.node import Node
from barnabas.testing.sim import SimWorld
from tests.sim.node_host import NodeHost

RECORDS = 40


async def use(ports: Ports, address: tuple[str, int], name: bytes) -> list[bytes]:
    """Write to a topic that both nodes have, and read all of it; also the cluster's id."""
    async with Cluster(ports, [address]) as cluster:
        assert await Admin(cluster).create_topics([NewTopic("same", 1)]) == {}
        async with Sender(cluster) as producer:
            for number in range(RECORDS):
                await producer.send("same", b"%s/%d" % (name, number))
        found: list[bytes] = []
        async with Fetcher(cluster) as fetcher:
            await fetcher.assign({("same", 0): 0})
            while len(found) < RECORDS:
                taken = await fetcher.poll(1000)
                found += [record.value or b"" for record in taken.records] if taken else []
        end = await list_offsets(cluster, {("same", 0): LATEST})
        assert end["same", 0].offset == RECORDS
        return found


def written(name: bytes) -> list[bytes]:
    return [b"%s/%d" % (name, number) for number in range(RECORDS)]


def test_two_nodes_in_one_world() -> None:
    def run(both: bool) -> tuple[str, str]:
        world = SimWorld(7)
        nodes = {"one": NodeHost(world, name="one")}
        if both:
            nodes["two"] = NodeHost(world, name="two")

        async def main() -> str:
            for node in nodes.values():
                assert await node.start()
            work = [
                world.host(f"client of {name}").spawn(
                    use(world.host(f"client of {name}").ports, node.host_address, name.encode())
                )
                for name, node in nodes.items()
            ]
            for name, found in zip(nodes, await asyncio.gather(*work), strict=True):
                assert found == written(name.encode())
            ids = {node.node.cluster_id for node in nodes.values() if node.node is not None}
            assert len(ids) == len(nodes)
            if both:
                nodes["two"].power_loss()  # is nothing to the other one
            client = world.host("late client")
            await client.spawn(_look(client.ports, nodes["one"].host_address))
            assert await nodes["one"].stop()
            return min(ids)

        ids = world.run(main())
        return ids, world.trace_hash()

    assert run(both=True) == run(both=True)
    assert run(both=False) == run(both=False)


async def _look(ports: Ports, address: tuple[str, int]) -> None:
    async with Cluster(ports, [address]) as cluster:
        end = await list_offsets(cluster, {("same", 0): LATEST})
        assert end["same", 0].offset == RECORDS


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, new_event_loop])
def test_two_nodes_on_one_loop(
    tmp_path: Path, make_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def main() -> None:
        ports = open_ports(asyncio.get_running_loop())
        names = ("one", "two")
        nodes = [
            Node(BrokerConfig.from_properties(_properties(tmp_path / n)), ports) for n in names
        ]
        for node in nodes:
            await node.start()
        assert nodes[0].address[1] != nodes[1].address[1]
        assert nodes[0].cluster_id != nodes[1].cluster_id
        work = [
            use(ports, node.address, name.encode()) for node, name in zip(nodes, names, strict=True)
        ]
        for name, found in zip(names, await asyncio.gather(*work), strict=True):
            assert found == written(name.encode())
        await nodes[0].stop()
        await _look(ports, nodes[1].address)
        again = Node(BrokerConfig.from_properties(_properties(tmp_path / "one")), ports)
        await again.start()
        assert again.cluster_id == nodes[0].cluster_id
        await _look(ports, again.address)
        await again.stop()
        await nodes[1].stop()
        ports.close()

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())


def _properties(data: Path) -> dict[str, str]:
    return default_properties(str(data), host="127.0.0.1", port=0, controller_port=0)
