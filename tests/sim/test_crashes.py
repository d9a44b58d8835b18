"""Enumeration of crashes, and the canary: bugs planted in a toy store must be found."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from barnabas.testing.sim import (
    CrashImage,
    CrashLimits,
    DiskFault,
    SimDisk,
    SimulatedCrash,
    enumerate_crashes,
    enumerate_kills,
)
from tests.sim.toy_store import BUGS, ToyStore

RECORDS = [bytes([65 + i]) * size for i, size in enumerate((5, 700, 40))]


def history_of_a_file(work: Callable[[SimDisk], None]) -> list[CrashImage]:
    """All crash images of `work` on a disk with a durable file /f of five dots."""
    disk = SimDisk()
    file = disk.open("/f", create=True)
    file.pwritev([b"....."], 0)
    file.sync()
    disk.sync_dir("/")
    history = disk.start_history()
    work(disk)
    return list(enumerate_crashes(history))


def content(image: CrashImage, path: str) -> bytes | None:
    """Bytes of a file in a crash image; None when absent."""
    disk = SimDisk(model=image.model)
    return disk.open(path).pread(10_000, 0) if disk.exists(path) else None


def test_all_subsets_of_independent_writes() -> None:
    def work(disk: SimDisk) -> None:
        file = disk.open("/f")
        for i in range(3):
            file.pwritev([b"x"], i)

    images = history_of_a_file(work)
    assert {content(image, "/f") for image in images} == {
        bytes(b"x."[bit] for bit in (a, b, c)) + b".."
        for a in (0, 1)
        for b in (0, 1)
        for c in (0, 1)
    }
    assert len(images) == 8  # equal outcomes are one image
    assert all(image.exhaustive for image in images)


def test_names_and_bytes_are_independent() -> None:
    def work(disk: SimDisk) -> None:
        disk.open("/f").pwritev([b"X"], 0)
        disk.rename("/f", "/g")

    found = {
        (content(image, "/f"), content(image, "/g"))
        for image in history_of_a_file(work)
        if image.point == 2
    }
    assert found == {(b"X....", None), (b".....", None), (None, b"X...."), (None, b".....")}


def test_orders_of_conflicting_operations() -> None:
    def work(disk: SimDisk) -> None:
        file = disk.open("/f")
        file.truncate(2)
        file.pwritev([b"yy"], 2)

    found = {content(image, "/f") for image in history_of_a_file(work)}
    assert found == {b".....", b"..", b"..yy.", b"..yy", b"..\0\0"}


def test_marks_say_what_was_promised() -> None:
    disk = SimDisk()
    history = disk.start_history()
    file = disk.open("/f", create=True)
    disk.sync_dir("/")
    history.mark("made")
    file.pwritev([b"x"], 0)
    file.sync()
    history.mark("written")
    marks = {image.point: image.marks for image in enumerate_crashes(history)}
    assert list(marks.values()) == [(), ("made",), ("made", "written")]


def test_kills_keep_what_was_written() -> None:
    disk = SimDisk()
    history = disk.start_history()
    file = disk.open("/f", create=True)
    file.pwritev([b"a"], 0)
    file.pwritev([b"b"], 1)
    assert [content(image, "/f") for image in enumerate_kills(history)] == [
        None,
        None,
        b"",
        b"a",
        b"ab",
    ]


def test_many_pending_operations_are_sampled_with_a_seed() -> None:
    disk = SimDisk()
    file = disk.open("/f", create=True)
    disk.sync_dir("/")
    history = disk.start_history()
    for i in range(40):
        file.pwritev([bytes([i]) * 900], i * 900)

    def images(seed: int) -> list[bytes | None]:
        limits = CrashLimits(images=300)
        found = list(enumerate_crashes(history, limits=limits, seed=seed))
        assert len(found) <= 300
        assert not any(image.exhaustive for image in found)
        return [content(image, "/f") for image in found]

    assert images(1) == images(1)
    assert images(1) != images(2)
    assert images(1)[:2] == [b"", b"".join(bytes([i]) * 900 for i in range(40))[:10_000]]


def test_images_are_independent() -> None:
    disk = SimDisk()
    disk.open("/f", create=True).pwritev([b"abc"], 0)
    history = disk.start_history()
    disk.open("/f").pwritev([b"x"], 3)
    images = list(enumerate_crashes(history, every_event=True))
    for image in images:
        used = SimDisk(model=image.model)
        used.open("/f", create=True).pwritev([b"spoiled"], 0)
        used.make_dirs("/spoiled")
    again = list(enumerate_crashes(history, every_event=True))
    assert not any(SimDisk(model=image.model).exists("/spoiled") for image in again)
    assert b"spoiled" not in {content(image, "/f") for image in again}


# -- the canary -----------------------------------------------------------------------------


def losses(bug: str) -> list[str]:
    """What goes wrong with the toy store over all crash images of a short run."""
    disk = SimDisk()
    history = disk.start_history()
    store = ToyStore(disk, history.mark, bug)
    for record in RECORDS:
        store.append(record)
    found = []
    for image in enumerate_crashes(history):
        recovered = ToyStore(SimDisk(model=image.model), lambda _: None, bug)
        promised = list(image.marks)
        if recovered.records[: len(promised)] != promised:
            found.append(f"at {image.point}: lost {promised[len(recovered.records) :]}")
        if recovered.records != RECORDS[: len(recovered.records)]:
            found.append(f"at {image.point}: made up {recovered.records}")
    return found


def test_correct_store_survives_every_crash() -> None:
    assert losses("") == []


@pytest.mark.parametrize("bug", ["ack before sync", "no directory sync", "no checksum"])
def test_planted_bug_is_found(bug: str) -> None:
    assert bug in BUGS
    assert losses(bug) != []


def after_two_lives(bug: str, seed: int) -> tuple[list[bytes], list[bytes]]:
    """(acknowledged, recovered) after a crash in each of two lives, at seeded operations."""
    random = Random(seed)
    disk = SimDisk(random)
    acknowledged: list[bytes] = []
    for life in range(2):
        disk.crash_at(disk.op_count + random.randrange(1, 14), after=bool(random.randrange(2)))
        try:
            store = ToyStore(disk, acknowledged.append, bug)
            for i in range(4):
                store.append(bytes([97 + life * 10 + i]) * random.choice((3, 200, 900)))
        except SimulatedCrash:
            pass
        disk.power_loss()
    return acknowledged, ToyStore(disk, lambda _: None, bug).records


def is_subsequence(wanted: list[bytes], found: list[bytes]) -> bool:
    """Whether all of `wanted` are in `found`, in order."""
    rest = iter(found)
    return all(record in rest for record in wanted)


def test_correct_store_survives_two_lives() -> None:
    for seed in range(300):
        acknowledged, recovered = after_two_lives("", seed)
        assert is_subsequence(acknowledged, recovered), seed


@pytest.mark.parametrize("bug", ["ack before sync", "no directory sync"])
def test_planted_bug_is_found_by_chance_too(bug: str) -> None:
    def fails(seed: int) -> bool:
        acknowledged, recovered = after_two_lives(bug, seed)
        return not is_subsequence(acknowledged, recovered)

    assert any(fails(seed) for seed in range(300))


def acknowledged_but_gone(bug: str, seed: int) -> bool:
    """Whether a failing sync made the store acknowledge a record that is not there."""
    disk = SimDisk(Random(seed))
    acknowledged: list[bytes] = []
    store = ToyStore(disk, acknowledged.append, bug)
    disk.faults.rules.append(DiskFault("sync", skip=1))
    try:
        for record in RECORDS:
            store.append(record)
    except OSError:
        pass
    disk.power_loss()
    recovered = ToyStore(disk, lambda _: None).records
    return recovered[: len(acknowledged)] != acknowledged


def test_retried_sync_is_found() -> None:
    assert any(acknowledged_but_gone("sync retried", seed) for seed in range(50))
    assert not any(acknowledged_but_gone("", seed) for seed in range(50))
