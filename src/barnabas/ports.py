"""The only doors from Barnabas to the outside world: time, chance, disk, network, other threads.

Everything that decides is pure and knows none of these. Everything that acts is handed an
implementation: `barnabas.host` on a real machine, `barnabas.testing.sim` in the simulator.

Units: times are milliseconds (int), sizes are bytes, paths are absolute `str`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

Buffer: TypeAlias = bytes | bytearray | memoryview
T = TypeVar("T")


class Timer(Protocol):
    """A pending call made by `Clock.call_later`."""

    def cancel(self) -> None:
        """Forget the call; harmless when it already ran."""


class Clock(Protocol):
    """Wall clock for what is stored, monotonic clock for durations, and the only source of timers."""

    def wall_ms(self) -> int:
        """Milliseconds since the epoch; may jump."""

    def monotonic_ms(self) -> int:
        """Milliseconds from an arbitrary start; never goes back."""

    @property
    def monotonic_ns(self) -> Callable[[], int]:
        """Tells nanoseconds from an arbitrary start, to time what is short; never goes back.

        On a machine it is no Python function: hot paths keep it and call it twice per request.
        """

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> Timer:
        """Run `callback` on the event loop after `delay_ms`."""

    async def sleep(self, delay_ms: int) -> None:
        """Return after `delay_ms`."""


class Random(Protocol):
    """Chance; seeded in the simulator."""

    def bytes(self, n: int) -> bytes:
        """`n` random bytes, fit for identifiers."""

    def below(self, n: int) -> int:
        """A uniform integer in [0, n)."""


class Executor(Protocol):
    """Runs blocking jobs off the event loop. One hop costs about 90 µs: use it per round, not per request."""

    def submit(
        self, job: Callable[[], T], done: Callable[[T | None, BaseException | None], None]
    ) -> None:
        """Run `job` off the loop, then `done(result, error)` on the loop."""

    async def run(self, job: Callable[[], T]) -> T:
        """Run `job` off the loop and return its result or raise its error."""

    @property
    def unfinished(self) -> int:
        """Jobs that were submitted and are not done: in the queue or running."""

    def stream(
        self,
        job: Callable[[Bench], Iterator[T]],
        item: Callable[[T], None],
        done: Callable[[BaseException | None], None],
        *,
        bytes_per_second: float,
    ) -> Callable[[], None]:
        """Run a long `job`, on a machine in a process of its own: `item` hears on the loop of
        each thing that it yields, `done` of its end.

        `job` and all that it yields must be picklable, and its work may end anywhere without harm
        (`WorkerLost`): when it is cancelled by the function returned, when this process ends, or
        when the operating system ends the other one. `bytes_per_second` is what it may move.
        """


class WorkerLost(Exception):
    """The process of a streamed job ended before the job did."""


class Bench(Protocol):
    """What a streamed job works with."""

    @property
    def disk(self) -> Disk:
        """The file system of the node."""

    def moved(self, nbytes: int) -> None:
        """So much was read or written: waits when that was too fast."""


class File(Protocol):
    """An open file with positional reads and writes. Every method may raise `OSError`."""

    @property
    def path(self) -> str:
        """The absolute path it was opened under."""

    def size(self) -> int:
        """Current length in bytes."""

    def pread(self, n: int, position: int) -> bytes:
        """Up to `n` bytes from `position`; fewer at the end of the file; blocks on a cold page."""

    def pread_nowait(self, n: int, position: int) -> bytes | None:
        """Like `pread`, but `None` when the bytes are not in the page cache (RWF_NOWAIT)."""

    def pwritev(self, buffers: Sequence[Buffer], position: int) -> int:
        """Write all `buffers` at `position`, retrying short writes; returns the bytes written."""

    def truncate(self, size: int) -> None:
        """Cut or zero-extend to `size`."""

    def sync(self) -> None:
        """fdatasync. After an error the file must be abandoned, never synced again."""

    def close(self) -> None:
        """Close; harmless twice."""


class Disk(Protocol):
    """A file system. Every method may block and may raise `OSError`."""

    def open(self, path: str, *, create: bool = False) -> File:
        """Open for reading and writing; `create` makes an empty file when it is absent (never truncates)."""

    def exists(self, path: str) -> bool:
        """Whether a file or directory is there."""

    def is_dir(self, path: str) -> bool:
        """Whether `path` is a directory."""

    def list_dir(self, path: str) -> list[str]:
        """Names in a directory, sorted."""

    def make_dirs(self, path: str) -> None:
        """Create a directory and its parents; harmless when present."""

    def rename(self, source: str, target: str) -> None:
        """Atomic rename that replaces `target`; durable only after `sync_dir` of the parent."""

    def unlink(self, path: str) -> None:
        """Remove a file; harmless when absent."""

    def remove_tree(self, path: str) -> None:
        """Remove a directory and all below it; harmless when absent."""

    def sync_dir(self, path: str) -> None:
        """fsync of the directory itself (names, not contents)."""

    def sync_files(self, files: Sequence[File]) -> None:
        """Make the contents of all `files` durable, the cheapest way the host knows."""

    def file_size(self, path: str) -> int:
        """Length of a file in bytes, without opening it."""

    def modified_ms(self, path: str) -> int:
        """Last modification time, milliseconds since the epoch."""

    def set_modified_ms(self, path: str, when_ms: int) -> None:
        """Set the last modification time."""

    def lock(self, path: str) -> Callable[[], None]:
        """Take the POSIX record lock on `path` (created if absent); returns the release.

        Raises `BlockingIOError` when another process holds it.
        """

    def usage(self, path: str) -> tuple[int, int]:
        """(total, usable) bytes of the volume that holds `path`."""


class Transport(Protocol):
    """The sending half of one connection, in the shape of asyncio's transports."""

    def write(self, data: Buffer) -> None:
        """Queue bytes."""

    def writelines(self, buffers: Sequence[Buffer]) -> None:
        """Queue several buffers as one."""

    def pause_reading(self) -> None:
        """Stop delivering received bytes."""

    def resume_reading(self) -> None:
        """Deliver received bytes again."""

    def close(self) -> None:
        """Flush what is queued, then close."""

    def abort(self) -> None:
        """Close now, dropping what is queued."""

    def get_write_buffer_size(self) -> int:
        """Bytes queued and not yet taken by the kernel."""

    @property
    def peer(self) -> tuple[str, int]:
        """Address of the other side."""

    @property
    def local(self) -> tuple[str, int]:
        """Address of this side."""


