"""Tables for people, JSON and YAML for programs."""

from __future__ import annotations

import json

import pytest
import yaml

from barnabas.cli.output import emit, table

DATA = [{"name": "é", "n": 1, "none": None, "list": [1, 2]}]


def test_programs_get_back_what_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    emit(DATA, "json")
    assert json.loads(capsys.readouterr().out) == DATA
    emit(DATA, "yaml")
    assert yaml.safe_load(capsys.readouterr().out) == DATA


def test_a_table_lines_up(capsys: pytest.CaptureFixture[str]) -> None:
    table(["NAME", "N"], [("a", 1), ("longer", None), ("b", 1000)], right=["N"])
    assert capsys.readouterr().out.splitlines() == [
        "NAME       N",
        "a          1",
        "longer",
        "b       1000",
    ]


def test_a_table_without_rows_has_its_titles(capsys: pytest.CaptureFixture[str]) -> None:
    table(["NAME", "N"], [])
    assert capsys.readouterr().out == "NAME  N\n"


def test_on_a_terminal_cells_are_data_not_markup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    table(["NAME"], [("[bold]x[/bold]",)])
    assert "[bold]x[/bold]" in capsys.readouterr().out
