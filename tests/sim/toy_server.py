"""A toy store behind a network, with clients that retry: a world to test worlds with."""

from __future__ import annotations

import asyncio
from random import Random

from barnabas.ports import Ports, Transport
from barnabas.testing.sim import FaultPlan, SimHost, SimWorld
from tests.sim.streams import Recorder
from tests.sim.toy_store import ToyStore

PORT = 9092
RECORD = 16
"""Requests and answers are this long: the record, and the record again."""
RECORDS_PER_CLIENT = 12
RETRY_MS = 50
GIVE_UP_MS = 2_000


class Connection(Recorder):
    """Server's end: appends each record on the executor, answers when it is acknowledged."""

    def __init__(self, ports: Ports, store: ToyStore) -> None:
        super().__init__()
        self._ports = ports
        self._store = store

    def buffer_updated(self, nbytes: int) -> None:
        super().buffer_updated(nbytes)
        while len(self.received) >= RECORD:
            record = bytes(self.received[:RECORD])
            del self.received[:RECORD]
            self._ports.executor.submit(lambda r=record: self._append(r), self._answer)  # type: ignore[misc]

    def _append(self, record: bytes) -> bytes:
        self._store.append(record)
        return record

    def _answer(self, record: bytes | None, error: BaseException | None) -> None:
        if record is None:
            self.transport.abort()
            assert isinstance(error, OSError)
        else:
            self.transport.write(record)


async def serve(ports: Ports, bug: str) -> None:
    """Open the store and listen."""
    store = await ports.executor.run(lambda: ToyStore(ports.disk, lambda _: None, bug))
    await ports.network.listen("", PORT, lambda: Connection(ports, store))


async def produce(ports: Ports, name: bytes, acknowledged: list[bytes]) -> None:
    """Send records one by one, each until it is answered; connect anew after every failure."""
    for number in range(RECORDS_PER_CLIENT):
        record = name + b"%03d" % number
        record += b"." * (RECORD - len(record))
        while not await attempt(ports, record):
            await ports.clock.sleep(RETRY_MS)
        acknowledged.append(record)


async def attempt(ports: Ports, record: bytes) -> bool:
    """Send one record on a connection of its own; whether it was answered."""
    end = Recorder()
    try:
        async with asyncio.timeout(GIVE_UP_MS / 1000):
            await ports.network.connect("server", PORT, end.itself)
            transport: Transport = end.transport
            transport.write(record)
            await end.until(lambda me: len(me.received) >= RECORD or "lost" in me.calls)
            return bytes(end.received) == record
    except OSError:  # TimeoutError is one
        return False
    finally:
        if "made" in end.calls:
            end.transport.close()


async def torment(world: SimWorld, server: SimHost, bug: str) -> None:
    """Crash, pause and cut off the server for a while."""
    random = world.random
    for _ in range(6):
        await asyncio.sleep(random.uniform(0.01, 1.5))
        fault = random.randrange(5)
        if fault == 0:
            server.pause()
            await asyncio.sleep(random.uniform(0.01, 3))
            server.resume()
        elif fault == 1:
            world.network.partition(["server"], ["a", "b"])
            await asyncio.sleep(random.uniform(0.01, 3))
            world.network.heal()
        else:
            if fault == 2:
                server.kill()
            else:
                if fault == 3:  # in the middle of an operation
                    server.disk.crash_at(server.disk.op_count + random.randrange(1, 8))
                    await asyncio.wait([asyncio.create_task(server.crashed())], timeout=1)
                server.power_loss()
            await asyncio.sleep(random.uniform(0.01, 0.5))
            await server_up(server, bug)


async def server_up(server: SimHost, bug: str) -> None:
    """Start the server's next life."""
    ports = server.ports if server.is_alive else server.restart()
    await server.spawn(serve(ports, bug))


def run(seed: int, bug: str = "", *, calm: bool = False) -> tuple[str, list[bytes], list[bytes]]:
    """(trace hash, acknowledged records, records of the store after a last power loss)."""
    plan = None if calm else FaultPlan.swarm(Random(seed))
    world = SimWorld(seed, faults=plan)
    server = world.host("server")
    acknowledged: list[bytes] = []

    async def main() -> None:
        await server_up(server, bug)
        clients = [
            host.spawn(produce(host.ports, name.encode(), acknowledged))
            for name in ("a", "b")
            if (host := world.host(name))
        ]
        if not calm:
            await torment(world, server, bug)
        await asyncio.gather(*clients)

    world.run(main())
    server.disk.power_loss()
    records = ToyStore(server.disk, lambda _: None).records
    return world.trace_hash(), acknowledged, records
