"""What the README tells a newcomer to do, as it is written there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.node import DEADLINE_S, Node, Shell

README = (Path(__file__).parents[2] / "README.md").read_text()


def commands() -> list[str]:
    """Lines for a shell that call our command, and what the last of them prints."""
    found = re.findall(r"^\$ (.*\.venv/bin/barnabas .*)$", README, re.MULTILINE)
    return [line.replace(".venv/bin/barnabas", "barnabas") for line in found]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "data", "--override", "group.initial.rebalance.delay.ms=0")


def by_hand(shell: Shell, line: str) -> bytes:
    """The line, with our command in place of the installed one."""
    said, piped, command = line.rpartition(" | ")
    stdin = said.removeprefix("echo ").encode() + b"\n" if piped else b""
    return shell(*command.split()[1:], stdin=stdin)


def test_the_quick_start(node: Node) -> None:
    shell = Shell(node.address)
    create, produce, consume = commands()
    by_hand(shell, create)
    by_hand(shell, produce)
    assert by_hand(shell, consume) == b"hello\n"
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    program = program.replace("localhost:9092", node.address).replace("timeout=10", "timeout=5")
    for expected in (["hello", "hello from Python"], ["hello from Python"]):
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, timeout=DEADLINE_S, check=True
        )
        assert sorted(done.stdout.decode().splitlines()) == expected
    (told,) = re.findall(r"`barnabas (groups lag readers)`", README)
    lag = shell.json(*told.split())
    assert lag
    assert node.stop() == 0
