"""Faults of the simulated network, and pauses and crashes of hosts, as peers see them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from barnabas.testing.sim import FaultPlan, SimHost, SimWorld
from tests.sim.streams import Recorder

PORT = 9092


class Two:
    """A world with a server and a client, and one connection between them."""

    def __init__(self, seed: int = 0, plan: FaultPlan | None = None) -> None:
        self.world = SimWorld(seed, faults=plan)
        self.server: SimHost = self.world.host("server")
        self.client: SimHost = self.world.host("client")
        self.far: list[Recorder] = []
        self.near = Recorder()
        self.echo = False

    def accept(self) -> Recorder:
        self.far.append(Recorder(echo=self.echo))
        return self.far[-1]

    async def serve(self, backlog: int = 50) -> None:
        await self.server.ports.network.listen("", PORT, self.accept, backlog=backlog)

    async def dial(self, end: Recorder) -> None:
        await self.client.ports.network.connect("server", PORT, end.itself)

    async def connect(self) -> None:
        await self.server.spawn(self.serve())
        await self.client.spawn(self.dial(self.near))
        await asyncio.sleep(1)

    def run(self, case: Callable[[Two], Coroutine[Any, Any, None]]) -> None:
        self.world.run(case(self))

    @property
    def now_ms(self) -> float:
        return self.world.loop.now_us / 1000


def test_latency_and_bandwidth_take_time() -> None:
    async def case(two: Two) -> None:
        two.echo = True
        await two.connect()
        before = two.now_ms
        two.near.transport.write(b"x")
        await two.near.until(lambda me: len(me.received) == 1)
        assert 20 <= two.now_ms - before < 21
        before = two.now_ms
        two.near.transport.write(b"y" * 100_000)
        await two.far[0].until(lambda me: len(me.received) == 100_001)
        assert 110 <= two.now_ms - before < 112

    Two(plan=FaultPlan(latency_us=(10_000, 10_000), bandwidth=1_000_000)).run(case)


def test_fragmentation_and_coalescing() -> None:
    async def case(two: Two) -> None:
        reads: list[int] = []
        await two.connect()
        far = two.far[0]
        far.buffer_updated = reads.append  # type: ignore[assignment]
        two.near.transport.writelines([b"ab"] * 500)
        await asyncio.sleep(1)
        assert sum(reads) == 1000
        assert len(set(reads)) > 5

    Two(plan=FaultPlan(fifo=False, segment=(1, 40), read=(1, 100))).run(case)


def test_slow_reader_stops_the_writer_at_the_window() -> None:
    async def case(two: Two) -> None:
        await two.connect()
        two.far[0].transport.pause_reading()
        two.near.transport.write(b"x" * 100_000)
        await asyncio.sleep(10)
        assert two.near.paused
        assert two.near.transport.get_write_buffer_size() == 100_000 - 4096
        two.far[0].transport.resume_reading()
        await two.far[0].until(lambda me: len(me.received) == 100_000)
        assert not two.near.paused

    Two(plan=FaultPlan(window=4096)).run(case)


def test_partition_holds_bytes_until_healed() -> None:
    async def case(two: Two) -> None:
        await two.connect()
        two.world.network.partition(["client"], ["server"])
        two.near.transport.write(b"late")
        await asyncio.sleep(60)
        assert two.far[0].received == b""
        two.world.network.heal()
        await asyncio.sleep(1)
        assert two.far[0].received == b"late"
        assert "lost" not in two.near.calls

    Two().run(case)


def test_cut_is_one_way() -> None:
    async def case(two: Two) -> None:
        await two.connect()
        two.world.network.cut("server", "client")
        two.near.transport.write(b"there")
        two.far[0].transport.write(b"back")
        await asyncio.sleep(1)
        assert two.far[0].received == b"there"
        assert two.near.received == b""
        two.world.network.mend("server", "client")
        await asyncio.sleep(1)
        assert two.near.received == b"back"

    Two().run(case)


def test_long_partition_times_the_connection_out() -> None:
    async def case(two: Two) -> None:
        await two.connect()
        two.world.network.partition(["client"], ["server"])
        two.near.transport.write(b"never")
        await asyncio.sleep(20)
        assert isinstance(two.near.error, TimeoutError)
        two.world.network.heal()
        two.far[0].transport.write(b"anyone?")
        await asyncio.sleep(1)
        assert isinstance(two.far[0].error, ConnectionResetError)

    Two(plan=FaultPlan(send_timeout_us=10_000_000)).run(case)


def test_connecting_through_a_partition() -> None:
    async def case(two: Two) -> None:
        await two.connect()
        two.world.network.partition(["client"], ["server"])
        attempt = two.client.spawn(two.dial(Recorder()))
        await asyncio.sleep(5)
        assert not attempt.done()
        two.world.network.heal()
        await asyncio.sleep(2)
        await attempt
        two.world.network.partition(["client"], ["server"])
        with pytest.raises(TimeoutError):
            await two.client.spawn(two.dial(Recorder()))

    Two(plan=FaultPlan(connect_timeout_us=30_000_000)).run(case)


def test_clog_delays() -> None:
    async def case(two: Two) -> None:
        await two.connect()
        two.world.network.clog("client", "server", 500_000)
        two.near.transport.write(b"late")
        await asyncio.sleep(0.4)
        assert two.far[0].received == b""
        await asyncio.sleep(0.2)
        assert two.far[0].received == b"late"

    Two().run(case)


def test_retry_on_a_new_connection_overtakes_the_old_one() -> None:
    async def case(two: Two) -> None:
        await two.connect()
        network = two.world.network
        network.clog("client", "server", 1_000_000)
        two.near.transport.write(b"first")
        await asyncio.sleep(0.01)
        network.heal()
        second = Recorder()
        await two.client.spawn(two.dial(second))
        second.transport.write(b"second")
        await asyncio.sleep(0.1)
        assert [bytes(end.received) for end in two.far] == [b"", b"second"]
        await asyncio.sleep(2)
        assert two.far[0].received == b"first"

    Two().run(case)


def test_resets_and_refusals_by_rate() -> None:
    async def case(two: Two) -> None:
        await two.connect()
        two.near.transport.write(b"x")
        await asyncio.sleep(1)
        assert isinstance(two.near.error, ConnectionResetError)
        assert isinstance(two.far[0].error, ConnectionResetError)

    Two(plan=FaultPlan(reset_rate=1.0)).run(case)

    async def refused(two: Two) -> None:
        with pytest.raises(ConnectionRefusedError):
            await two.connect()

    Two(plan=FaultPlan(refuse_rate=1.0)).run(refused)


def test_nobody_listens() -> None:
    async def case(two: Two) -> None:
        with pytest.raises(ConnectionRefusedError):
            await two.client.spawn(two.dial(Recorder()))

    Two().run(case)


def test_paused_server_fills_its_backlog() -> None:
    async def case(two: Two) -> None:
        await two.server.spawn(two.serve(backlog=2))
        two.server.pause()
        attempts = [two.client.spawn(two.dial(Recorder())) for _ in range(6)]
        await asyncio.sleep(10)
        assert sum(attempt.done() for attempt in attempts) < 6
        assert two.far == []
        two.server.resume()
        await asyncio.gather(*attempts)
        await asyncio.sleep(1)
        assert len(two.far) == 6

    Two(plan=FaultPlan(connect_timeout_us=60_000_000, latency_us=(10, 5000))).run(case)


def test_paused_host_stands_still_and_goes_on() -> None:
    async def case(two: Two) -> None:
        ticks: list[float] = []

        async def tick() -> None:
            while True:
                await two.server.ports.clock.sleep(100)
                ticks.append(two.now_ms)

        await two.connect()
        two.server.spawn(tick())
        await asyncio.sleep(1)
        two.server.pause()
        before = len(ticks)
        two.near.transport.write(b"hello")
        await asyncio.sleep(5)
        assert len(ticks) == before
        assert two.far[0].received == b""
        two.server.resume()
        await asyncio.sleep(1)
        assert two.far[0].received == b"hello"
        assert before + 8 <= len(ticks) <= before + 12

    Two().run(case)


def test_killed_host_closes_its_connections_and_runs_no_clean_up() -> None:
    async def case(two: Two) -> None:
        cleaned: list[str] = []

        async def work() -> None:
            try:
                await two.server.ports.clock.sleep(1_000_000)
            finally:
                cleaned.append("up")

        await two.connect()
        two.server.spawn(work())
        await asyncio.sleep(0.1)
        two.server.kill()
        await asyncio.sleep(1)
        assert two.near.calls[-1] == "lost"
        assert "lost" not in two.far[0].calls  # nobody is left to be told
        assert cleaned == []
        with pytest.raises(ConnectionRefusedError):
            await two.client.spawn(two.dial(Recorder()))

    Two().run(case)


def test_powerless_host_is_silent_until_it_is_back() -> None:
    async def case(two: Two) -> None:
        await two.connect()
        two.server.power_loss()
        two.near.transport.write(b"anyone?")
        await asyncio.sleep(30)
        assert "lost" not in two.near.calls
        two.server.restart()
        await two.server.spawn(two.serve())
        await asyncio.sleep(1)
        assert isinstance(two.near.error, ConnectionResetError)
        fresh = Recorder()
        await two.client.spawn(two.dial(fresh))
        fresh.transport.write(b"new life")
        await asyncio.sleep(1)
        assert two.far[1].received == b"new life"

    Two().run(case)


def test_crash_point_of_the_disk_stops_the_host() -> None:
    async def case(two: Two) -> None:
        written: list[int] = []

        async def work() -> None:
            ports = two.server.ports
            file = ports.disk.open("/f", create=True)
            for i in range(100):
                await ports.executor.run(lambda i=i: file.pwritev([bytes([i])], i))  # type: ignore[misc]
                written.append(i)

        two.server.disk.crash_at(6, after=True)
        two.server.spawn(work())
        await two.server.crashed()
        assert not two.server.is_alive
        two.server.kill()
        await asyncio.sleep(1)
        assert written == [0, 1, 2, 3]
        ports = two.server.restart()
        assert ports.disk.open("/f").size() == 5
        await two.connect()

    Two().run(case)


def test_executor_takes_time_and_four_jobs_at_once() -> None:
    async def case(two: Two) -> None:
        running: list[float] = []
        finished: list[float] = []
        two.server.disk.faults.stall_us = 1_000_000

        def job() -> None:
            running.append(two.now_ms)
            two.server.disk.open("/f", create=True).sync()

        async def work() -> None:
            executor = two.server.ports.executor
            for _ in range(8):
                executor.submit(job, lambda _result, _error: finished.append(two.now_ms))
            with pytest.raises(ZeroDivisionError):
                await executor.run(lambda: 1 // 0)

        await two.server.spawn(work())
        assert [round(ms, -3) for ms in running] == [0] * 4 + [1000] * 4
        assert [round(ms, -3) for ms in finished] == [1000] * 4 + [2000] * 4

    Two().run(case)


def test_clock_skew_is_of_the_wall_clock_only() -> None:
    async def case(two: Two) -> None:
        clock = two.server.ports.clock
        wall, monotonic = clock.wall_ms(), clock.monotonic_ms()
        clock.skew_ms -= 3_600_000
        await clock.sleep(1000)
        assert clock.wall_ms() == wall + 1000 - 3_600_000
        assert clock.monotonic_ms() == monotonic + 1000
        assert abs(wall - two.client.ports.clock.wall_ms()) < 100_000

    Two(plan=replace(FaultPlan(), clock_skew_ms=(-50_000, 50_000))).run(case)


def test_cancelled_connect_leaves_no_connection() -> None:
    async def case(two: Two) -> None:
        await two.connect()
        for delay in (0.0001, 0.0003, 0.0004, 0.0005, 0.001):
            attempt = two.client.spawn(two.dial(Recorder()))
            await asyncio.sleep(delay)
            attempt.cancel()
        await asyncio.sleep(5)
        open_ends = [end for end in two.far if "lost" not in end.calls]
        assert len(two.client.network.connections) == len(open_ends)

    Two().run(case)


def test_buffer_changed_while_it_is_queued_is_sent_changed() -> None:
    """As with uvloop: who reuses a buffer too early must be found out."""

    async def case(two: Two) -> None:
        await two.connect()
        two.far[0].transport.pause_reading()
        for data, new in ((b"1234", b"...."), (b"good", b"evil")):
            buffer = bytearray(data)
            two.near.transport.write(buffer)
            buffer[:] = new
        two.far[0].transport.resume_reading()
        await asyncio.sleep(1)
        assert two.far[0].received == b"1234evil"

    Two(plan=FaultPlan(window=4)).run(case)
