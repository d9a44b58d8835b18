"""What the operating system lets this process have."""

from __future__ import annotations

import resource
from typing import NamedTuple

FILES_FOR_LOGS_MAX = 16_384
"""More open log files than this save nothing: a reopened one costs 30 µs."""
FILES_FOR_THE_REST = 128
"""Listeners, the loop's own, files of jobs on the executor, of a worker process, connections that
arrived and are refused; of a small limit a quarter."""


class OpenFiles(NamedTuple):
    """How the limit on open files is shared. `connections` None: there is no limit."""

    logs: int
    connections: int | None


def share_open_files() -> OpenFiles:
    """Raise the limit on open files as far as this process may, and share it out.

    Connections may never take what the logs need: a log that cannot open its file has failed, and
    its directory with it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):  # macOS refuses an infinite soft limit
            pass
    if soft == resource.RLIM_INFINITY:
        return OpenFiles(FILES_FOR_LOGS_MAX, None)
    logs = min(soft // 2, FILES_FOR_LOGS_MAX)
    return OpenFiles(logs, soft - logs - min(FILES_FOR_THE_REST, soft // 4))
