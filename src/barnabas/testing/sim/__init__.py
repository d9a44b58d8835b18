"""A deterministic world: event loop with virtual time, network and disks with faults.

Same seed, same run. Start at `SimWorld`; a single `SimDisk` serves tests of storage alone.
"""

from __future__ import annotations

from barnabas.testing.sim.crashes import (
    CrashImage,
    CrashLimits,
    enumerate_crashes,
    enumerate_kills,
)
from barnabas.testing.sim.disk import SimDisk
from barnabas.testing.sim.disk_faults import DiskFault, DiskFaults, SimulatedCrash
from barnabas.testing.sim.history import History

__all__ = [
    "CrashImage",
    "CrashLimits",
    "DiskFault",
    "DiskFaults",
    "History",
    "SimDisk",
    "SimulatedCrash",
    "enumerate_crashes",
    "enumerate_kills",
]
