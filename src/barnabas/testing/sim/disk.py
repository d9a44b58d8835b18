"""A simulated disk: implements `ports.Disk` in memory, with faults and crashes."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from random import Random
from typing import NoReturn, cast

from barnabas.ports import File
from barnabas.testing.sim.crash_choice import random_content, random_image
from barnabas.testing.sim.disk_faults import DiskFaults, SimulatedCrash
from barnabas.testing.sim.disk_model import (
    Cut,
    DirNode,
    DiskModel,
    FileNode,
    NameChange,
    NameOp,
    Write,
    failure,
)
from barnabas.testing.sim.file import SimFile
from barnabas.testing.sim.history import (
    DirSynced,
    Event,
    FileChanged,
    FileDropped,
    FileSynced,
    History,
    NamesChanged,
    NodeMade,
)

LATENCY_US = {"sync": 800, "sync_dir": 800, "read": 20, "write": 20}
"""Usual time of an operation; what is not named takes OTHER_LATENCY_US."""
OTHER_LATENCY_US = 50
ENDLESS = 1 << 40
"""Size of a disk without a capacity."""


class SimDisk:
    """One volume. `random` decides what is left to chance; `now_ms` dates the files.

    Crash points: every changing operation (create, write, truncate, sync, rename, unlink, mkdir,
    sync_dir) is numbered from 1 in `op_count`; `crash_at(n)` makes the n-th raise
    `SimulatedCrash`, as does everything after it, until `power_loss` or `kill`.
    """

    def __init__(
        self,
        random: Random | None = None,
        *,
        now_ms: Callable[[], int] = lambda: 0,
        capacity: int | None = None,
        model: DiskModel | None = None,
    ) -> None:
        self.random = Random(0) if random is None else random
        self.now_ms = now_ms
        self.capacity = capacity
        self.model = DiskModel() if model is None else model
        self.faults = DiskFaults()
        self.op_count = 0
        self.elapsed_us = 0
        """Time that operations would have taken; the executor reads and clears it."""
        self.generation = 0
        """Grows at every crash; files opened before it are dead."""
        self.observer: Callable[[str, str], None] | None = None
        """Told (kind, path) of every operation, for the trace."""
        self.on_dead: Callable[[], None] = lambda: None
        """Called when a crash point is reached."""
        self._locked: dict[int, object] = {}
        self._dead = False
        self._crash_before: int | None = None
        self._crash_after: int | None = None
        self._history: History | None = None

    # -- ports.Disk -------------------------------------------------------------------------

    def open(self, path: str, *, create: bool = False) -> SimFile:
        """Open for reading and writing; `create` makes an empty file when it is absent."""
        number = self.model.find(path)
        if number is None:
            if not create:
                raise failure(errno.ENOENT, path)
            directory, name = self.model.find_parent(path)
            self.begin("create", path)
            number = self.model.new_file(directory, name, self.now_ms())
            self._named(NodeMade(number, False))
            self.end()
        elif number in self.model.dirs:
            raise failure(errno.EISDIR, path)
        else:
            self.look("open", path)
        return SimFile(self, number, self.model.files[number], path)

    def exists(self, path: str) -> bool:
        """Whether a file or directory is there."""
        return self._find(path) is not None

    def is_dir(self, path: str) -> bool:
        """Whether `path` is a directory."""
        return self._find(path) in self.model.dirs

    def list_dir(self, path: str) -> list[str]:
        """Names in a directory, sorted."""
        return sorted(self.model.dirs[self._directory(path)].entries)

    def make_dirs(self, path: str) -> None:
        """Create a directory and its parents; harmless when present."""
        done = ""
        for part in path.strip("/").split("/"):
            done = f"{done}/{part}"
            number = self.model.find(done)
            if number is None:
                directory, name = self.model.find_parent(done)
                self.begin("mkdir", done)
                made = self.model.new_dir(directory, name)
                self._named(NodeMade(made, True))
                self.end()
            elif number not in self.model.dirs:
                raise failure(errno.EEXIST if done == path else errno.ENOTDIR, done)

    def rename(self, source: str, target: str) -> None:
        """Atomic rename that replaces `target`; durable only after `sync_dir` of the parent."""
        node = self._existing(source)
        source_dir, source_name = self.model.find_parent(source)
        target_dir, target_name = self.model.find_parent(target)
        replaced = self.model.find(target)
        if replaced == node:
            return
        if replaced is not None:
            self._check_replaceable(node, replaced, target)
        if node in self.model.dirs and (target + "/").startswith(source + "/"):
            raise failure(errno.EINVAL, target)
        self.begin("rename", target)
        removed = NameChange(source_dir, source_name, node, False)
        added = NameChange(target_dir, target_name, node, True)
        self._change_names(NameOp(target_dir, (removed, added)))
        self.end()

    def unlink(self, path: str) -> None:
        """Remove a file; harmless when absent."""
        number = self.model.find(path)
        if number is None:
            self.model.find_parent(path)
            return
        if number in self.model.dirs:
            raise failure(errno.EISDIR, path)
        self._remove_name("unlink", path, number)

    def remove_tree(self, path: str) -> None:
        """Remove a directory and all below it; harmless when absent."""
        number = self.model.find(path)
        if number is None:
            return
        if number not in self.model.dirs:
            raise failure(errno.ENOTDIR, path)
        for name in self.list_dir(path):
            child = f"{path.rstrip('/')}/{name}"
            if self.is_dir(child):
                self.remove_tree(child)
            else:
                self.unlink(child)
        self._remove_name("unlink", path, number)

    def sync_dir(self, path: str) -> None:
        """fsync of the directory itself (names, not contents)."""
        number = self._directory(path)
        self.begin("sync_dir", path)
        self.model.sync_dir(number)
        self.record(DirSynced(number))
        self.end()

    def sync_files(self, files: Sequence[File]) -> None:
        """Make the contents of all `files` durable, in any order; raises the first error."""
        order = list(cast(Sequence[SimFile], files))
        for file in order:
            file.check_not_failed()
        self.random.shuffle(order)
        first_error: OSError | None = None
        for file in order:
            try:
                file.sync()
            except OSError as error:
                first_error = first_error or error
        if first_error is not None:
            raise first_error

    def file_size(self, path: str) -> int:
        """Length of a file in bytes."""
        number = self._existing(path)
        return 0 if number in self.model.dirs else len(self.model.files[number].data)

    def modified_ms(self, path: str) -> int:
        """Last modification time, milliseconds since the epoch."""
        number = self._existing(path)
        return self._dated(number).modified_ms

    def set_modified_ms(self, path: str, when_ms: int) -> None:
        """Set the last modification time."""
        self._dated(self._existing(path)).modified_ms = when_ms

    def lock(self, path: str) -> Callable[[], None]:
        """Take the lock on `path` (created if absent); returns the release.

        Raises BlockingIOError when it is held. A crash releases it.
        """
        file = self.open(path, create=True)
        token = object()
        if self._locked.setdefault(file.node, token) is not token:
            raise failure(errno.EAGAIN, path)

        def release() -> None:
            if self._locked.get(file.node) is token:
                del self._locked[file.node]

        return release

    def usage(self, path: str) -> tuple[int, int]:
        """(total, usable) bytes of the volume."""
        self._existing(path)
        total = ENDLESS if self.capacity is None else self.capacity
        return (total, max(0, total - self.model.used_bytes()))

    # -- crashes ----------------------------------------------------------------------------

    def crash_at(self, op: int, *, after: bool = False) -> None:
        """Stop the machine at the `op`-th changing operation from the disk's start.

        Before it takes effect, or right after: the caller never learns that it was done.
        """
        self._crash_before = None if after else op
        self._crash_after = op if after else None

    def power_loss(self, image: DiskModel | None = None) -> None:
        """The page cache is gone: what was pending is lost, applied, torn or zeroed, by chance.

        `image` (from `enumerate_crashes`) decides it instead.
        """
        self.model = random_image(self.model, self.random) if image is None else image
        self._restarted()

    def kill(self) -> None:
        """The process died, the machine did not: the page cache stays, handles and locks do not."""
        self._restarted()

    def snapshot(self) -> DiskModel:
        """The whole state, pending operations included."""
        return self.model.copy()

    def restore(self, state: DiskModel) -> None:
        """Go back to a snapshot (which stays usable); open files die, locks are released."""
        self.model = state.copy()
        self._restarted()

    def start_history(self) -> History:
        """Record every change from now on."""
        self._history = History(self.model.copy())
        return self._history

    # -- damage -----------------------------------------------------------------------------

    def damage(self, path: str, change: Callable[[bytearray], None]) -> None:
        """Let `change` edit the bytes of a file behind everybody's back, durably."""
        node = self.model.files[self._existing(path)]
        content = bytearray(node.data)
        change(content)
        node.data = content
        node.durable = bytes(content)
        node.pending.clear()

    def flip_bit(self, path: str, position: int, bit: int) -> None:
        """Invert one bit."""

        def flip(content: bytearray) -> None:
            content[position] ^= 1 << bit

        self.damage(path, flip)

    def evict(self) -> None:
        """Drop clean pages, so that what a failed sync lost is seen to be lost."""
        for node in self.model.files.values():
            node.evict()

    # -- for SimFile ------------------------------------------------------------------------

    def look(self, kind: str, path: str) -> None:
        """An operation that changes nothing begins. Raises the fault that hits it."""
        if self._dead:
            raise SimulatedCrash
        self._spend(kind)
        if self.observer is not None:
            self.observer(kind, path)
        if (fault := self.faults.match(kind, path, self.random)) is not None:
            raise failure(fault.number, path)

    def begin(self, kind: str, path: str) -> None:
        """A changing operation begins. Raises SimulatedCrash, or the fault that hits it."""
        self._count()
        self.look(kind, path)

    def end(self) -> None:
        """A changing operation has taken effect. May raise SimulatedCrash."""
        if self.op_count == self._crash_after:
            self._die()

    def write(self, file: SimFile, position: int, data: bytes) -> None:
        """Write, or a part of it and then the error of a full disk or a fault."""
        self._count()
        if self._dead:
            raise SimulatedCrash
        self._spend("write")
        if self.observer is not None:
            self.observer("write", file.path)
        node = file.content
        accepted, number = len(data), 0
        if (fault := self.faults.match("write", file.path, self.random)) is not None:
            accepted, number = min(fault.partial, accepted), fault.number
        elif self.capacity is not None:
            room = len(node.data) + max(0, self.capacity - self.model.used_bytes()) - position
            if room < accepted:
                accepted, number = max(0, room), errno.ENOSPC
        if accepted:
            op = Write(position, data[:accepted])
            node.apply(op)
            node.modified_ms = self.now_ms()
            self.record(FileChanged(file.node, op))
        if number:
            raise failure(number, file.path)
        self.end()

    def truncate(self, file: SimFile, size: int) -> None:
        """Cut or zero-extend."""
        self.begin("truncate", file.path)
        file.content.apply(Cut(size))
        file.content.modified_ms = self.now_ms()
        self.record(FileChanged(file.node, Cut(size)))
        self.end()

    def sync(self, file: SimFile) -> None:
        """Make one file durable. On an error its dirty pages are dropped, as Linux does."""
        try:
            self.begin("sync", file.path)
        except OSError:
            durable = random_content(file.content, self.random)
            file.content.drop_pending(durable)
            self.record(FileDropped(file.node, durable))
            raise
        file.content.sync()
        self.record(FileSynced(file.node))
        self.end()

    def record(self, event: Event) -> None:
        """Keep `event` when a history is being written."""
        if self._history is not None:
            self._history.events.append(event)

    # -- inside -----------------------------------------------------------------------------

    def _count(self) -> None:
        if self._dead:
            raise SimulatedCrash
        self.op_count += 1
        if self.op_count == self._crash_before:
            self._die()

    def _die(self) -> NoReturn:
        self._dead = True
        self.on_dead()
        raise SimulatedCrash

    def _spend(self, kind: str) -> None:
        faults = self.faults
        spent = LATENCY_US.get(kind, OTHER_LATENCY_US)
        if faults.slow_rate > 0 and self.random.random() < faults.slow_rate:
            spent = faults.slow_us
        if faults.stall_us and kind == "sync":
            spent += faults.stall_us
        self.elapsed_us += spent

    def _restarted(self) -> None:
        self.generation += 1
        self._locked.clear()
        self._dead = False
        self._crash_before = self._crash_after = None
        self._history = None

    def _named(self, made: NodeMade) -> None:
        self.record(made)
        self.record(NamesChanged(self.model.names[-1]))

    def _change_names(self, op: NameOp) -> None:
        self.model.change_names(op)
        self.record(NamesChanged(op))

    def _remove_name(self, kind: str, path: str, number: int) -> None:
        directory, name = self.model.find_parent(path)
        self.begin(kind, path)
        self._change_names(NameOp(directory, (NameChange(directory, name, number, False),)))
        self.end()

    def _find(self, path: str) -> int | None:
        if self._dead:
            raise SimulatedCrash
        try:
            return self.model.find(path)
        except NotADirectoryError:
            return None

    def _existing(self, path: str) -> int:
        if self._dead:
            raise SimulatedCrash
        number = self.model.find(path)
        if number is None:
            raise failure(errno.ENOENT, path)
        return number

    def _dated(self, number: int) -> FileNode | DirNode:
        return self.model.files.get(number) or self.model.dirs[number]

    def _check_replaceable(self, node: int, replaced: int, target: str) -> None:
        dirs = self.model.dirs
        if replaced in dirs:
            if node not in dirs:
                raise failure(errno.EISDIR, target)
            if dirs[replaced].entries:
                raise failure(errno.ENOTEMPTY, target)
        elif node in dirs:
            raise failure(errno.ENOTDIR, target)

    def _directory(self, path: str) -> int:
        number = self._existing(path)
        if number not in self.model.dirs:
            raise failure(errno.ENOTDIR, path)
        return number
