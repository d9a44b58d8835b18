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
from barnabas.testing.sim.host import SimHost, SimPorts
from barnabas.testing.sim.loop import SimDeadlock, SimLivelock, SimLoop
from barnabas.testing.sim.network import Fabric, SimNetwork
from barnabas.testing.sim.plan import FaultPlan
from barnabas.testing.sim.refusals import OutsideWorldError
from barnabas.testing.sim.world import SimFailure, SimWorld

__all__ = [
    "CrashImage",
    "CrashLimits",
    "DiskFault",
    "DiskFaults",
    "Fabric",
    "FaultPlan",
    "History",
    "OutsideWorldError",
    "SimDeadlock",
    "SimDisk",
    "SimFailure",
    "SimHost",
    "SimLivelock",
    "SimLoop",
    "SimNetwork",
    "SimPorts",
    "SimWorld",
    "SimulatedCrash",
    "enumerate_crashes",
    "enumerate_kills",
]
