"""Looks at this machine before a node starts on it: what `barnabas doctor` judges.

One small file is written in each folder that is looked at, and removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import socket
import time
from typing import NamedTuple

SYNCS = 20
WRITE_BYTES = 4096
CLOCK_SPAN_S = 0.2
CONNECT_S = 3.0
_PROBE = ".barnabas-doctor"
_UNSYNCHRONISED = 0x40


class DiskFacts(NamedTuple):
    """One log directory. `exists` is false where `path` is the nearest parent that is there."""

    directory: str
    path: str
    exists: bool
    kind: str
    """File system, as /proc/mounts names it; empty when unknown."""
    device: int
    total: int
    usable: int
    writable: bool
    in_use: bool
    """Another process holds the lock."""
    sync_ms: tuple[float, ...] = ()
    """Durations of small synced writes."""
    newest_ms: int = 0
    """Last change of a file of ours, wall clock; 0 without one."""
    failure: str = ""


class ClockFacts(NamedTuple):
    """`drift_ms`: how much the wall clock moved more than the monotonic one in `span_ms`."""

    wall_ms: int
    drift_ms: float
    span_ms: float
    synchronised: bool | None
    """What the kernel knows of it; None when it does not say."""


class LimitFacts(NamedTuple):
    """-1 for what is unlimited or unknown."""

    open_files: int
    memory_bytes: int
    cores: int


def look_at_disk(directory: str) -> DiskFacts:
    """One log directory; where there is none yet, the folder in which it would be made."""
    path = directory
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        if os.path.exists(path):
            return _failed(directory, f"{path} is no directory")
        path = os.path.dirname(path)
    try:
        room = os.statvfs(path)
        device = os.stat(path).st_dev
    except OSError as failure:
        return _failed(directory, failure.strerror or str(failure))
    facts = DiskFacts(
        directory,
        path,
        path == directory,
        file_system(path),
        device,
        room.f_blocks * room.f_frsize,
        room.f_bavail * room.f_frsize,
        writable=os.access(path, os.W_OK | os.X_OK),
        in_use=_locked(f"{directory}/.lock"),
        newest_ms=_modified_ms(f"{directory}/meta.properties"),
    )
    if not facts.writable:
        return facts
    try:
        return facts._replace(sync_ms=_time_syncs(path))
    except OSError as failure:
        return facts._replace(failure=f"a synced write failed: {failure.strerror}")


def _failed(directory: str, failure: str) -> DiskFacts:
    return DiskFacts(directory, directory, False, "", -1, -1, -1, False, False, failure=failure)


def file_system(path: str) -> str:
    """The kind of the file system that holds `path`; empty where /proc does not say."""
    found = ("", "")
    real = os.path.realpath(path)
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
            lines = mounts.read().splitlines()
    except OSError:
        return ""
    for line in lines:
        _, place, kind, *_ = line.split(" ")
        place = place.replace("\\040", " ")
        inside = real == place or real.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(found[0]):
            found = (place, kind)
    return found[1]


def _locked(path: str) -> bool:
    """Whether another process holds the POSIX lock on a file."""
    try:
        with open(path, "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _modified_ms(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns // 1_000_000
    except OSError:
        return 0


def _time_syncs(folder: str) -> tuple[float, ...]:
    """Durations (ms) of small writes, each synced."""
    path = f"{folder}/{_PROBE}-{os.getpid()}"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        took = []
        for number in range(SYNCS):
            began = time.monotonic_ns()
            os.pwrite(descriptor, b"\0" * WRITE_BYTES, number * WRITE_BYTES)
            os.fdatasync(descriptor)
            took.append((time.monotonic_ns() - began) / 1e6)
        return tuple(took)
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(path)


def look_at_clock() -> ClockFacts:
    """Both clocks over a moment, and what the kernel says of NTP."""
    wall, steady = time.time_ns(), time.monotonic_ns()
    time.sleep(CLOCK_SPAN_S)
    passed = time.monotonic_ns() - steady
    drift = time.time_ns() - wall - passed
    return ClockFacts(wall // 1_000_000, drift / 1e6, passed / 1e6, _synchronised())


def _synchronised() -> bool | None:
    """adjtimex(2) says whether somebody keeps the clock."""
    import ctypes

    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None:
        return None
    # struct timex: `modes` 0 asks only; `status` is the sixth member.
    words = (ctypes.c_long * 64)()
    if adjtimex(ctypes.byref(words)) < 0:
        return None
    return not ctypes.c_int.from_buffer(words, 5 * ctypes.sizeof(ctypes.c_long)).value & (
        _UNSYNCHRONISED
    )


def look_at_limits() -> LimitFacts:
    """Open files (the hard limit, which a node takes), memory of the control group, cores."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return LimitFacts(
        -1 if hard == resource.RLIM_INFINITY else hard, _memory_limit(), os.cpu_count() or -1
    )


def _memory_limit() -> int:
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
            limit = int(file.read())
            return limit if limit < 1 << 60 else -1
    return -1


def cannot_listen(host: str | None, port: int) -> str:
    """Why a port cannot be opened here now (None: on every address); empty when it can."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as failure:
        return failure.strerror or str(failure)
    return ""


def reach(host: str, port: int) -> str:
    """Why a connection to an address cannot be made from here; empty when it can."""
    try:
        with socket.create_connection((host, port), timeout=CONNECT_S):
            return ""
    except OSError as failure:
        return failure.strerror or str(failure) or type(failure).__name__


def resolves(host: str) -> bool:
    """Whether a name has an address here."""
    try:
        return bool(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except OSError:
        return False
