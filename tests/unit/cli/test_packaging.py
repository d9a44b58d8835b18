"""What packaging/ and the Dockerfile run exists, with these options."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import click
import pytest

from barnabas.cli.exits import Exit
from barnabas.cli.main import cli

REPOSITORY = Path(__file__).resolve().parents[3]
UNIT = (REPOSITORY / "packaging" / "systemd" / "barnabas.service").read_text()
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()


def settings(name: str) -> list[str]:
    """All values of one setting of the unit."""
    return re.findall(rf"(?m)^{name}=(.*)$", UNIT)


def instruction(name: str) -> list[str]:
    """The words of an instruction in its JSON form."""
    (found,) = re.findall(rf"(?m)^ *{name} (\[.*\])$", DOCKERFILE)
    words: list[str] = json.loads(found)
    return words


@pytest.mark.parametrize(
    "words",
    [shlex.split(settings("ExecStart")[0]), instruction("ENTRYPOINT"), instruction("CMD")],
    ids=lambda words: " ".join(words[:2]),
)
def test_the_commands_and_their_options_exist(words: list[str]) -> None:
    assert Path(words[0]).name == "barnabas"
    command = cli.get_command(click.Context(cli), words[1])
    assert command is not None
    known = {option for param in command.params for option in param.opts}
    assert {word for word in words[2:] if word.startswith("-")} <= known


def test_what_cannot_start_is_not_started_again() -> None:
    codes = {int(code) for code in settings("RestartPreventExitStatus")[0].split()}
    assert codes == {Exit.USAGE, Exit.NOT_FOUND, Exit.CANNOT_START}


def test_the_unit_grants_what_a_node_needs_of_what_it_takes_away() -> None:
    """Seen with strace: of `@privileged` and `@resources` a node with compaction needs these."""
    assert "~@privileged @resources" in settings("SystemCallFilter")
    assert set(settings("SystemCallFilter")[-1].split()) == {
        "prlimit64",
        "setrlimit",
        "setpriority",
    }


def test_the_image_is_built_from_files_that_are_sent_to_the_builder() -> None:
    sent = (REPOSITORY / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"(?m)^COPY (?!--from)(.*) \S+$", DOCKERFILE)
    assert copied
    for path in " ".join(copied).split():
        assert (REPOSITORY / path).exists()
        assert f"!{path}" in sent


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"(?m)^USER (.*)$", DOCKERFILE)
    assert users == ["barnabas"]
