"""The whole node with its clients in simulated worlds: same seed, same run, and nothing promised
is lost, whatever crashes, stalls, fails or is cut off."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from barnabas.partition.producers import ProducerStates
from barnabas.records.batch import BatchHeader
from barnabas.server.partitions import HostedPartition
from barnabas.testing.checkers import Violation
from barnabas.testing.sim import SimDisk
from tests.sim.node_run import Seed

FIXED = range(25)
ROTATING = range(25)
SOAK_SEEDS = int(os.environ.get("BARNABAS_SIM_SEEDS", "2000"))
CANARY_SEEDS = range(40)


def run(number: int) -> tuple[str, list[Violation]]:
    """(trace hash, violations) of one run."""
    seed = Seed(number)
    violations = seed.execute()
    return seed.world.trace_hash(), violations


def check_seed(number: int, *, twice: bool) -> None:
    """Fail with the one command that repeats the run."""
    again = f"repeat with: python -m tests.sim.node_run {number}"
    try:
        trace, violations = run(number)
    except BaseException as error:
        error.add_note(again)
        raise
    if violations:
        text = "\n".join(f"{each.rule}: {each.text}" for each in violations[:10])
        pytest.fail(f"{len(violations)} violations\n{text}\n{again}", pytrace=False)
    if twice:
        assert run(number)[0] == trace, f"two runs differ; {again}"


@pytest.mark.parametrize("number", FIXED)
def test_fixed_seeds(number: int) -> None:
    check_seed(number, twice=True)


@pytest.mark.parametrize("number", ROTATING)
def test_rotating_seeds(number: int, seed: int) -> None:
    check_seed(seed * 1000 + number, twice=True)


@pytest.mark.soak
def test_many_seeds(seed: int) -> None:
    for number in range(SOAK_SEEDS):
        check_seed(seed * 100_000 + number, twice=number % 20 == 0)
        if number % 100 == 99:
            print(f"{number + 1} seeds")


# -- canaries: the harness sees what it is there for --


def acknowledge_before_sync(patch: pytest.MonkeyPatch) -> None:
    """The high watermark follows what is written, not what is synced."""

    def progress(self: HostedPartition) -> None:
        log = self.log
        while self._written_acks and self._written_acks[0][0] <= log.written_offset:
            self._written_acks.popleft()[1].reached(self, 0)  # type: ignore[arg-type]
        if self.replica.advance(log.written_offset, 1):
            log.high_watermark = self.replica.high_watermark
            self._committed()

    patch.setattr(HostedPartition, "progress", progress)


def acknowledge_before_write(patch: pytest.MonkeyPatch) -> None:
    """Answers at append, when the records are in memory only."""

    def wait(self: HostedPartition, _offset: int, waiter: Any) -> None:
        waiter.reached(self, 0)

    patch.setattr(HostedPartition, "wait_committed", wait)
    patch.setattr(HostedPartition, "wait_written", wait)


def forget_sequences(patch: pytest.MonkeyPatch) -> None:
    """A repeated batch is appended again."""

    def check(_self: ProducerStates, _header: BatchHeader) -> tuple[int, None]:
        return 0, None

    patch.setattr(ProducerStates, "check", check)


def lose_names(patch: pytest.MonkeyPatch) -> None:
    """Directories are never synced."""
    patch.setattr(SimDisk, "sync_dir", lambda self, path: self.look("sync_dir", path))


CANARIES: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], set[str]]] = {
    "acknowledged before the sync": (acknowledge_before_sync, {"lost", "P6", "P7"}),
    "acknowledged before the write": (acknowledge_before_write, {"lost"}),
    "sequences are not checked": (forget_sequences, {"T1"}),
    "directories are not synced": (lose_names, {"lost", "metadata", "crash"}),
}


@pytest.mark.parametrize("bug", CANARIES)
def test_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, rules = CANARIES[bug]
    plant(monkeypatch)
    for number in CANARY_SEEDS:
        try:
            found = {each.rule for each in run(number)[1]}
        except Exception:
            found = {"crash"}
        if found & rules:
            return
    pytest.fail(f"{len(CANARY_SEEDS)} seeds did not find it")
