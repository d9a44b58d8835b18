"""Groups and transactions in simulated worlds: no acknowledged commit is lost or goes back, nobody
owns what another one has, what a group made of its input is there exactly once (G1–G4, T2–T7)."""

from __future__ import annotations

import os

import pytest

from barnabas.testing.checkers import Violation
from tests.sim.node_group_run import GroupSeed

FIXED = (*range(12), 755372682003)
"""The last one: a heartbeat answered after its session is over, to a member that was put out."""
ROTATING = range(6)
SOAK_SEEDS = int(os.environ.get("BARNABAS_SIM_SEEDS", "2000"))


def run(number: int) -> tuple[str, list[Violation]]:
    """(trace hash, violations) of one run."""
    seed = GroupSeed(number)
    violations = seed.execute()
    return seed.world.trace_hash(), violations


def check_seed(number: int, *, twice: bool) -> None:
    """Fail with the one command that repeats the run."""
    again = f"repeat with: python -m tests.sim.node_group_run {number}"
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
    check_seed(number, twice=number < 3)


@pytest.mark.parametrize("number", ROTATING)
def test_rotating_seeds(number: int, seed: int) -> None:
    check_seed(seed * 1000 + number, twice=False)


@pytest.mark.soak
def test_many_seeds(seed: int) -> None:
    for number in range(SOAK_SEEDS):
        check_seed(seed * 100_000 + number, twice=number % 20 == 0)
        if number % 100 == 99:
            print(f"{number + 1} seeds")
