"""Opening the ports, clock, chance, the frame around main, addresses."""

from __future__ import annotations

import asyncio
import builtins
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import pytest

from barnabas.host import new_event_loop, open_ports, run
from barnabas.host.network import HostNetwork, _address
from barnabas.ports import Ports
from tests.sim.streams import Recorder, Tidy


def test_open_ports_gives_all_doors() -> None:
    async def main(_stop: asyncio.Event) -> None:
        ports = open_ports(asyncio.get_running_loop(), disk_threads=2)
        doors: Ports = ports
        assert await doors.executor.run(lambda: doors.disk.exists("/")) is True
        ports.close()
        ports.close()

    run(main)


def test_clock() -> None:
    async def main(_stop: asyncio.Event) -> None:
        clock = open_ports(asyncio.get_running_loop()).clock
        fired: list[str] = []
        clock.call_later(1, lambda: fired.append("yes"))
        clock.call_later(1, lambda: fired.append("no")).cancel()
        before = clock.monotonic_ms()
        await clock.sleep(20)
        assert fired == ["yes"]
        assert clock.monotonic_ms() > before
        assert clock.wall_ms() > 1_700_000_000_000

    run(main)


def test_random() -> None:
    async def main(_stop: asyncio.Event) -> None:
        random = open_ports(asyncio.get_running_loop()).random
        assert len(random.bytes(16)) == 16
        assert random.bytes(16) != random.bytes(16)
        assert {random.below(3) for _ in range(200)} == {0, 1, 2}
        with pytest.raises(ValueError, match="Upper bound"):
            random.below(0)

    run(main)


def test_first_signal_asks_second_one_ends() -> None:
    async def main(stop: asyncio.Event) -> str:
        assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        return "stopped"

    assert run(main) == "stopped"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

    async def stubborn(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        run(stubborn)


def test_plain_asyncio_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name == "uvloop":
            raise ImportError(name)
        return real(name, *args, **options)

    fast = new_event_loop()
    assert type(fast).__module__.startswith("uvloop")
    fast.close()
    monkeypatch.setattr(builtins, "__import__", without)
    loop = new_event_loop()
    assert isinstance(loop, asyncio.SelectorEventLoop)
    loop.close()


def test_addresses() -> None:
    assert _address(None) == ("", 0)
    assert _address(("127.0.0.1", 5)) == ("127.0.0.1", 5)
    assert _address(("::ffff:127.0.0.1", 5, 0, 0)) == ("127.0.0.1", 5)
    assert _address(("fe80::1", 5, 0, 2)) == ("fe80::1", 5)


@pytest.mark.parametrize("factory", [new_event_loop, asyncio.new_event_loop])
@pytest.mark.parametrize("host", ["", "127.0.0.1"])
def test_small_answers_leave_at_once(
    host: str, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """TCP_NODELAY on both ends; neither loop needs to be told."""

    async def main() -> None:
        network = Tidy(HostNetwork(asyncio.get_running_loop()))
        far = Recorder()
        listener = await network.listen(host, 0, far.itself)
        near = Recorder()
        await network.connect("127.0.0.1", listener.address[1], near.itself)
        await far.until(lambda me: "made" in me.calls)
        for end in (near, far):
            transport: Any = end.transport
            sock = transport.write.__self__.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        await network.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


def test_ipv6_and_both_at_once() -> None:
    async def main(_stop: asyncio.Event) -> None:
        network = Tidy(HostNetwork(asyncio.get_running_loop()))
        asked = [
            ("::1", "::1"),
            *((host, to) for host in ("", "::") for to in ("::1", "127.0.0.1")),
        ]
        for host, dialled in asked:
            far = Recorder()
            listener = await network.listen(host, 0, far.itself)
            near = Recorder()
            await network.connect(dialled, listener.address[1], near.itself)
            await far.until(lambda me: "made" in me.calls)
            assert near.transport.peer == (dialled, listener.address[1])
            assert far.transport.peer == near.transport.local
        await network.close()

    run(main)


def test_name_means_ipv4_first() -> None:
    async def main(_stop: asyncio.Event) -> None:
        network = HostNetwork(asyncio.get_running_loop())
        listener = await network.listen("localhost", 0, Recorder)
        assert listener.address[0] == "127.0.0.1"
        listener.close()

    run(main)


@pytest.mark.parametrize("make_loop", [new_event_loop, asyncio.new_event_loop])
@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".org"])
def test_what_no_host_can_be_called_is_an_address_that_is_unknown(
    make_loop: Callable[[], asyncio.AbstractEventLoop], host: str
) -> None:
    async def main() -> None:
        network = HostNetwork(asyncio.get_running_loop())
        with pytest.raises(socket.gaierror):
            await network.listen(host, 0, Recorder)
        with pytest.raises(socket.gaierror):
            await network.connect(host, 1, Recorder)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())


def test_python_adds_no_frame_per_read_or_write() -> None:
    async def main(_stop: asyncio.Event) -> None:
        network = Tidy(HostNetwork(asyncio.get_running_loop()))
        listener = await network.listen("127.0.0.1", 0, Recorder)
        near = Recorder()
        await network.connect("127.0.0.1", listener.address[1], near.itself)
        bound: Any = near.transport.write
        adapter: Any = bound.__self__.get_protocol()
        assert "Transport" in type(bound.__self__).__name__
        assert adapter.get_buffer == near.get_buffer
        assert adapter.buffer_updated == near.buffer_updated
        await network.close()

    run(main)
