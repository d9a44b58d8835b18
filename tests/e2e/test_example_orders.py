"""The example project under examples/orders: its own tests, by the pytest plugin alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ORDERS = Path(__file__).resolve().parents[2] / "examples" / "orders"


def test_the_example_project_passes_its_tests() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=ORDERS,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout
