"""Fixtures of the tests with failing disks."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.conftest import absent

SMALL_DISK = 3 * 1024 * 1024


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of a few MiB; needs the right to mount.

    Not below `tmp_path`, whose former selves pytest removes while others may still use theirs.
    """
    where = Path(tempfile.mkdtemp(prefix="barnabas-small-disk-"))
    options = f"size={SMALL_DISK}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(where)], capture_output=True
    )
    if mounted.returncode != 0:
        where.rmdir()
        absent(f"the right to mount a small file system ({mounted.stderr.decode().strip()})")
    try:
        yield where
    finally:
        # Lazily: a process that a failed test left behind must not keep it for ever.
        subprocess.run(["umount", "--lazy", str(where)], check=True)
        where.rmdir()
