"""The other end of `host.workers`: a process that does one streamed job after another.

It reads pickled jobs from its standard input and writes pickled results to its standard output;
the parent is the only one who can write there. It ends when its input does, and at once when the
parent dies: nobody may go on writing into a directory whose lock the parent no longer holds.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from struct import Struct
from typing import BinaryIO

from barnabas.host.disk import HostDisk

LENGTH = Struct(">I")
ITEM, END, ERROR = b"i", b"e", b"x"
NICENESS = 5
"""Requests go first; compaction has time."""
_PR_SET_PDEATHSIG = 1
MAX_SLEEP_S = 1.0
MIN_SLEEP_S = 0.01


class WorkerBench:
    """`ports.Bench` of a process of its own."""

    def __init__(self, disk: HostDisk, bytes_per_second: float, parent: int) -> None:
        self.disk = disk
        self._rate = bytes_per_second
        self._parent = parent
        self._due = time.monotonic()
        """When what was moved so far would be done at the rate that is allowed."""

    def moved(self, nbytes: int) -> None:
        """Sleep off what went too fast; what went slower is not made up for."""
        if os.getppid() != self._parent:
            os._exit(1)
        now = time.monotonic()
        self._due = max(self._due, now - MAX_SLEEP_S) + nbytes / self._rate
        while (ahead := self._due - time.monotonic()) > MIN_SLEEP_S:
            time.sleep(min(ahead, MAX_SLEEP_S))
            if os.getppid() != self._parent:
                os._exit(1)


def main() -> None:
    """Serve until the input ends. `argv[1]` is the process id of the parent."""
    parent = int(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the parent, who says when to end
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _die_with_parent()
    if os.getppid() != parent:
        return
    with suppress(OSError):  # a sandbox may refuse it; the work has to be done nevertheless
        os.nice(NICENESS)
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not be taken for results
    while (head := source.read(LENGTH.size)) and len(head) == LENGTH.size:
        serve(source.read(LENGTH.unpack(head)[0]), sink, parent)


def serve(message: bytes, sink: BinaryIO, parent: int) -> None:
    """Do one job and write what it yields."""
    disk = HostDisk(sync_threads=1)
    try:
        job: Callable[[WorkerBench], Iterator[object]]
        job, rate = pickle.loads(message)
        for item in job(WorkerBench(disk, rate, parent)):
            _write(sink, ITEM, item)
    except Exception as error:
        _write(sink, ERROR, _portable(error))
    else:
        _write(sink, END, None)
    finally:
        disk.close()


def _write(sink: BinaryIO, kind: bytes, value: object) -> None:
    data = kind + pickle.dumps(value)
    sink.write(LENGTH.pack(len(data)) + data)
    sink.flush()


def _portable(error: Exception) -> Exception:
    """The error itself where it survives the way, else one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _die_with_parent() -> None:
    """Linux: SIGKILL when the parent's thread that started us ends. Elsewhere `moved` looks."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    main()
