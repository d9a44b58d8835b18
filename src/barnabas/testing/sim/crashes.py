"""Every disk that a power loss may leave behind, for a recorded run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from random import Random

from barnabas.testing.sim.crash_choice import contents_after, names_after
from barnabas.testing.sim.disk_model import DiskModel
from barnabas.testing.sim.history import DirSynced, FileSynced, History, Mark, replay


@dataclass(frozen=True, slots=True)
class CrashImage:
    """One possible disk. `model` belongs to the receiver: `SimDisk(model=image.model)`."""

    point: int
    """The crash came before this event of the history."""
    marks: tuple[object, ...]
    """Promises made until then."""
    model: DiskModel
    exhaustive: bool
    """Whether all images of this point are enumerated, or a seeded sample."""


@dataclass(frozen=True, slots=True)
class CrashLimits:
    """Bounds of the enumeration at one crash point."""

    images: int = 4096
    """More combinations than this are sampled."""
    contents: int = 512
    """The same for the contents of one file."""
    tears: int = 3
    """Sector bounds at which one write is torn."""


def enumerate_crashes(
    history: History,
    *,
    limits: CrashLimits = CrashLimits(),
    seed: int = 0,
    every_event: bool = False,
) -> Iterator[CrashImage]:
    """All disks that a power loss during the run may leave; sampled beyond `limits`.

    Without `every_event` crashes are tried before each sync, and at the end. That covers the
    instants between, when the check is of the form "what was promised is there": what is pending
    only grows until a sync, and so do the promises.
    """
    random = Random(seed)
    model = history.base.copy()
    marks: tuple[object, ...] = ()
    for point, event in enumerate(history.events):
        if every_event or _hardens(model, event):
            yield from _images_at(model, point, marks, limits, random)
        if isinstance(event, Mark):
            marks = (*marks, event.label)
        replay(model, event)
    yield from _images_at(model, len(history.events), marks, limits, random)


def enumerate_kills(history: History) -> Iterator[CrashImage]:
    """The disk as the next process finds it after `kill -9` before each event, and at the end.

    The page cache survives, so there is one image per point; writes cut short are not tried.
    """
    model = history.base.copy()
    marks: tuple[object, ...] = ()
    for point, event in enumerate(history.events):
        yield CrashImage(point, marks, model.copy(), True)
        if isinstance(event, Mark):
            marks = (*marks, event.label)
        replay(model, event)
    yield CrashImage(len(history.events), marks, model.copy(), True)


def _hardens(model: DiskModel, event: object) -> bool:
    if isinstance(event, FileSynced):
        file = model.files.get(event.node)
        return file is not None and bool(file.pending)
    return isinstance(event, DirSynced) and any(op.home == event.node for op in model.names)


def _images_at(
    model: DiskModel, point: int, marks: tuple[object, ...], limits: CrashLimits, random: Random
) -> Iterator[CrashImage]:
    names, exhaustive = names_after(model.names, limit=limits.images, random=random)
    numbers: list[int] = []
    contents: list[list[bytes]] = []
    combinations = len(names)
    for number, file in model.files.items():
        if not file.pending:
            continue
        found, complete = contents_after(
            file, limit=limits.contents, max_tears=limits.tears, random=random
        )
        numbers.append(number)
        contents.append(found)
        exhaustive = exhaustive and complete
        combinations *= len(found)
    if combinations <= limits.images:
        for kept in names:
            for picked in product(*contents):
                image = model.image(dict(zip(numbers, picked, strict=True)), kept)
                yield CrashImage(point, marks, image, exhaustive)
        return
    for i in range(limits.images):
        # the first two: nothing pending survived, all of it did (see `contents_after`)
        kept = names[i] if i < 2 and len(names) > 1 else random.choice(names)
        picked = tuple(
            found[i] if i < 2 and len(found) > 1 else random.choice(found) for found in contents
        )
        image = model.image(dict(zip(numbers, picked, strict=True)), kept)
        yield CrashImage(point, marks, image, False)
