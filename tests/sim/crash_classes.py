"""What a power cut did to a crash image, seen from outside: for the counts that a run prints."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from barnabas.testing.sim import CrashImage, CrashLimits, History, enumerate_crashes
from barnabas.testing.sim.disk_model import DiskModel, FileNode, Write, apply_op
from barnabas.testing.sim.history import replay

COLLECT_EVERY = 200
"""Images: each leaves a world of cycles, which the collector by itself lets grow to gigabytes."""

CLASSES = ("applied", "lost", "torn", "zero-filled", "reordered", "name kept", "name lost")
"""What may become of a write, and of a change of names."""


def classes(before: DiskModel, image: DiskModel) -> set[str]:
    """Fault classes of `image`: what became of the operations pending in `before`."""
    found: set[str] = set()
    for number, file in before.files.items():
        if file.pending and number in image.files:
            found |= _file_classes(file, bytes(image.files[number].data))
    for number, directory in before.dirs.items():
        if directory.entries != directory.durable and number in image.dirs:
            same = image.dirs[number].entries == directory.entries
            found.add("name kept" if same else "name lost")
    return found or {"nothing pending"}


def _file_classes(file: FileNode, content: bytes) -> set[str]:
    """Compare the bytes of each pending write with what is there."""
    found: set[str] = set()
    old = bytearray(file.durable)
    lost_before = False
    for op in file.pending:
        if not isinstance(op, Write):
            apply_op(old, op)
            continue
        here = content[op.position : op.position + len(op.data)]
        if here == op.data:
            found.add("reordered" if lost_before else "applied")
            continue
        lost_before = True
        if not here or here == bytes(old[op.position : op.position + len(op.data)]):
            found.add("lost")
        elif not any(here):
            found.add("zero-filled")
        else:
            found.add("torn")
    return found


@dataclass
class Tally:
    """Images per operation and fault class."""

    operation: str
    images: int = 0
    points: set[int] = field(default_factory=set)
    by_class: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {count}" for name, count in sorted(self.by_class.items()))
        return f"{self.operation}: {self.images} images at {len(self.points)} points ({parts})"


def images_of(
    history: History, tally: Tally, limits: CrashLimits, seed: int, share: float
) -> Iterator[CrashImage]:
    """The crash images of a run, all or a share spread evenly from a seeded start, counted."""
    stride = round(1 / share)
    first = Random(seed).randrange(stride)
    model = history.base.copy()
    at = 0
    for number, image in enumerate(enumerate_crashes(history, limits=limits, seed=seed)):
        if number % stride != first:
            continue
        while at < image.point:
            replay(model, history.events[at])
            at += 1
        tally.images += 1
        tally.points.add(image.point)
        tally.by_class.update(classes(model, image.model))
        if tally.images % COLLECT_EVERY == 0:
            gc.collect()
        yield image
