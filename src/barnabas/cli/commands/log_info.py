"""`barnabas log info`."""

from __future__ import annotations

import os

import click

from barnabas.cli.exits import Exit
from barnabas.cli.node_config import DEFAULT_DATA
from barnabas.cli.options import examples, output_option
from barnabas.cli.output import emit, note, table
from barnabas.cli.properties_file import load_properties
from barnabas.config.broker import BrokerConfig
from barnabas.log.directory import MetaProperties, decode_meta
from barnabas.log.names import META_PROPERTIES
from barnabas.wire import uuids

Found = tuple[str, MetaProperties | None, str | None]
"""A directory, its meta.properties, and what is wrong with it."""


@click.command(
    "info",
    epilog=examples("barnabas log info", "barnabas log info --config server.properties -o json"),
)
@click.option("--config", type=click.Path(exists=True, dir_okay=False), help="A server.properties.")
@click.option("--data", type=click.Path(file_okay=False), help=f"Default: {DEFAULT_DATA}.")
@output_option
def info(config: str | None, data: str | None, output: str) -> int:
    """Show how the log directories of a node are formatted; exit code 1 when something is wrong."""
    node_id = None
    if config is not None and data is None:
        node = BrokerConfig.from_properties(load_properties(config))
        node_id = node.node_id
        paths = sorted({*node.log_dirs, node.metadata_log_dir})
    else:
        paths = [os.path.abspath(data or DEFAULT_DATA)]
    found = [_look(path) for path in paths]
    problems = [f"{path} {problem}" for path, _, problem in found if problem is not None]
    problems += _contradictions([meta for _, meta, _ in found if meta is not None], node_id)
    if output != "table":
        plain = [_plain(path, meta, problem) for path, meta, problem in found]
        emit({"directories": plain, "problems": problems}, output)
    else:
        table(
            ["DIRECTORY", "CLUSTER", "NODE", "ID"],
            [(path, *(("", "", "") if meta is None else _cells(meta))) for path, meta, _ in found],
        )
    for problem in problems:
        note(f"problem: {problem}")
    return Exit.FAILED if problems else Exit.OK


def _look(path: str) -> Found:
    if not os.path.exists(path):
        return path, None, "does not exist"
    if not os.path.isdir(path):
        return path, None, "is no directory"
    try:
        with open(os.path.join(path, META_PROPERTIES), "rb") as file:
            return path, decode_meta(file.read()), None
    except FileNotFoundError:
        return path, None, "is not formatted"
    except (OSError, ValueError) as error:
        return path, None, f"has a {META_PROPERTIES} that cannot be read: {error}"


def _contradictions(metas: list[MetaProperties], node_id: int | None) -> list[str]:
    problems = []
    if len({meta.cluster_id for meta in metas}) > 1:
        problems.append("the directories belong to different clusters")
    nodes = {meta.node_id for meta in metas} | (
        {node_id} if metas and node_id is not None else set()
    )
    if len(nodes) > 1:
        whose = (
            "the configuration and the directories" if node_id is not None else "the directories"
        )
        problems.append(f"{whose} name different nodes: {', '.join(map(str, sorted(nodes)))}")
    ids = [meta.directory_id for meta in metas if meta.directory_id is not None]
    if len(set(ids)) < len(ids):
        problems.append("two directories have the same id")
    return problems


def _cells(meta: MetaProperties) -> tuple[str, str, str]:
    return meta.cluster_id, str(meta.node_id), _id(meta) or ""


def _id(meta: MetaProperties) -> str | None:
    return None if meta.directory_id is None else uuids.to_text(meta.directory_id)


def _plain(path: str, meta: MetaProperties | None, problem: str | None) -> dict[str, object]:
    return {
        "path": path,
        "cluster_id": None if meta is None else meta.cluster_id,
        "node_id": None if meta is None else meta.node_id,
        "directory_id": None if meta is None else _id(meta),
        "problem": problem,
    }