class StreamProtocol(Protocol):
    """The receiving half of one connection. Called on the event loop, never concurrently.

    Bytes are delivered in two steps so that a large frame lands in its own buffer without a copy:
    `get_buffer` returns writable memory, `buffer_updated(n)` says that `n` bytes are there.
    """

    def connection_made(self, transport: Transport) -> None: ...
    def get_buffer(self, sizehint: int) -> memoryview: ...
    def buffer_updated(self, nbytes: int) -> None: ...
    def eof_received(self) -> None: ...
    def connection_lost(self, error: BaseException | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class Listener(Protocol):
    """An open server socket."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it really listens on (port 0 resolved)."""

    def close(self) -> None:
        """Stop accepting; open connections stay."""


class Network(Protocol):
    """Streams of bytes between nodes and clients."""

    async def listen(
        self, host: str, port: int, factory: Callable[[], StreamProtocol], *, backlog: int = 50
    ) -> Listener:
        """Accept connections on `host`:`port` (0 = any free port)."""

    async def connect(self, host: str, port: int, factory: Callable[[], StreamProtocol]) -> None:
        """Open a connection; returns after `connection_made`. Raises `OSError` when refused."""


class Usage(NamedTuple):
    """What the operating system counts for this process; -1 where it does not tell."""

    cpu_ns: int
    """Of all threads, since the start."""
    resident_bytes: int
    virtual_bytes: int
    open_files: int
    max_files: int
    threads: int
    started_ms: int
    """Since the epoch."""
    read_bytes: int
    """From and to the disk, since the start."""
    written_bytes: int


class Machine(Protocol):
    """What this process takes of its machine."""

    def usage(self) -> Usage:
        """All that is known. May block for a moment."""

    def loop_cpu_ns(self) -> int:
        """Processor time of the event loop's thread. Call from there."""

    def keep(self) -> None:
        """All that is in memory now stays for long: nobody need look through it for garbage."""


class Ports(Protocol):
    """All doors of one node."""

    @property
    def clock(self) -> Clock: ...
    @property
    def random(self) -> Random: ...
    @property
    def executor(self) -> Executor: ...
    @property
    def disk(self) -> Disk: ...
    @property
    def network(self) -> Network: ...
    @property
    def machine(self) -> Machine: ...
