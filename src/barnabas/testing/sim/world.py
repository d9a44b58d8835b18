"""A whole deterministic world: loop, network, hosts with disks, one seed."""

from __future__ import annotations

import gc
from collections.abc import Coroutine
from random import Random
from typing import Any, TypeVar

from barnabas.testing.sim.host import SimHost
from barnabas.testing.sim.loop import SimLoop
from barnabas.testing.sim.network import Fabric
from barnabas.testing.sim.plan import FaultPlan

T = TypeVar("T")

END_US = 60_000_000
"""Virtual time that leftover tasks have to end when the world does."""


class SimFailure(ExceptionGroup[Exception]):
    """Errors that nobody handled: the run has failed, whatever its result."""


class SimWorld:
    """Everything of one simulated run. Same seed and plan, same run, same `trace_hash`.

    `faults` None is a calm world; see `FaultPlan.swarm` for a rough one. A test makes hosts,
    spawns coroutines on them that use `host.ports`, and does to them what it likes::

        world = SimWorld(seed, faults=FaultPlan.swarm(Random(seed)))

        async def main() -> None:
            server = world.host("server")
            server.spawn(serve(server.ports))
            await world.host("client").spawn(produce(world.host("client").ports, "server"))
            server.power_loss()
            server.spawn(serve(server.restart()))

        world.run(main())
    """

    def __init__(self, seed: int, *, faults: FaultPlan | None = None) -> None:
        self.seed = seed
        self.plan = FaultPlan() if faults is None else faults
        self.loop = SimLoop(seed, fifo=self.plan.fifo)
        self.random = Random(f"{seed}/world")
        """For the test's own choices."""
        self.network = Fabric(self.loop, Random(f"{seed}/network"), self.plan)
        self.hosts: dict[str, SimHost] = {}

    def host(self, name: str) -> SimHost:
        """The host of that name, made at the first call."""
        found = self.hosts.get(name)
        if found is None:
            found = SimHost(self.loop, self.network, self.plan, name, f"{self.seed}")
            self.hosts[name] = found
        return found

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run `main` (outside of all hosts), then end all other tasks, and the world.

        Raises what `main` raises, or SimFailure when a task, callback or protocol failed and
        nobody handled it.
        """
        gc.freeze()  # what is there already, perhaps a whole test session, is not looked at each time
        try:
            result = self.loop.run_until_complete(main)
        finally:
            self._end()
            gc.unfreeze()
        errors = self.loop.errors + self.loop.unheard_errors()
        if errors:
            raise SimFailure(
                f"unhandled errors in world {self.seed}",
                [error for error in errors if isinstance(error, Exception)]
                or [RuntimeError(repr(errors[0]))],
            )
        return result

    def trace_hash(self) -> str:
        """Tells two runs apart: hash over the time and label of every event so far."""
        return self.loop.trace.digest()

    def _end(self) -> None:
        """Cancel what still runs, bury what crashed."""
        for host in self.hosts.values():
            host.resume()
        self.loop.end_tasks(END_US)
        self.loop.bury_dead_tasks()
        gc.collect()
        self.loop.close()
