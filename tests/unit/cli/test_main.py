"""The command line as a whole: screens, help, exit codes, what is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from barnabas import __version__
from barnabas.cli import explain, main
from barnabas.cli.exits import MEANINGS, Exit, Failure
from barnabas.cli.lazy import LazyGroup
from barnabas.client.errors import CannotConnect, ClientError, DeliveryFailed, RequestTimedOut
from barnabas.wire.errors import ErrorCode, KafkaError

NOBODY = "127.0.0.1:1"


def all_commands() -> Iterator[list[str]]:
    """The words of every command and group."""
    pending: list[tuple[list[str], click.Command]] = [([], main.cli)]
    while pending:
        words, command = pending.pop()
        yield words
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                pending.append(([*words, name], child))


def test_no_arguments_show_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == Exit.OK
    shown = capsys.readouterr().out
    assert __version__ in shown
    assert "barnabas start" in shown
    assert len(shown.splitlines()) < 15


@pytest.mark.parametrize("words", list(all_commands()), ids=" ".join)
def test_every_command_has_help_and_examples(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([*words, "--help"]) == Exit.OK
    shown = capsys.readouterr().out
    command: click.Command = main.cli
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    if not isinstance(command, click.Group):
        assert "Examples:" in shown
        assert f"  barnabas {' '.join(words)}" in shown


def test_help_explains_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    main.run(["--help"])
    shown = capsys.readouterr().out
    assert set(MEANINGS) == set(Exit)
    for code, text in MEANINGS.items():
        assert f"{code.value:>3}  {text}" in shown


def test_every_lazy_command_says_what_its_module_says() -> None:
    assert isinstance(main.cli, LazyGroup)
    context = click.Context(main.cli)
    for name in main.cli.list_commands(context):
        found = main.cli.get_command(context, name)
        assert found is not None
        assert found.name == name


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["topics", "create"],
        ["topics", "list", "-o", "xml"],
        ["topics", "alter", "t"],
        ["topics", "list", "-b", "host:port"],
        ["consume", "t", "--from", "yesterday"],
        ["produce", "t", "-f", "json", "--key", "k"],
        ["produce", "t", "--key", "k", "-k", ","],
        ["produce", "t", "-d", ""],
        ["produce", "t", "-d", "\\q"],
        ["configs", "alter", "topic", "t"],
        ["configs", "alter", "topic", "t", "--set", "x"],
        ["cluster", "features", "upgrade"],
        ["cluster", "features", "upgrade", "group.version"],
        ["cluster", "features", "upgrade", "group.version=one"],
        ["cluster", "features", "upgrade", "group.version=1", "--release-version", "4.3"],
        ["cluster", "features", "upgrade", "group.version=1", "group.version=0"],
        ["cluster", "features", "downgrade", "--release-version", "2.8"],
        ["cluster", "features", "upgrade", "metadata.version=9.9"],
        ["cluster", "features", "disable"],
        ["cluster", "unregister", "-1"],
        ["format"],
        ["format", "--standalone", "--feature", "group.version=one"],
        ["format", "--standalone", "--initial-controllers", "1@h:1:JEXY6aqzQY-32P5TStzaFg"],
        ["start", "--port", "70000"],
        ["start", "--override", "x"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(arguments) == Exit.USAGE
    assert capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["topics", "list"], ["cluster", "describe"], ["consume", "t"], ["topics", "delete", "t"]],
    ids=" ".join,
)
def test_nobody_there_is_code_3_and_says_what_to_do(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([*arguments, "-b", NOBODY]) == Exit.CANNOT_CONNECT
    told = capsys.readouterr().err
    assert NOBODY in told
    assert "barnabas start" in told


def test_the_bootstrap_address_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BARNABAS_BOOTSTRAP", NOBODY)
    assert main.run(["topics", "list"]) == Exit.CANNOT_CONNECT
    assert NOBODY in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CannotConnect("x"), Exit.CANNOT_CONNECT),
        (RequestTimedOut("x"), Exit.TIMED_OUT),
        (DeliveryFailed("x", maybe_written=True), Exit.TIMED_OUT),
        (ClientError("x"), Exit.FAILED),
        (KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION), Exit.NOT_FOUND),
        (KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, "there."), Exit.FAILED),
        (KafkaError(ErrorCode.REQUEST_TIMED_OUT), Exit.TIMED_OUT),
        (Failure("x", Exit.DAMAGED), Exit.DAMAGED),
    ],
)
def test_errors_have_their_codes(error: Exception, code: Exit) -> None:
    failure = explain.explain(error)
    assert failure is not None
    assert failure.code is code
    assert failure.message.endswith(".") or failure is error


def test_a_bug_of_ours_is_not_explained_away() -> None:
    assert explain.explain(KeyError("x")) is None


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["version", "-o", "json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["version"] == __version__
    assert main.run(["version"]) == Exit.OK
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["zsh", "fish", "bash"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["completion", shell]) == Exit.OK
    assert "_BARNABAS_COMPLETE" in capsys.readouterr().out


def imported_by(*arguments: str) -> set[str]:
    """Top-level and barnabas packages that a command line imports before it does its work."""
    program = (
        "import sys; from barnabas.cli.main import run; run(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


def test_start_does_not_pay_for_what_it_does_not_need() -> None:
    modules = imported_by("start", "--help")
    assert "barnabas.cli.commands.start" in modules
    assert not modules & {"rich", "yaml", "barnabas.client", "cramjam", "uvloop"}


def test_a_table_for_programs_does_not_import_rich() -> None:
    assert "rich" not in imported_by("version")


@pytest.mark.parametrize(
    ("properties", "complaint"),
    [
        ("process.roles=broker", "process.roles"),
        ("authorizer.class.name=x.Y", "authorization is not built yet"),
        ("num.partitions=none", "num.partitions"),
        ("a=\\u12", "\\u"),
    ],
)
def test_a_node_that_cannot_start_says_why(
    properties: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "server.properties"
    base = "node.id=1\nprocess.roles=broker,controller\ncontroller.listener.names=CONTROLLER\n"
    config.write_text(base + properties)
    assert main.run(["start", "--config", str(config)]) == Exit.CANNOT_START
    assert complaint in capsys.readouterr().err
