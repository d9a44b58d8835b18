"""What a disk holds: the page cache's view, the durable view, and what lies between them.

Rules of the model (stricter than any one file system, as strict as POSIX):
- syncing a file makes its bytes and length durable, not its name;
- syncing a directory makes the changes of its own names durable, not the files' bytes;
- a rename is atomic, and becomes durable with the directory that holds the new name;
- until then every operation may survive a power loss, or not, independently of all others.
Modification times always survive.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

ROOT = 0
"""Number of the root directory."""

MAX_PENDING_OPS = 1024
"""Per file: the kernel's writeback takes the oldest operation when more are waiting."""


class Write(NamedTuple):
    """Bytes written at a position."""

    position: int
    data: bytes


class Cut(NamedTuple):
    """The file cut or zero-extended to a size."""

    size: int


FileOp: TypeAlias = Write | Cut


class NameChange(NamedTuple):
    """One entry of one directory: `node` put under `name`, or taken away if it is still there."""

    directory: int
    name: str
    node: int
    present: bool


class NameOp(NamedTuple):
    """Changes of names that happen together; durable when directory `home` is synced."""

    home: int
    changes: tuple[NameChange, ...]


class FileNode:
    """A file. `data` is what a reader sees, `durable` what is surely on the platter.

    Both may be shared immutable `bytes` (in a copy or a crash image) until the first write.
    """

    __slots__ = ("data", "durable", "modified_ms", "pending")

    def __init__(self, content: bytes = b"", modified_ms: int = 0) -> None:
        self.data: bytes | bytearray = content
        self.durable: bytes | bytearray = content
        self.pending: list[FileOp] = []
        self.modified_ms = modified_ms

    def apply(self, op: FileOp) -> None:
        """Carry out `op` in the page cache."""
        if type(self.data) is not bytearray:
            self.data = bytearray(self.data)
        apply_op(self.data, op)
        self.pending.append(op)
        if len(self.pending) > MAX_PENDING_OPS:
            self._harden(self.pending.pop(0))

    def sync(self) -> None:
        """Everything pending is durable now."""
        for op in self.pending:
            self._harden(op)
        self.pending.clear()

    def copy(self) -> FileNode:
        """An independent file with the same past; freezes the bytes of both until written again."""
        node = FileNode.__new__(FileNode)
        node.data = self.data = bytes(self.data)
        node.durable = self.durable = bytes(self.durable)
        node.pending = self.pending.copy()
        node.modified_ms = self.modified_ms
        return node

    def drop_pending(self, survivors: bytes) -> None:
        """Forget what is pending: `survivors` is durable, readers still see the cache."""
        self.durable = survivors
        self.pending.clear()

    def evict(self) -> None:
        """Drop the clean part of the cache: readers see the durable bytes and what is pending."""
        data = bytearray(self.durable)
        for op in self.pending:
            apply_op(data, op)
        self.data = data

    def _harden(self, op: FileOp) -> None:
        if type(self.durable) is not bytearray:
            self.durable = bytearray(self.durable)
        apply_op(self.durable, op)


class DirNode:
    """A directory: name -> node number, as seen and as surely on the platter."""

    __slots__ = ("durable", "entries", "modified_ms")

    def __init__(self, entries: dict[str, int] | None = None) -> None:
        self.entries: dict[str, int] = {} if entries is None else entries
        self.durable: dict[str, int] = self.entries.copy()
        self.modified_ms = 0


def apply_op(content: bytearray, op: FileOp) -> None:
    """Change `content` as `op` says."""
    if isinstance(op, Write):
        position, data = op
        if position > len(content):
            content.extend(bytes(position - len(content)))
        content[position : position + len(data)] = data
    elif op.size < len(content):
        del content[op.size :]
    else:
        content.extend(bytes(op.size - len(content)))


