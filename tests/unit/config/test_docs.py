"""The page on configuration says what the code does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]


def test_the_tables_are_up_to_date() -> None:
    command = [sys.executable, str(REPOSITORY / "tools/generate_config_docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
