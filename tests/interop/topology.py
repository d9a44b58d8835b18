"""Machines in network namespaces, with cables, a router and mapped ports between them."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType

_numbers = itertools.count()

PORT_MAP = """
import asyncio, sys
async def main(port, host, target):
    async def pump(source, sink):
        try:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()
    async def serve(reader, writer):
        inner_reader, inner_writer = await asyncio.open_connection(host, target)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))
    server = await asyncio.start_server(serve, "", port)
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""
"""Like docker-proxy, `kubectl port-forward` or `ssh -L`: who comes through has another address."""


def can_make_namespaces() -> bool:
    """Whether this user may make network namespaces: root, or CAP_SYS_ADMIN and CAP_NET_ADMIN."""
    try:
        with Topology() as net:
            net.machine("probe")
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


class Topology:
    """Machines that see nothing but each other. All of it is gone at the end of `with`."""

    def __init__(self) -> None:
        self._prefix = f"bn{os.getpid()}x{next(_numbers)}"
        self._machines: dict[str, str] = {}
        self._cables = itertools.count()
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Topology:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        for namespace in self._machines.values():
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "del", namespace)

    def machine(self, name: str) -> None:
        """One more machine, with a loopback of its own."""
        namespace = f"{self._prefix}{name}"
        _ip("netns", "add", namespace)
        self._machines[name] = namespace
        self._in(name, "link", "set", "lo", "up")

    def cable(self, one: str, one_address: str, other: str, other_address: str) -> None:
        """Connect two machines; addresses with prefix length, as in 10.0.0.1/24 or fd00::1/64."""
        number = next(self._cables)
        ends = ((one, f"c{number}a", one_address), (other, f"c{number}b", other_address))
        _ip(
            *("link", "add", ends[0][1], "netns", self._machines[one], "type", "veth"),
            *("peer", "name", ends[1][1], "netns", self._machines[other]),
        )
        for machine, interface, address in ends:
            self.address(machine, interface, address)
            self._in(machine, "link", "set", interface, "up")

    def address(self, machine: str, interface: str, address: str) -> None:
        """Give an interface one more address, usable at once."""
        more = ("nodad",) if ":" in address else ()
        self._in(machine, "address", "add", address, "dev", interface, *more)

    def route(self, machine: str, target: str, via: str) -> None:
        """Let `machine` reach the network `target` by a neighbour."""
        self._in(machine, "route", "add", target, "via", via)

    def forward(self, machine: str) -> None:
        """Let `machine` pass on what is not for itself."""
        subprocess.run(
            [*self.on(machine), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"], check=True
        )

    def map_port(self, machine: str, port: int, host: str, target: int) -> None:
        """Whoever connects to `port` of `machine` ends up at `host`:`target`, seen from there."""
        process = subprocess.Popen(
            [*self.on(machine), sys.executable, "-c", PORT_MAP, str(port), host, str(target)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    def on(self, machine: str) -> Sequence[str]:
        """What to put before a command so that it runs on `machine`."""
        return ("ip", "netns", "exec", self._machines[machine])

    def _in(self, machine: str, *arguments: str) -> None:
        _ip("-n", self._machines[machine], *arguments)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
