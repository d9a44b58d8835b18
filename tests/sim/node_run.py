"""One seed: a node, its clients, and what befalls them; then what must hold."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, replace
from random import Random

from barnabas.client.cluster import Cluster
from barnabas.client.config import ClientConfig, ProducerConfig
from barnabas.client.errors import ClientError
from barnabas.client.sender import Sender
from barnabas.records.compression import Codec
from barnabas.testing.checkers import History, Partition, Violation, check
from barnabas.testing.sim import DiskFault, FaultPlan, SimHost, SimWorld
from barnabas.wire.errors import KafkaError
from tests.sim.node_admin import AdminClient
from tests.sim.node_clients import Client, RawProducer, RawReader, Run
from tests.sim.node_end import check_files, prove_alive, read_everything
from tests.sim.node_host import DATA, NodeHost

FAULTS_MS = 6_000
"""How long things go wrong."""
ALIVE_MS = 60_000
"""How long a healed node may take to serve everything again."""
CRASHES = ("kill", "power", "stop", "crash point")


@dataclass(frozen=True)
class Knobs:
    """What a seed draws besides the faults of its world."""

    page_cache: bool
    disk_errors: bool
    faults: tuple[str, ...]
    node: dict[str, str]
    topics: dict[str, tuple[int, dict[str, str]]]
    producers: int
    readers: int

    @classmethod
    def draw(cls, pick: Random) -> Knobs:
        """A rough but honest node."""
        page_cache = pick.randrange(3) == 0
        errors = pick.randrange(4) == 0
        kinds = ["kill", "power", "stop", "crash point", "pause", "cut", "stall", "clog"]
        faults = pick.sample(kinds, pick.randrange(2, 6)) + (["disk error"] if errors else [])
        topics = {
            name: (pick.randrange(1, 4), _topic(pick))
            for name in ("a", "b")[: pick.randrange(1, 3)]
        }
        node = {
            "barnabas.ack.mode": "page-cache" if page_cache else "synced",
            "barnabas.validation": pick.choice(("header", "full")),
            "log.retention.check.interval.ms": pick.choice(("300", "2000")),
            "log.message.timestamp.after.max.ms": str(2**63 - 1),  # clocks are hours apart
            "log.initial.task.delay.ms": pick.choice(("0", "500")),
            "log.flush.offset.checkpoint.interval.ms": pick.choice(("200", "60000")),
            "log.flush.start.offset.checkpoint.interval.ms": pick.choice(("200", "60000")),
            "replica.high.watermark.checkpoint.interval.ms": pick.choice(("100", "5000")),
            "log.segment.delete.delay.ms": pick.choice(("0", "500", "60000")),
            "max.incremental.fetch.session.cache.slots": pick.choice(("1", "1000")),
        }
        return cls(
            page_cache,
            errors,
            tuple(faults),
            node,
            topics,
            pick.randrange(1, 4),
            pick.randrange(1, 4),
        )


def _topic(pick: Random) -> dict[str, str]:
    """Configs of a topic: everything small, so that it happens often."""
    configs = {
        "internal.segment.bytes": pick.choice(("1000", "4000", "1000000")),
        "index.interval.bytes": pick.choice(("0", "200", "4096")),
        "segment.index.bytes": pick.choice(("36", "120", "4096")),
        "compression.type": pick.choice(("producer", "producer", "zstd", "uncompressed")),
        "message.timestamp.type": pick.choice(("CreateTime", "CreateTime", "LogAppendTime")),
        "retention.ms": "-1",
    }
    retention = pick.randrange(4)
    if retention == 0:
        configs["retention.bytes"] = "3000"
    elif retention == 1:
        configs["retention.ms"] = "1000"
    return configs


class LibraryProducer:
    """Our own client: retries, several requests in flight."""

    def __init__(self, run: Run, host: SimHost, name: str, pick: Random) -> None:
        self._run = run
        self._ports = host.ports
        self._name = name
        self._random = Random(name)
        idempotent = pick.randrange(3) > 0
        self.config = ProducerConfig(
            acks=-1 if idempotent else pick.choice((-1, 1)),
            enable_idempotence=idempotent,
            batch_size=pick.choice((1, 200, 16_384)),
            linger_ms=pick.choice((0, 5, 50)),
            compression=pick.choice(list(Codec)),
            delivery_timeout_ms=pick.choice((1_000, 120_000)),
        )

    async def live(self) -> None:
        """Send records until the run is over."""
        run, number = self._run, 0
        config = ClientConfig(request_timeout_ms=3_000, socket_connection_setup_timeout_ms=3_000)
        cluster = Cluster(self._ports, [(run.address, 9092)], config)
        producer = Sender(cluster, self.config)
        flights: list[asyncio.Task[None]] = []
        stable = sorted(name for name in run.topics if not name.startswith("v"))
        while not run.over:
            topic = self._random.choice(stable)
            try:
                await producer.prepare(topic, create=False)
                topic_id = cluster.metadata.topics[topic].id
                for _ in range(self._random.randrange(1, 8)):
                    number += 1
                    index = self._random.randrange(run.topics[topic])
                    value = b"%s/%d" % (self._name.encode(), number)
                    flights.append(self._send(producer, topic, Partition(topic_id, index), value))
            except (ClientError, KafkaError):
                await self._ports.clock.sleep(300)
            await self._ports.clock.sleep(self._random.randrange(200))
        await asyncio.gather(*flights)
        await producer.close(flush=False)
        await cluster.close()

    def _send(
        self, producer: Sender, topic: str, partition: Partition, value: bytes
    ) -> asyncio.Task[None]:
        run = self._run
        sent = run.history.send(
            self._name,
            partition,
            (value,),
            run.promise(self.config.acks),
            once=self.config.enable_idempotence and not run.page_cache,
        )

        async def deliver() -> None:
            try:
                delivery = await producer.send(topic, value, partition=partition.number)
                run.history.ack(sent, (await delivery).offset)
            except (ClientError, KafkaError):
                return

        return asyncio.get_running_loop().create_task(deliver())


class Seed:
    """One run of one seed."""

    def __init__(self, seed: int) -> None:
        pick = Random(f"{seed}/run")
        self.pick = pick
        self.knobs = Knobs.draw(pick)
        plan = FaultPlan.swarm(Random(f"{seed}/plan"))
        # One byte per event makes a world slow without making it rougher for the node.
        plan = replace(
            plan,
            segment=max(plan.segment, (1, 400)),
            read=max(plan.read, (1, 400)),
            bandwidth=max(plan.bandwidth, 1_000_000),
        )
        self.world = SimWorld(seed, faults=plan)
        self.host = NodeHost(self.world, self.knobs.node)
        self.clients = [self.world.host("left"), self.world.host("right")]
        self.history = History()
        self.run = Run(self.history, self.host.host.address, self.knobs.page_cache)
        self.admin = AdminClient(self.run, self.clients[0], "admin", Random(f"{seed}/admin"))

    def execute(self) -> list[Violation]:
        """Everything; what was violated."""
        self.world.run(self._main())
        return self.run.violations + self.admin.violations + check(self.history)

    async def _main(self) -> None:
        await self.up()
        for name, (partitions, configs) in self.knobs.topics.items():
            await self.clients[0].spawn(self.admin.create_stable(name, partitions, configs))
        workers = [self.clients[i % 2].spawn(w.live()) for i, w in enumerate(self._workers())]
        workers.append(self.clients[0].spawn(self.admin.live()))
        await self._torment()
        await self._heal()
        proof = self.clients[1].spawn(prove_alive(self.run, self.clients[1], self.knobs.topics))
        await asyncio.wait([proof], timeout=ALIVE_MS / 1000)
        if not proof.done():
            proof.cancel()
            self.run.violations.append(Violation("liveness", "a healed node does not serve"))
        self.run.over = True
        await asyncio.gather(*workers)
        await self._crash(self.pick.choice(CRASHES[:3]))
        await self.up()
        self.history.contents = await self.clients[0].spawn(
            read_everything(self.run, self.clients[0])
        )
        await self.clients[0].spawn(self.admin.compare())
        await self._check_files()

    def _workers(self) -> list[Client | LibraryProducer]:
        pick, run = self.pick, self.run
        workers: list[Client | LibraryProducer] = []
        for number in range(self.knobs.producers):
            host = self.clients[len(workers) % 2]
            kind = pick.randrange(4)
            if kind == 0:
                workers.append(LibraryProducer(run, host, f"lib{number}", pick))
            else:
                idempotent = pick.randrange(2) == 0
                acks = -1 if idempotent else pick.choice((0, 1, -1))
                name = f"raw{number}"
                workers.append(RawProducer(run, host, name, acks=acks, idempotent=idempotent))
        for number in range(self.knobs.readers):
            host = self.clients[len(workers) % 2]
            sessions = pick.randrange(2) == 0
            workers.append(RawReader(run, host, f"reader{number}", sessions=sessions))
        return workers

    # -- what befalls them -------------------------------------------------------------------

    async def up(self) -> None:
        """Start the node, again and again until it stands."""
        for _ in range(20):
            try:
                if await self.host.start():
                    return
            except OSError:
                pass
            self._after_disk_error()
        raise AssertionError("the node does not start")

    async def _torment(self) -> None:
        loop, pick = self.world.loop, self.pick
        end = loop.now_us + FAULTS_MS * 1000
        while loop.now_us < end:
            await asyncio.sleep(pick.uniform(0.05, 1.0))
            await self._befall(pick.choice(self.knobs.faults))

    async def _befall(self, fault: str) -> None:
        pick, host, network = self.pick, self.host.host, self.world.network
        if fault in CRASHES:
            await self._crash(fault)
            await asyncio.sleep(pick.uniform(0.0, 0.3))
            await self.up()
        elif fault == "pause":
            host.pause()
            await asyncio.sleep(pick.uniform(0.01, 2))
            host.resume()
        elif fault == "cut":
            network.partition([host.name], [pick.choice(self.clients).name])
            await asyncio.sleep(pick.uniform(0.01, 2))
            network.heal()
        elif fault == "clog":
            network.clog(host.name, pick.choice(self.clients).name, pick.randrange(1_000_000))
        elif fault == "stall":
            host.disk.faults.stall_us = pick.choice((10_000, 100_000))
            await asyncio.sleep(pick.uniform(0.01, 1))
            host.disk.faults.stall_us = 0
        else:
            await self._disk_error()

    async def _crash(self, kind: str) -> None:
        host, pick = self.host, self.pick
        if kind == "crash point":
            disk = host.host.disk
            disk.crash_at(disk.op_count + pick.randrange(1, 30), after=pick.randrange(2) == 0)
            death = asyncio.ensure_future(host.host.crashed())
            await asyncio.wait([death], timeout=1)
            death.cancel()
            kind = pick.choice(("kill", "power"))
        if kind == "stop" and await host.stop():
            return
        if kind == "power":
            self.history.era += 1
            host.power_loss()
        else:
            host.kill()

    async def _disk_error(self) -> None:
        """A failing device: the directory goes offline; somebody reboots the machine."""
        pick, disk = self.pick, self.host.host.disk
        kind = pick.choice(("sync", "write", "rename", "sync_dir", "read", "create", "truncate"))
        path = pick.choice(("", ".log", "cluster_metadata"))
        disk.faults.rules.append(
            DiskFault(kind, path=path, skip=pick.randrange(4), times=pick.choice((1, -1)))
        )
        await asyncio.sleep(pick.uniform(0.2, 2))
        self._after_disk_error()
        await self.up()

    def _after_disk_error(self) -> None:
        """A machine whose disk is mended starts with an empty page cache."""
        self.history.era += 1
        self.host.host.disk.faults.rules.clear()
        self.host.power_loss()

    async def _heal(self) -> None:
        world, faults = self.world, self.host.host.disk.faults
        world.network.plan = replace(
            world.network.plan, reset_rate=0.0, refuse_rate=0.0, spike_rate=0.0
        )
        world.network.heal()
        faults.rules.clear()
        faults.slow_rate = faults.cold_rate = 0.0
        faults.stall_us = 0
        node = self.host.node
        if node is None or (node.failed is not None and node.failed.done()):
            self._after_disk_error()
            await self.up()

    async def _check_files(self) -> None:
        """P10 and P11 on the files of a clean stop, and of another one behind it."""
        assert await self.host.stop()
        disk = self.host.host.disk
        before = check_files(disk, DATA, self.knobs.topics, self.run.page_cache)
        self.host.overrides["log.initial.task.delay.ms"] = "60000"  # no retention in between
        await self.up()
        assert await self.host.stop()
        after = check_files(disk, DATA, self.knobs.topics, self.run.page_cache)
        changed = sorted(
            path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
        )
        if changed:
            self.run.violations.append(Violation("P10", f"a clean restart changed {changed}"))


def main(number: int) -> None:
    """Run one seed and print what it found."""
    seed = Seed(number)
    print(seed.knobs)
    violations = seed.execute()
    for violation in violations:
        print(f"{violation.rule}: {violation.text}")
    print(f"seed {number}: {len(violations)} violations, trace {seed.world.trace_hash()}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
