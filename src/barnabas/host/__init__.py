"""The ports for real: event loop, sockets, files, threads, clocks of the machine.

`loop = new_event_loop(); ports = open_ports(loop)`; or `run(main)` with `open_ports` inside.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from barnabas.host.clock import HostClock
from barnabas.host.disk import HostDisk
from barnabas.host.executor import HostExecutor
from barnabas.host.loop import new_event_loop, run
from barnabas.host.machine import HostMachine
from barnabas.host.network import HostNetwork
from barnabas.host.random_ import HostRandom

__all__ = ["HostPorts", "new_event_loop", "open_ports", "run"]


@dataclass(frozen=True, slots=True)
class HostPorts:
    """`ports.Ports` of this machine, bound to one event loop."""

    clock: HostClock
    random: HostRandom
    executor: HostExecutor
    disk: HostDisk
    network: HostNetwork
    machine: HostMachine

    def close(self) -> None:
        """Wait for queued jobs and end the threads; idempotent. Locks and files stay open."""
        self.executor.close()
        self.disk.close()


def open_ports(loop: asyncio.AbstractEventLoop, *, disk_threads: int = 4) -> HostPorts:
    """Open the ports of this machine for `loop`.

    `disk_threads` bounds both the executor's threads and the parallel syncs of `sync_files`.
    """
    return HostPorts(
        clock=HostClock(loop),
        random=HostRandom(),
        executor=HostExecutor(loop, disk_threads),
        disk=HostDisk(sync_threads=disk_threads),
        network=HostNetwork(loop),
        machine=HostMachine(),
    )
