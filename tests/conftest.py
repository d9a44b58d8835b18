"""What every test shares: the run's seed, a free port, the place of Apache Kafka's jars.

The seed rotates: it comes from the day and the commit unless BARNABAS_SEED sets it, and every run
prints it, so that what failed yesterday can be run again today.
"""

from __future__ import annotations

import datetime
import os
import shutil
import socket
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent

# Deadlines measure the machine, not the code; what hypothesis finds is found again by its seed.
settings.register_profile("barnabas", deadline=None, print_blob=True)
settings.load_profile("barnabas")


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "-C", str(REPOSITORY), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _rotating_seed() -> int:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return zlib.crc32(f"{today} {_commit()}".encode())


SEED = int(os.environ.get("BARNABAS_SEED") or _rotating_seed())
os.environ["BARNABAS_SEED"] = str(SEED)  # the workers of xdist draw the same, over midnight too


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give the run's seed to pytest-randomly (order of tests, `random`) before it picks its own."""
    if getattr(config.option, "randomly_seed", None) == "default":
        config.option.randomly_seed = SEED


def pytest_report_header() -> str:
    """Print the seed at the top of every run."""
    return f"seed: {SEED} (BARNABAS_SEED={SEED} repeats this run)"


@pytest.fixture(scope="session")
def seed() -> int:
    """The run's seed: tests that draw derive their own generators from it."""
    return SEED


@pytest.fixture
def free_port() -> int:
    """A TCP port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
