"""How rough a simulated world is."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Parameters of one world. The defaults are a calm one: fixed times, no faults, asyncio's order.

    Rates are probabilities per event, 0 to 1. `swarm` draws them all from a seed, each fault on
    or off by itself, because a world with every fault on hides what only some together show.
    """

    fifo: bool = True
    """Callbacks in asyncio's order of arrival instead of by chance."""
    latency_us: tuple[int, int] = (200, 200)
    """One way, drawn per segment."""
    bandwidth: int = 100_000_000
    """Bytes per second of one direction of one connection."""
    window: int = 262_144
    """Bytes sent and not yet read by the peer's process: both kernels' buffers together."""
    segment: tuple[int, int] = (65_536, 65_536)
    """Bytes that travel together, drawn per segment."""
    read: tuple[int, int] = (65_536, 65_536)
    """At most so many bytes are handed over per read, drawn per read."""
    late_accept_us: tuple[int, int] = (0, 0)
    """A server takes a connection so long after it stands."""
    reset_rate: float = 0.0
    """Per segment: the connection breaks instead."""
    refuse_rate: float = 0.0
    """Per attempt to connect."""
    spike_rate: float = 0.0
    """Per segment: it takes `spike_us` longer."""
    spike_us: int = 500_000
    connect_timeout_us: int = 127_000_000
    """Linux gives up a connection attempt after this long without an answer."""
    send_timeout_us: int = 924_000_000
    """Linux gives up a connection whose bytes are unacknowledged for this long (tcp_retries2)."""
    executor_delay_us: tuple[int, int] = (90, 90)
    """From submission of a job to its start, and again from its end to its callback."""
    disk_error_rate: float = 0.0
    disk_cold_rate: float = 0.0
    disk_slow_rate: float = 0.0
    clock_skew_ms: tuple[int, int] = (0, 0)
    """Of each host's wall clock, drawn per host."""

    @classmethod
    def swarm(cls, random: Random) -> FaultPlan:
        """A rough world. Never with disk errors: they end a log directory, so a test adds them
        (`dataclasses.replace`) where it expects that.
        """

        def sometimes(value: float, calm: float = 0.0, odds: int = 2) -> float:
            return value if random.randrange(odds) == 0 else calm

        low = random.choice((10, 100, 1000))
        return cls(
            fifo=random.randrange(8) == 0,
            latency_us=(low, low * random.choice((1, 3, 20))),
            bandwidth=random.choice((100_000, 10_000_000, 1_000_000_000)),
            window=random.choice((4_096, 65_536, 1_048_576)),
            segment=random.choice(((1, 16), (1, 1460), (1460, 65_536))),
            read=random.choice(((1, 16), (1, 65_536), (65_536, 65_536))),
            late_accept_us=(0, random.choice((0, 1000, 100_000))),
            reset_rate=sometimes(0.002, odds=3),
            refuse_rate=sometimes(0.05, odds=3),
            spike_rate=sometimes(0.01),
            executor_delay_us=(10, random.choice((10, 200, 20_000))),
            disk_cold_rate=sometimes(0.2),
            disk_slow_rate=sometimes(0.05),
            clock_skew_ms=random.choice(((0, 0), (-500, 500), (-3_600_000, 3_600_000))),
        )
