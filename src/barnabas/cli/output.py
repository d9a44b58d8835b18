"""Results on stdout: tables for people, JSON and YAML for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

Row = Sequence[object]


def emit(data: object, form: str) -> None:
    """Print plain data (dicts, lists, scalars) as "json" or "yaml"."""
    if form == "json":
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return
    import yaml  # slow to import, and rarely wanted

    click.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip("\n"))


def table(columns: Sequence[str], rows: Sequence[Row], *, right: Sequence[str] = ()) -> None:
    """Print rows under column titles; `right` names columns that are aligned to the right."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _rich_table(columns, cells, right)
        return
    widths = [
        max(len(title), *(len(row[i]) for row in cells)) if cells else len(title)
        for i, title in enumerate(columns)
    ]
    for line in [list(columns), *cells]:
        padded = [
            cell.rjust(width) if title in right else cell.ljust(width)
            for cell, width, title in zip(line, widths, columns, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def _rich_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for title in columns:
        grid.add_column(title, justify="right" if title in right else "left", overflow="fold")
    for row in rows:
        # Cells are data: no markup, no highlighting.
        grid.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(grid)


def note(text: str) -> None:
    """One line for the person in front of it, on stderr, so that stdout stays clean for data."""
    click.echo(text, err=True)
