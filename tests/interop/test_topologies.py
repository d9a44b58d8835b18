"""What clients are told, and whether they get there: listeners in networks of several shapes.

kcat stands for every client: it connects to what it was told, and nowhere else.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.node import BARNABAS, DEADLINE_S
from tests.e2e.node import Node as E2eNode
from tests.interop.conftest import absent
from tests.interop.topology import Topology, can_make_namespaces

EVERYWHERE = "0.0.0.0"

Start = Callable[..., E2eNode]


@pytest.fixture(scope="module", autouse=True)
def _namespaces() -> None:
    if shutil.which("ip") is None:
        absent("iproute2 (ip)")
    if not can_make_namespaces():
        pytest.skip("this user may not make network namespaces here")


@pytest.fixture
def net() -> Iterator[Topology]:
    with Topology() as topology:
        yield topology


@pytest.fixture
def start(net: Topology, tmp_path: Path) -> Iterator[Start]:
    """Starts the node on the machine `server` of the topology, on port 9092."""
    nodes: list[E2eNode] = []

    def starting(*arguments: str) -> E2eNode:
        node = E2eNode(tmp_path / "data", *arguments, port=9092, before=net.on("server"))
        nodes.append(node)
        return node

    yield starting
    for node in nodes:
        if node.process.poll() is None:
            assert node.stop() == 0


class From:
    """Clients on one machine of a topology."""

    def __init__(self, net: Topology, machine: str, kcat: str) -> None:
        self._before = net.on(machine)
        self._kcat = kcat

    def told(self, bootstrap: str) -> list[str]:
        """The brokers that a client is told."""
        done = self._run([self._kcat, "-b", bootstrap, "-L", "-J"])
        return [broker["name"] for broker in json.loads(done.stdout)["brokers"]]

    def round_trip(self, bootstrap: str, text: str) -> None:
        """Produce one event and find it at the end of the topic."""
        self._run([self._kcat, "-b", bootstrap, "-P", "-t", "t"], text)
        reading = [self._kcat, "-b", bootstrap, "-C", "-q", "-e", "-t", "t", "-o", "beginning"]
        assert self._run(reading).stdout.splitlines()[-1] == text

    def cannot_produce(self, bootstrap: str) -> None:
        """The client gets its metadata and then reaches nobody."""
        producing = [self._kcat, "-b", bootstrap, "-P", "-t", "t", "-X", "message.timeout.ms=1500"]
        done = subprocess.run(
            [*self._before, *producing], input="lost", capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert "Delivery failed" in done.stderr

    def doctor(self, bootstrap: str) -> list[dict[str, str]]:
        """What `barnabas doctor` finds from here."""
        command = [*BARNABAS, "doctor", "--bootstrap-server", bootstrap, "-o", "json"]
        done = subprocess.run(
            [*self._before, *command], capture_output=True, timeout=DEADLINE_S, check=False
        )
        findings: list[dict[str, str]] = json.loads(done.stdout)["findings"]
        return findings

    def _run(self, command: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._before, *command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=True,
        )


def test_two_machines_on_one_network(net: Topology, start: Start, kcat: str) -> None:
    net.machine("server")
    net.machine("client")
    net.cable("server", "10.1.0.1/24", "client", "10.1.0.2/24")
    start("--host", EVERYWHERE)
    client = From(net, "client", kcat)
    assert client.told("10.1.0.1:9092") == ["10.1.0.1:9092"]
    client.round_trip("10.1.0.1:9092", "over the cable")
    here = From(net, "server", kcat)
    assert here.told("127.0.0.1:9092") == ["127.0.0.1:9092"]
    here.round_trip("127.0.0.1:9092", "on the machine itself")


def test_a_server_in_two_networks(net: Topology, start: Start, kcat: str) -> None:
    """Each side is told the address on its own network: neither can reach the other one."""
    for name in ("server", "left", "right"):
        net.machine(name)
    net.cable("server", "10.1.0.1/24", "left", "10.1.0.2/24")
    net.cable("server", "10.2.0.1/24", "right", "10.2.0.2/24")
    start("--host", EVERYWHERE)
    for machine, address in (("left", "10.1.0.1:9092"), ("right", "10.2.0.1:9092")):
        client = From(net, machine, kcat)
        assert client.told(address) == [address]
        client.round_trip(address, machine)


def test_ipv6_alone(net: Topology, start: Start, kcat: str) -> None:
    net.machine("server")
    net.machine("client")
    net.cable("server", "fd00:1::1/64", "client", "fd00:1::2/64")
    start("--host", "::")
    client = From(net, "client", kcat)
    assert client.told("[fd00:1::1]:9092") == ["fd00:1::1:9092"]  # as kcat writes it
    client.round_trip("[fd00:1::1]:9092", "six")


@pytest.mark.parametrize("host", ["::", EVERYWHERE])
def test_both_families(net: Topology, start: Start, kcat: str, host: str) -> None:
    """A client is told an address of the family that it came by, never a mapped one (::ffff:…)."""
    net.machine("server")
    net.machine("client")
    net.cable("server", "10.1.0.1/24", "client", "10.1.0.2/24")
    net.cable("server", "fd00:1::1/64", "client", "fd00:1::2/64")
    start("--host", host)
    client = From(net, "client", kcat)
    assert client.told("10.1.0.1:9092") == ["10.1.0.1:9092"]
    client.round_trip("10.1.0.1:9092", "four")
    assert client.told("[fd00:1::1]:9092") == ["fd00:1::1:9092"]
    client.round_trip("[fd00:1::1]:9092", "six")


def test_behind_a_router(net: Topology, start: Start, kcat: str) -> None:
    for name in ("server", "router", "client"):
        net.machine(name)
    net.cable("server", "10.1.0.1/24", "router", "10.1.0.254/24")
    net.cable("client", "10.2.0.2/24", "router", "10.2.0.254/24")
    net.forward("router")
    net.route("server", "10.2.0.0/24", "10.1.0.254")
    net.route("client", "10.1.0.0/24", "10.2.0.254")
    start("--host", EVERYWHERE)
    client = From(net, "client", kcat)
    assert client.told("10.1.0.1:9092") == ["10.1.0.1:9092"]
    client.round_trip("10.1.0.1:9092", "routed")


def test_a_mapped_port(net: Topology, start: Start, kcat: str) -> None:
    """The client is told an address of the inside: the doctor says from there how to start the
    node, and started so it is reached."""
    for name in ("server", "gate", "client"):
        net.machine(name)
    net.cable("server", "10.1.0.1/24", "gate", "10.1.0.254/24")
    net.cable("client", "10.2.0.2/24", "gate", "10.2.0.254/24")
    net.map_port("gate", 19092, "10.1.0.1", 9092)
    net.route("server", "10.2.0.0/24", "10.1.0.254")
    node = start("--host", EVERYWHERE)
    assert re.search(r"behind NAT or a mapped port.*--advertise HOST:9092", node.log.read_text())
    client = From(net, "client", kcat)
    assert client.told("10.2.0.254:19092") == ["10.1.0.1:9092"]
    client.cannot_produce("10.2.0.254:19092")
    (finding,) = [f for f in client.doctor("10.2.0.254:19092") if f["level"] == "error"]
    assert "10.1.0.1:9092" in finding["text"]
    advice = re.search(r"--advertise (\S+[0-9])", finding["fix"])
    assert advice is not None
    assert advice[1] == "10.2.0.254:19092"
    assert node.stop() == 0

    node.log.unlink()
    node = start("--host", EVERYWHERE, "--advertise", advice[1])
    assert "mapped port" not in node.log.read_text()
    client.round_trip("10.2.0.254:19092", "through the gate")
    assert not [f for f in client.doctor("10.2.0.254:19092") if f["level"] == "error"]


def test_an_inside_and_an_outside(net: Topology, start: Start, kcat: str) -> None:
    """Two listeners with an advertised address each: the usual answer to a mapped port that also
    has clients within."""
    for name in ("server", "gate", "client"):
        net.machine(name)
    net.cable("server", "10.1.0.1/24", "gate", "10.1.0.254/24")
    net.cable("client", "10.2.0.2/24", "gate", "10.2.0.254/24")
    net.map_port("gate", 19092, "10.1.0.1", 9093)
    start(
        *("--override", "listeners=IN://:9092,OUT://:9093,CONTROLLER://localhost:9094"),
        *("--override", "advertised.listeners=IN://10.1.0.1:9092,OUT://10.2.0.254:19092"),
        *("--override", "inter.broker.listener.name=IN"),
        "--override",
        "listener.security.protocol.map=IN:PLAINTEXT,OUT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    )
    outside, inside = From(net, "client", kcat), From(net, "gate", kcat)
    assert outside.told("10.2.0.254:19092") == ["10.2.0.254:19092"]
    outside.round_trip("10.2.0.254:19092", "from outside")
    assert inside.told("10.1.0.1:9092") == ["10.1.0.1:9092"]
    inside.round_trip("10.1.0.1:9092", "from inside")


def test_loopback_is_for_nobody_else(net: Topology, start: Start, kcat: str) -> None:
    """Without an option nobody outside of the machine gets in."""
    net.machine("server")
    net.machine("client")
    net.cable("server", "10.1.0.1/24", "client", "10.1.0.2/24")
    start()
    From(net, "server", kcat).round_trip("localhost:9092", "here")
    client = From(net, "client", kcat)
    with pytest.raises(subprocess.CalledProcessError):
        client.told("10.1.0.1:9092")
