"""`barnabas log`."""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterable, Iterator

import click

from barnabas.cli.commands.log_dirs import dirs
from barnabas.cli.commands.log_info import info
from barnabas.cli.dump.files import UnknownFile, dump_file
from barnabas.cli.dump.items import Damage, Item
from barnabas.cli.exits import Exit, Failure
from barnabas.cli.options import examples
from barnabas.cli.output import note


@click.group("log")
def command() -> None:
    """See where data is stored, and look into the files there. Read only."""


command.add_command(dirs)
command.add_command(info)


@command.command(
    epilog=examples(
        "barnabas log dump data/orders-0/00000000000000000000.log",
        "barnabas log dump --records -o json data/orders-0/*.log | jq .value",
        "barnabas log dump data/__cluster_metadata-0/00000000000000000000.log",
        "barnabas log dump --verify data/orders-0/",
        "barnabas log dump data/recovery-point-offset-checkpoint",
    )
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True), metavar="FILE...")
@click.option("--records/--no-records", default=None, help="Show records. Default: metadata only.")
@click.option("--verify", is_flag=True, help="Check everything; print only the first bad byte.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="table: a line per item. json: an object per line.",
)
def dump(paths: tuple[str, ...], records: bool | None, verify: bool, output: str) -> None:
    """Print what is in FILE...: segments (batches, records), offset, time and transaction indexes,
    producer snapshots, checkpoints, metadata logs and snapshots, meta.properties, quorum-state.

    Safe beside a running node. A directory stands for its files. --verify checks frames, CRCs,
    offsets and epochs, every record, and indexes against the log beside them; the exit code is 6
    when something is wrong.
    """
    damaged = False
    for path in _files(paths):
        try:
            good = _verify(path, output) if verify else _print(path, records, output)
        except UnknownFile:
            if path in paths:
                raise Failure(
                    f"{path}: no file of a data directory has such a name.", Exit.USAGE
                ) from None
            continue
        damaged = damaged or not good
    if damaged:
        raise Failure("At least one file is damaged.", Exit.DAMAGED)


def _files(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        if os.path.isdir(path):
            yield from sorted(entry.path for entry in os.scandir(path) if entry.is_file())
        else:
            yield path


def _open(path: str) -> memoryview:
    """A file as memory that is paged in when looked at."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise Failure(f"Cannot read {path}: {error.strerror}.", Exit.NOT_FOUND) from None


def _items(path: str, records: bool | None, verify: bool) -> Iterator[Item]:
    directory, name = os.path.split(os.path.abspath(path))

    def beside(other: str) -> memoryview | None:
        place = os.path.join(directory, other)
        return _open(place) if os.path.exists(place) else None

    return dump_file(
        os.path.basename(directory), name, _open(path), beside, records=records, verify=verify
    )


def _print(path: str, records: bool | None, output: str) -> bool:
    items = _items(path, records, verify=False)
    if output == "table":
        click.echo(click.style(path, bold=True))
    try:
        for item in items:
            click.echo(_line(path, item, output))
    except Damage as damage:
        note(f"{path}: {damage}")
        return False
    return True


def _line(path: str, item: Item, output: str) -> str:
    if output == "json":
        return json.dumps({"path": path} | item, ensure_ascii=False)
    if output == "yaml":
        import yaml  # slow to import, and rarely wanted

        text: str = yaml.safe_dump({"path": path} | item, sort_keys=False, allow_unicode=True)
        return "---\n" + text.rstrip("\n")
    rest = " ".join(
        f"{name}={_shown(value)}"
        for name, value in item.items()
        if name not in ("kind", "position")
    )
    indent = "  " if item["kind"] in ("record", "control", "metadata") else ""
    return f"{item['position']:>12}  {indent}{item['kind']}  {rest}"


def _shown(value: object) -> str:
    if isinstance(value, str) and value and value.isprintable() and " " not in value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _verify(path: str, output: str) -> bool:
    count = 0
    damage: Damage | None = None
    try:
        for _item in _items(path, records=False, verify=True):
            count += 1
    except Damage as found:
        damage = found
    if output == "table":
        told = f"{count} items, all good" if damage is None else f"first bad byte at {damage}"
        click.echo(f"{path}: {told}")
        return damage is None
    result: Item = {"path": path, "good": damage is None, "items": count}
    if damage is not None:
        result |= {"bad_position": damage.position, "reason": damage.reason}
    click.echo(json.dumps(result) if output == "json" else f"---\n{json.dumps(result)}")
    return damage is None
