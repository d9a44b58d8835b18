"""What this process takes of its machine."""

from __future__ import annotations

import os
import resource
import sys
import time

from barnabas.host import memory
from barnabas.ports import Usage

_UNKNOWN = -1


class HostMachine:
    """`ports.Machine` over /proc; where there is none (macOS) over getrusage, with less to tell."""

    __slots__ = ()

    def usage(self) -> Usage:
        """All that is known; about 0.1 ms, and 0.3 µs more for each open file."""
        virtual, resident = _memory()
        threads, started_ms = _stat()
        read, written = _disk()
        return Usage(
            cpu_ns=time.process_time_ns(),
            resident_bytes=resident,
            virtual_bytes=virtual,
            open_files=_open_files(),
            max_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            threads=threads,
            started_ms=started_ms,
            read_bytes=read,
            written_bytes=written,
        )

    def loop_cpu_ns(self) -> int:
        """Processor time of the calling thread."""
        return time.thread_time_ns()

    def keep(self) -> None:
        """See `ports.Machine.keep`; in a process of somebody else's (a test) nothing happens."""
        memory.keep()


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


def _memory() -> tuple[int, int]:
    """(virtual, resident) bytes."""
    pages = _read("/proc/self/statm").split()
    if pages:
        size = os.sysconf("SC_PAGE_SIZE")
        return int(pages[0]) * size, int(pages[1]) * size
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _UNKNOWN, largest if sys.platform == "darwin" else largest * 1024


def _stat() -> tuple[int, int]:
    """(threads, start in milliseconds since the epoch)."""
    # The name of the program, in parentheses, may hold blanks and parentheses.
    fields = _read("/proc/self/stat").rpartition(")")[2].split()
    booted = [line for line in _read("/proc/stat").splitlines() if line.startswith("btime ")]
    if not fields or not booted:
        return _UNKNOWN, _UNKNOWN
    ticks = int(fields[19])
    return int(fields[17]), int(booted[0].split()[1]) * 1000 + ticks * 1000 // os.sysconf(
        "SC_CLK_TCK"
    )


def _open_files() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder)) - 1  # one is that of the listing
        except OSError:
            continue
    return _UNKNOWN


def _disk() -> tuple[int, int]:
    """(read, written) bytes of block devices."""
    counts = dict(line.split(": ", 1) for line in _read("/proc/self/io").splitlines())
    return int(counts.get("read_bytes", _UNKNOWN)), int(counts.get("write_bytes", _UNKNOWN))
