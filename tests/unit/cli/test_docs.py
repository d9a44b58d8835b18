"""The commands and options that the documentation names exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from barnabas.cli.main import cli

DOCS = Path(__file__).resolve().parents[3] / "docs"


def commands(page: str) -> list[str]:
    """Every `barnabas …` of a page: in the text, and behind a prompt."""
    text = (DOCS / page).read_text()
    prose = re.sub(r"(?ms)^```.*?^```", "", text)
    inline = re.findall(r"`(barnabas [^`]*)`", prose.replace("\n", " "))
    shown = re.findall(r"(?m)^[$#] (?:[^|]*\| )?(?:[^ ]*/)?(barnabas .*)$", text)
    return [*inline, *shown]


def missing(line: str) -> list[str]:
    """Words of a line that should name a command or an option and do not."""
    command: click.Command = cli
    wrong = []
    words = shlex.split(re.split(r" [|<>&#]|, ", line)[0].replace("\\|", "|"))[1:]
    for at, word in enumerate(words):
        if isinstance(command, click.Group):
            found = [command.get_command(click.Context(command), w) for w in word.split("|")]
            if word.startswith("-") or word == "…":
                continue
            if None in found:
                return [word]
            command = found[0] or command
        elif (
            word.startswith("-")
            and not word.lstrip("-")[:1].isdigit()
            and words[at - 1] not in ("--before", "--from")  # which take -N
        ):
            known = {option for param in command.params for option in param.opts} | {"-h", "--help"}
            if word.partition("=")[0] not in known:
                wrong.append(word)
    return wrong


@pytest.mark.parametrize("page", ["kafka-scripts.md", "command-line.md", "operations.md"])
def test_what_a_page_says_can_be_typed(page: str) -> None:
    found = commands(page)
    assert len(found) > 5
    assert {line: words for line in found if (words := missing(line))} == {}


def test_what_is_wrong_is_seen() -> None:
    assert missing("barnabas topics creat t") == ["creat"]
    assert missing("barnabas topics create t --partition 3") == ["--partition"]
    assert missing("barnabas topics create|list") == []
