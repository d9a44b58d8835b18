"""A node started by its own command line, and the commands run against it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BARNABAS = (sys.executable, "-c", "from barnabas.cli.main import main; main()")
DEADLINE_S = 60
"""When to give up; nothing here is measured."""


def start_arguments(data: Path, port: int = 0) -> list[str]:
    """`barnabas start` so that a program can read what it says."""
    words = ["start", "--port", str(port), "--data", str(data), "--log-format", "json"]
    return [*BARNABAS, *words]


class Node:
    """`barnabas start` as a process of its own."""

    def __init__(
        self,
        data: Path,
        *more: str,
        open_files: int = 0,
        port: int = 0,
        before: Sequence[str] = (),
    ) -> None:
        """`open_files`: how many the system lets it have, unless 0; `before`: the command that
        runs it."""
        self.data = data
        self.log = data.parent / f"{data.name}.log"
        """Its events: what it writes to stderr."""
        command = [*before, *start_arguments(data, port), *more]
        if open_files:
            command = ["/bin/sh", "-c", f'ulimit -n {open_files}; exec "$@"', "sh", *command]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.facts = json.loads(line)
        self.address: str = self.facts["address"]

    def end(self, number: int) -> int:
        """Send a signal, wait, and return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def stop(self) -> int:
        """A clean stop."""
        return self.end(signal.SIGTERM)


def run(address: str, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """One command against the node at `address`, whatever it returns."""
    return subprocess.run(
        [*BARNABAS, *arguments],
        input=stdin,
        capture_output=True,
        env=os.environ | {"BARNABAS_BOOTSTRAP": address},
        timeout=DEADLINE_S,
        check=False,
    )


class Shell:
    """Commands that are expected to succeed."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __call__(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """The command's stdout."""
        done = run(self.address, *arguments, stdin=stdin)
        assert done.returncode == 0, (arguments, done.stderr.decode())
        return done.stdout

    def fail(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str]:
        """Exit code and stderr of a command that must not succeed."""
        done = run(self.address, *arguments, stdin=stdin)
        assert done.returncode != 0, arguments
        return done.returncode, done.stderr.decode()

    def json(self, *arguments: str) -> Any:
        """What the command prints with `-o json`."""
        return json.loads(self(*arguments, "-o", "json"))

    def lines(self, *arguments: str) -> list[dict[str, Any]]:
        """The JSON lines that the command prints."""
        return [json.loads(line) for line in self(*arguments).splitlines()]

    def popen(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """A command that goes on running."""
        return subprocess.Popen(
            [*BARNABAS, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"BARNABAS_BOOTSTRAP": self.address},
        )
