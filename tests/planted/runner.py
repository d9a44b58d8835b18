"""Plants a bug in a copy of the package and runs tests against that copy, in a process of its own.

The copy stands before the installed package on the import path, of processes that the tests start
too. The seed is fixed, so that a bug is found today if it was found yesterday.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.planted.bug import Bug
from tests.planted.report import COPY, RESULT, Failure

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "src" / "barnabas"
SEED = "1"
PATIENCE_S = 600
"""For what hangs: no bug takes a tenth of it."""
ASSERTIONS = frozenset({"AssertionError", "Failed", "ExceptionGroup"})
"""Failures that are somebody's verdict. Everything else is an accident on the way to it."""


class Ran(NamedTuple):
    """A run of pytest: how many tests passed, what failed, and its last words."""

    passed: int
    failures: list[Failure]
    output: str


def patched(bug: Bug) -> str:
    """The source file with the bug in it. Raises `ValueError` unless its text is there once."""
    text = (PACKAGE / bug.file).read_text(encoding="utf-8")
    found = text.count(bug.old)
    if found != 1:
        raise ValueError(f"{bug.name}: what it changes is {found} times in {bug.file}")
    return text.replace(bug.old, bug.new)


def run_tests(place: Path, tests: Sequence[str], bug: Bug | None) -> Ran:
    """Run `tests` on a copy of the package made in `place`, up to the first failure."""
    shutil.copytree(PACKAGE, place / "barnabas")  # with its bytecode: times stay
    if bug is not None:
        (place / "barnabas" / bug.file).write_text(patched(bug), encoding="utf-8")
    result = place / "result.json"
    environment = {
        **os.environ,
        "PYTHONPATH": str(place),
        "BARNABAS_SEED": SEED,
        COPY: str(place),
        RESULT: str(result),
    }
    for name in [name for name in environment if name.startswith("PYTEST_")]:
        del environment[name]
    command = [sys.executable, "-m", "pytest", "-p", "tests.planted.report", "-p", "no:randomly"]
    command += ["-p", "no:cacheprovider", "-p", "no:xdist", f"--hypothesis-seed={SEED}"]
    command += ["-x", "-q", "--tb=short", f"--basetemp={place / 'tmp'}", *tests]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    output = done.stdout[-4000:] + done.stderr[-2000:]
    if not result.exists():
        return Ran(0, [], output)
    content = json.loads(result.read_text(encoding="utf-8"))
    return Ran(content["passed"], [Failure(*each) for each in content["failures"]], output)


def missed(bug: Bug, ran: Ran) -> str | None:
    """Why a run does not show the bug; `None` when it does."""
    if not ran.failures:
        return f"nothing noticed it: {ran.passed} tests passed\n{ran.output}"
    failure = ran.failures[0]
    if failure.when != "call" or failure.kind not in ASSERTIONS:
        return f"no verdict but an accident: {failure}\n{ran.output}"
    if failure.text.startswith("Timeout"):
        return f"it hangs: {failure}"
    if not re.search(bug.shows, failure.text):
        return f"another failure than one of {bug.shows!r}: {failure}"
    return None
