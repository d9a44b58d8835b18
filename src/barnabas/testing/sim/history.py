"""The operations of a run on a simulated disk, kept so that crashes can be enumerated later."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from barnabas.testing.sim.disk_model import DirNode, DiskModel, FileNode, FileOp, NameOp


class FileChanged(NamedTuple):
    """A write or cut of one file."""

    node: int
    op: FileOp


class FileSynced(NamedTuple):
    """fdatasync of one file."""

    node: int


class FileDropped(NamedTuple):
    """A failed fdatasync: nothing is pending any more, `durable` is what the platter has."""

    node: int
    durable: bytes


class NodeMade(NamedTuple):
    """A file or directory came to be; its name follows as `NamesChanged`."""

    node: int
    is_dir: bool


class NamesChanged(NamedTuple):
    """A create, rename, unlink, mkdir or rmdir."""

    op: NameOp


class DirSynced(NamedTuple):
    """fsync of one directory."""

    node: int


class Mark(NamedTuple):
    """Something that the run promised to the outside at this instant, such as an acknowledgement."""

    label: object


Event: TypeAlias = (
    FileChanged | FileSynced | FileDropped | NodeMade | NamesChanged | DirSynced | Mark
)


class History:
    """`base` is the disk before the first event."""

    __slots__ = ("base", "events")

    def __init__(self, base: DiskModel) -> None:
        self.base = base
        self.events: list[Event] = []

    def mark(self, label: object) -> None:
        """Note a promise."""
        self.events.append(Mark(label))


def replay(model: DiskModel, event: Event) -> None:
    """Carry out `event` on `model`."""
    match event:
        case FileChanged(node, op):
            if (file := model.files.get(node)) is not None:  # else: unlinked, only open handles
                file.apply(op)
        case FileSynced(node):
            if (file := model.files.get(node)) is not None:
                file.sync()
        case FileDropped(node, durable):
            if (file := model.files.get(node)) is not None:
                file.drop_pending(durable)
        case NodeMade(node, is_dir):
            if is_dir:
                model.dirs[node] = DirNode()
            else:
                model.files[node] = FileNode()
            model.next_node = node + 1
        case NamesChanged(names):
            model.change_names(names)
        case DirSynced(node):
            model.sync_dir(node)
        case Mark():
            pass
