"""Whole worlds: same seed, same run; a correct server passes, a planted bug is found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.toy_server import RECORDS_PER_CLIENT, run

REPOSITORY = Path(__file__).resolve().parents[2]
WORLDS = 25


def test_same_seed_same_run() -> None:
    hashes = [run(seed)[0] for seed in range(10)]
    assert hashes == [run(seed)[0] for seed in range(10)]
    assert len(set(hashes)) == 10


def test_hash_seed_has_no_influence() -> None:
    command = [sys.executable, "-c", "from tests.sim.toy_server import run; print(run(5)[0])"]
    hashes = {
        subprocess.run(
            command,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": "src:."},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("0", "1", "4242")
    }
    assert hashes == {run(5)[0]}


def lost(seed: int, bug: str) -> list[bytes]:
    """Acknowledged records that are gone."""
    _, acknowledged, records = run(seed, bug)
    assert len(acknowledged) == 2 * RECORDS_PER_CLIENT
    kept = set(records)
    return [record for record in acknowledged if record not in kept]


def test_calm_world() -> None:
    _, acknowledged, records = run(1, calm=True)
    assert sorted(acknowledged) == sorted(records)


def test_correct_server_loses_nothing(seed: int) -> None:
    for number in range(seed, seed + WORLDS):
        assert lost(number, "") == [], f"seed {number}"


@pytest.mark.parametrize("bug", ["no sync", "no directory sync"])
def test_planted_bug_is_found(bug: str) -> None:
    def caught(seed: int) -> bool:
        return lost(seed, bug) != []

    assert any(caught(seed) for seed in range(WORLDS))