class DiskModel:
    """All files and directories of one volume."""

    __slots__ = ("dirs", "files", "names", "next_node")

    def __init__(self) -> None:
        self.files: dict[int, FileNode] = {}
        self.dirs: dict[int, DirNode] = {ROOT: DirNode()}
        self.names: list[NameOp] = []
        """Changes of names that are not durable yet, oldest first."""
        self.next_node = 1

    # -- looking up -------------------------------------------------------------------------

    def find(self, path: str) -> int | None:
        """Node number of `path`, or None. Raises NotADirectoryError below a file."""
        node = ROOT
        for part in parts_of(path):
            directory = self.dirs.get(node)
            if directory is None:
                raise failure(errno.ENOTDIR, path)
            found = directory.entries.get(part)
            if found is None:
                return None
            node = found
        return node

    def find_parent(self, path: str) -> tuple[int, str]:
        """(directory, last name) of `path`. Raises FileNotFoundError, NotADirectoryError."""
        parts = parts_of(path)
        if not parts:
            raise failure(errno.EBUSY, path)
        parent = self.find("/" + "/".join(parts[:-1]))
        if parent is None:
            raise failure(errno.ENOENT, path)
        if parent not in self.dirs:
            raise failure(errno.ENOTDIR, path)
        return parent, parts[-1]

    def used_bytes(self) -> int:
        """Lengths of all files that have a name."""
        numbers = {n for directory in self.dirs.values() for n in directory.entries.values()}
        return sum(len(file.data) for number, file in self.files.items() if number in numbers)

    # -- changing ---------------------------------------------------------------------------

    def new_file(self, directory: int, name: str, now_ms: int) -> int:
        """An empty file under a new name."""
        number = self._take_number()
        self.files[number] = FileNode(modified_ms=now_ms)
        self.change_names(NameOp(directory, (NameChange(directory, name, number, True),)))
        return number

    def new_dir(self, directory: int, name: str) -> int:
        """An empty directory under a new name."""
        number = self._take_number()
        self.dirs[number] = DirNode()
        self.change_names(NameOp(directory, (NameChange(directory, name, number, True),)))
        return number

    def change_names(self, op: NameOp) -> None:
        """Carry out `op` in the cache; it stays pending."""
        for change in op.changes:
            apply_change(self.dirs[change.directory].entries, change)
        self.names.append(op)

    def sync_dir(self, number: int) -> None:
        """All changes at home in directory `number` are durable now."""
        hardened = [op for op in self.names if op.home == number]
        if not hardened:
            return
        for op in hardened:
            for change in op.changes:
                apply_change(self.dirs[change.directory].durable, change)
        self.names = [op for op in self.names if op.home != number]
        if any(not change.present for op in hardened for change in op.changes):
            self._forget_nameless()

    # -- copies -----------------------------------------------------------------------------

    def copy(self) -> DiskModel:
        """An independent model in the same state, pending operations included."""
        model = DiskModel()
        model.files = {number: file.copy() for number, file in self.files.items()}
        model.dirs = {}
        for number, directory in self.dirs.items():
            twin = model.dirs[number] = DirNode(directory.entries.copy())
            twin.durable = directory.durable.copy()
        model.names = self.names.copy()
        model.next_node = self.next_node
        return model

    def image(self, contents: dict[int, bytes], names: Iterable[NameOp]) -> DiskModel:
        """The disk after a power loss: nothing pending.

        `contents` gives the bytes of those files that had pending operations, `names` those
        pending changes that survived, in order; all else is taken from the durable view.
        """
        model = DiskModel()
        model.next_node = self.next_node
        for number, file in self.files.items():
            content = contents.get(number)
            if content is None:
                content = self._frozen(file)
            model.files[number] = FileNode(content, file.modified_ms)
        entries = {number: directory.durable.copy() for number, directory in self.dirs.items()}
        for op in names:
            for change in op.changes:
                apply_change(entries[change.directory], change)
        model.dirs = {number: DirNode(names) for number, names in entries.items()}
        return model

    def _forget_nameless(self) -> None:
        """Drop nodes that no name leads to, now or after a power loss."""
        named = {ROOT}
        for directory in self.dirs.values():
            named.update(directory.entries.values(), directory.durable.values())
        named.update(change.node for op in self.names for change in op.changes)
        named.update(change.directory for op in self.names for change in op.changes)
        self.files = {number: node for number, node in self.files.items() if number in named}
        self.dirs = {number: node for number, node in self.dirs.items() if number in named}

    @staticmethod
    def _frozen(file: FileNode) -> bytes:
        if type(file.durable) is not bytes:
            file.durable = bytes(file.durable)
        return file.durable

    def _take_number(self) -> int:
        number = self.next_node
        self.next_node += 1
        return number


def apply_change(entries: dict[str, int], change: NameChange) -> None:
    """Change one directory's entries; taking away spares a newer node of the same name."""
    if change.present:
        entries[change.name] = change.node
    elif entries.get(change.name) == change.node:
        del entries[change.name]


def parts_of(path: str) -> list[str]:
    """Names along an absolute path. Raises ValueError for a relative one."""
    if not path.startswith("/"):
        raise ValueError(f"not an absolute path: {path!r}")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError(f"'..' in a path: {path!r}")
    return parts


def failure(number: int, path: str) -> OSError:
    """The OSError (of the fitting subclass) that the kernel would raise."""
    return OSError(number, os.strerror(number), path)
