"""Faults of a simulated disk: which operation fails, when, and how."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from random import Random

KINDS = (
    "create",
    "mkdir",
    "open",
    "read",
    "rename",
    "sync",
    "sync_dir",
    "truncate",
    "unlink",
    "write",
)
"""The kinds of operation that a fault may hit."""


class SimulatedCrash(BaseException):
    """The machine stops here. Not an Exception: no code under test may catch it and go on."""


@dataclass(slots=True)
class DiskFault:
    """One rule: the `skip`-th and the `times` - 1 following operations that match fail.

    `kind` is one of KINDS, `path` a part of the path ("" = any), `number` the errno raised.
    `partial` bytes of a failing write still reach the file. `times` -1 means for ever.
    """

    kind: str
    number: int = errno.EIO
    path: str = ""
    skip: int = 0
    times: int = 1
    partial: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of operation {self.kind!r}; one of {', '.join(KINDS)}")


class DiskFaults:
    """The rules of one disk, and what chance does to it. All rates are per operation, 0 to 1."""

    __slots__ = ("cold_rate", "error_rate", "rules", "slow_rate", "slow_us", "stall_us")

    def __init__(self) -> None:
        self.rules: list[DiskFault] = []
        self.error_rate = 0.0
        """EIO on a write, sync or read."""
        self.cold_rate = 0.0
        """`pread_nowait` finds the page cold."""
        self.slow_rate = 0.0
        """An operation takes `slow_us` instead of its usual time."""
        self.slow_us = 200_000
        self.stall_us = 0
        """Added to every sync while it is set: a device that hangs."""

    def match(self, kind: str, path: str, random: Random) -> DiskFault | None:
        """The fault that hits this operation, if any; counts it."""
        for rule in self.rules:
            if rule.kind != kind or rule.path not in path or rule.times == 0:
                continue
            if rule.skip > 0:
                rule.skip -= 1
                continue
            rule.times -= 1
            return rule
        if (
            self.error_rate > 0
            and kind in ("read", "sync", "write")
            and random.random() < self.error_rate
        ):
            return DiskFault(kind)
        return None
