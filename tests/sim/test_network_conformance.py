"""One suite for every `ports.Network`: uvloop, asyncio's own loop, and the simulated one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from random import Random
from typing import Any, TypeAlias

import pytest

from barnabas.host import new_event_loop, open_ports
from barnabas.ports import Listener, Network
from barnabas.testing.sim import FaultPlan, SimWorld
from tests.sim.streams import Recorder, Tidy

Case: TypeAlias = Callable[[Network, Network, str], Coroutine[Any, Any, None]]
Runner: TypeAlias = Callable[[Case], None]


def run_on_host(loop_factory: Callable[[], asyncio.AbstractEventLoop], case: Case) -> None:
    async def main() -> None:
        network = Tidy(open_ports(asyncio.get_running_loop()).network)
        try:
            await case(network, network, "127.0.0.1")
        finally:
            await network.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def run_in_world(plan: FaultPlan, seed: int, case: Case) -> None:
    world = SimWorld(seed, faults=plan)
    server, client = world.host("server"), world.host("client")

    async def main() -> None:
        await client.spawn(case(server.network, client.network, server.address))

    world.run(main())


def rough(seed: int) -> FaultPlan:
    """A rough network that breaks nothing."""
    random = Random(seed)
    low = random.choice((1, 100, 5000))
    return FaultPlan(
        fifo=False,
        latency_us=(low, 10 * low),
        bandwidth=50_000_000,
        window=random.choice((2048, 65_536)),
        segment=(1, random.choice((200, 1460))),
        read=(1, random.choice((200, 65_536))),
        late_accept_us=(0, 1000),
    )


@pytest.fixture(params=["uvloop", "asyncio", "sim", "sim-rough"])
def run(request: pytest.FixtureRequest, seed: int) -> Runner:
    """Runs a case with (server's network, client's network, server's address)."""
    if request.param == "uvloop":
        return lambda case: run_on_host(new_event_loop, case)
    if request.param == "asyncio":
        return lambda case: run_on_host(asyncio.new_event_loop, case)
    if request.param == "sim":
        return lambda case: run_in_world(FaultPlan(), seed, case)

    def many(case: Case) -> None:
        for number in range(seed, seed + 4):
            run_in_world(rough(number), number, case)

    return many


async def pair(
    server: Network, client: Network, host: str, *, echo: bool = False
) -> tuple[Listener, Recorder, Recorder]:
    """(listener, server's end, client's end) of one connection."""
    accepted: list[Recorder] = []

    def accept() -> Recorder:
        accepted.append(Recorder(echo=echo))
        return accepted[-1]

    listener = await server.listen(host, 0, accept)
    near = Recorder()
    await client.connect(host, listener.address[1], lambda: near)
    while not (accepted and accepted[0].calls):
        await asyncio.sleep(0.001)
    return listener, accepted[0], near


def test_addresses(run: Runner) -> None:
    async def case(server: Network, client: Network, host: str) -> None:
        listener, far, near = await pair(server, client, host)
        assert listener.address[0] == host
        assert listener.address[1] > 0
        assert near.transport.peer == far.transport.local == listener.address
        assert near.transport.local == far.transport.peer
        listener.close()

    run(case)


def test_echo_keeps_order(run: Runner) -> None:
    async def case(server: Network, client: Network, host: str) -> None:
        _, far, near = await pair(server, client, host, echo=True)
        near.transport.write(b"one,")
        near.transport.writelines([b"two,", bytearray(b"three,"), memoryview(b"four"), b""])
        await near.until(lambda me: len(me.received) == 18)
        assert near.received == far.received == b"one,two,three,four"
        assert near.calls[0] == far.calls[0] == "made"

    run(case)


def test_large_transfer_feels_back_pressure(run: Runner) -> None:
    async def case(server: Network, client: Network, host: str) -> None:
        _, far, near = await pair(server, client, host)
        data = bytes(range(251)) * 800
        far.transport.pause_reading()
        chunks = 0
        while not near.paused:  # the kernels' buffers fill, then ours
            near.transport.write(data)
            chunks += 1
            await asyncio.sleep(0)
        assert near.transport.get_write_buffer_size() > 0
        far.transport.resume_reading()
        await far.until(lambda me: len(me.received) == chunks * len(data))
        await near.until(lambda me: not me.paused)
        assert far.received == data * chunks
        assert near.count("pause") == near.count("resume") >= 1

    run(case)


def test_close_flushes_first(run: Runner) -> None:
    async def case(server: Network, client: Network, host: str) -> None:
        _, far, near = await pair(server, client, host)
        data = b"x" * 300_000
        near.transport.write(data)
        near.transport.close()
        near.transport.close()
        await near.lost()
        await far.lost()
        assert far.received == data
        assert far.calls[-2:] == ["eof", "lost"]
        assert near.error is far.error is None
        assert near.count("lost") == far.count("lost") == 1

    run(case)


def test_end_of_stream_closes_after_the_answer(run: Runner) -> None:
    class Answering(Recorder):
        def eof_received(self) -> None:
            super().eof_received()
            self.transport.write(b"bye" * 50_000)

    async def case(server: Network, client: Network, host: str) -> None:
        accepted: list[Recorder] = []

        def accept() -> Recorder:
            accepted.append(Answering())
            return accepted[-1]

        listener = await server.listen(host, 0, accept)
        near = Recorder()
        await client.connect(host, listener.address[1], lambda: near)
        near.transport.write(b"question")
        half_close(near)
        await near.lost()
        assert near.received == b"bye" * 50_000
        assert near.calls[-2:] == ["eof", "lost"]
        await accepted[0].lost()
        assert accepted[0].received == b"question"

    run(case)


def half_close(end: Recorder) -> None:
    """End one direction: not in the port, since Barnabas never does it; foreign clients may."""
    transport: Any = end.transport
    write_eof = getattr(transport, "write_eof", None) or transport.write.__self__.write_eof
    write_eof()


def test_abort_drops_what_is_queued(run: Runner) -> None:
    async def case(server: Network, client: Network, host: str) -> None:
        _, far, near = await pair(server, client, host)
        far.transport.pause_reading()
        while not near.paused:
            near.transport.write(b"y" * 200_000)
            await asyncio.sleep(0)
        near.transport.abort()
        near.transport.abort()
        near.transport.close()
        await near.lost()
        assert near.transport.get_write_buffer_size() == 0
        far.transport.resume_reading()
        await far.lost()
        assert near.count("lost") == far.count("lost") == 1

    run(case)


def test_lost_connection_ignores_everything(run: Runner) -> None:
    async def case(server: Network, client: Network, host: str) -> None:
        _, far, near = await pair(server, client, host)
        near.transport.write(b"kept")
        near.transport.close()
        await near.lost()
        near.transport.write(b"ignored")
        near.transport.writelines([b"ignored"])
        near.transport.pause_reading()
        near.transport.resume_reading()
        near.transport.close()
        near.transport.abort()
        assert near.transport.get_write_buffer_size() == 0
        await far.lost()
        assert far.received == b"kept"

    run(case)


def test_paused_reading_delivers_nothing(run: Runner) -> None:
    async def case(server: Network, client: Network, host: str) -> None:
        _, far, near = await pair(server, client, host, echo=True)
        near.transport.pause_reading()
        near.transport.write(b"question")
        await far.until(lambda me: len(me.received) == 8)
        await asyncio.sleep(0.05)
        assert near.received == b""
        near.transport.resume_reading()
        await near.until(lambda me: me.received == b"question")

    run(case)


def test_listener_close_keeps_connections(run: Runner) -> None:
    async def case(server: Network, client: Network, host: str) -> None:
        listener, _, near = await pair(server, client, host, echo=True)
        port = listener.address[1]
        listener.close()
        listener.close()
        with pytest.raises(ConnectionRefusedError):
            await client.connect(host, port, Recorder)
        near.transport.write(b"still here")
        await near.until(lambda me: me.received == b"still here")
        again = await server.listen(host, port, Recorder)
        assert again.address == (host, port)

    run(case)


def test_refusals(run: Runner) -> None:
    async def case(server: Network, client: Network, host: str) -> None:
        listener = await server.listen(host, 0, Recorder)
        with pytest.raises(OSError, match="in use"):
            await server.listen(host, listener.address[1], Recorder)
        with pytest.raises(OSError, match="assign requested address"):
            await server.listen("203.0.113.7", 0, Recorder)
        with pytest.raises(OSError):  # noqa: PT011 - resolvers word it differently
            await client.connect("no-such-host.invalid", 1, Recorder)

    run(case)


def test_every_address_is_reachable(run: Runner) -> None:
    async def case(server: Network, client: Network, host: str) -> None:
        listener = await server.listen("", 0, lambda: Recorder(echo=True))
        near = Recorder()
        await client.connect(host, listener.address[1], lambda: near)
        near.transport.write(b"hello")
        await near.until(lambda me: me.received == b"hello")
        assert near.transport.peer[0] == host

    run(case)


def test_many_connections_at_once(run: Runner) -> None:
    async def case(server: Network, client: Network, host: str) -> None:
        listener = await server.listen(host, 0, lambda: Recorder(echo=True), backlog=64)
        ends = [Recorder() for _ in range(30)]
        async with asyncio.TaskGroup() as group:
            for end in ends:
                factory = partial(Recorder.itself, end)
                group.create_task(client.connect(host, listener.address[1], factory))
        for number, end in enumerate(ends):
            end.transport.write(bytes([number]) * 1000)
        for number, end in enumerate(ends):
            await end.until(lambda me: len(me.received) == 1000)
            assert end.received == bytes([number]) * 1000

    run(case)


def test_protocol_without_room_loses_its_connection(run: Runner) -> None:
    class Full(Recorder):
        def get_buffer(self, sizehint: int) -> memoryview:
            return super().get_buffer(sizehint)[:0]

    async def case(server: Network, client: Network, host: str) -> None:
        reported: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, c: reported.append(c))
        far = Full()
        listener = await server.listen(host, 0, far.itself)
        near = Recorder()
        await client.connect(host, listener.address[1], near.itself)
        near.transport.write(b"no room")
        await near.lost()
        await far.lost()
        assert isinstance(far.error, RuntimeError)
        assert len(reported) == 1

    run(case)


def test_failing_protocol_loses_its_connection(run: Runner) -> None:
    class Failing(Recorder):
        def buffer_updated(self, nbytes: int) -> None:
            raise ZeroDivisionError(nbytes)

    async def case(server: Network, client: Network, host: str) -> None:
        reported: list[dict[str, Any]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context))
        accepted: list[Failing] = []

        def accept() -> Failing:
            accepted.append(Failing())
            return accepted[-1]

        listener = await server.listen(host, 0, accept)
        near = Recorder()
        await client.connect(host, listener.address[1], lambda: near)
        near.transport.write(b"boom")
        await near.lost()
        await accepted[0].lost()
        assert isinstance(accepted[0].error, ZeroDivisionError)
        assert [type(context["exception"]) for context in reported] == [ZeroDivisionError]

    run(case)
