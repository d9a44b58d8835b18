"""The targets under atheris, each in a process of its own: coverage decides what is tried next.

`make test` runs each for a few thousand inputs, `make soak` for more than a million together.
What fails is left in a file whose name the failure prints; `python -m tests.fuzz TARGET FILE` runs
that one.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS
from tests.interop.kafka import REPOSITORY

pytest.importorskip("atheris", reason="atheris has no wheel for this platform")

SHORT = {"frame": 4_000, "request": 4_000, "batch": 4_000, "records": 4_000, "recovery": 300}
SEEDS_APART = {"frame": 1, "request": 11, "batch": 1, "records": 1, "recovery": 1}
"""Each seed of a decoder costs its compilation: a short run takes some of them."""

LONG_SECONDS = 60
LONG_SUM = 1_000_000
DONE = re.compile(r"^Done (\d+) runs in", re.MULTILINE)


def fuzz(name: str, directory: Path, *options: str) -> int:
    """Run a target; how many inputs it was given."""
    corpus = directory / "corpus"
    corpus.mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz", name, str(corpus), *options),
            # (What is counted as resident begins with the most that the parent has ever had.)
            *(f"-artifact_prefix={directory}/", "-rss_limit_mb=8192", "-malloc_limit_mb=1024"),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-5000:]}"
    found = DONE.search(done.stderr)
    assert found is not None, done.stderr[-2000:]
    return int(found.group(1))


@pytest.mark.parametrize("name", TARGETS)
def test_a_few_thousand_inputs(name: str, seed: int, tmp_path: Path) -> None:
    runs = SHORT[name]
    every = str(SEEDS_APART[name])
    assert fuzz(name, tmp_path, every, f"-runs={runs}", f"-seed={1 + seed % 2**31}") >= runs


@pytest.mark.soak
def test_a_million_inputs(seed: int, tmp_path: Path) -> None:
    total = 0
    for name in TARGETS:
        directory = tmp_path / name
        directory.mkdir()
        options = (f"-max_total_time={LONG_SECONDS}", f"-seed={1 + seed % 2**31}")
        total += fuzz(name, directory, *options)
    assert total >= LONG_SUM
