"""Writes the tables of `docs/configuration.md` from the definitions and what the node supports.

    python tools/generate_config_docs.py [--check]

Everything after the marker line is generated; what stands before it is written by hand.
`--check` writes nothing and fails when the file is not up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from barnabas.config import definitions, descriptions, own, topics
from barnabas.config.keys import ConfigKey
from barnabas.config.support import Support, support_of, topic_support_of

TARGET = Path(__file__).resolve().parent.parent / "docs/configuration.md"
MARKER = "<!-- Generated from here on by tools/generate_config_docs.py -->"

CHANGES = {
    "R": "at a start",
    "C": "any time",
    "B": "any time, one broker",
    "L": "any time, with a listener's prefix",
    "D": "any time, never in a file",
}


def limits(key: ConfigKey) -> str:
    """What a value must satisfy, in a few characters."""
    if key.valid is None:
        return ""
    match key.valid:
        case ("range", lowest, None):
            return f"≥ {lowest}"
        case ("range", lowest, highest):
            return f"{lowest} to {highest}"
        case ("in" | "in-any-case", tuple(entries)):
            return ", ".join(map(str, entries))
        case ("list", empty, _, tuple(entries)):
            allowed = ", ".join(map(str, entries))
            return allowed or ("" if empty else "not empty")
        case ("gzip-level",):
            return "1 to 9, or -1"
        case ("throttled-replicas",):
            return "partition:broker,… or *"
        case ("voters",):
            return "id@host:port,…"
        case ("bootstrap-servers",):
            return "host:port,…"
        case ("listen-address",):
            return "host:port, :port, or empty"
        case ("offset-reset",):
            return "latest, earliest, by_duration:…"
        case _:
            return str(key.valid[0])


def shown_default(key: ConfigKey) -> str:
    """The default as it would stand in a file."""
    if key.required:
        return "(required)"
    if key.default is None:
        return "(unset)"
    return f"`{key.default}`" if key.default else "(empty)"


def shown_support(support: Support, meaning: str | None) -> str:
    """What the node does with a config: what it means when it works, else why it does not."""
    said = meaning if support.status == "works" else support.note
    return f"{support.status}: {said}" if said else support.status


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A table in Markdown."""
    lines = [list(head)]
    lines.append(["---"] * len(lines[0]))
    lines.extend([cell.replace("|", "\\|") for cell in row] for row in rows)
    return [f"| {' | '.join(line)} |" for line in lines] + [""]


def broker_rows() -> Iterable[tuple[str, ...]]:
    for key in [*own.BROKER.values(), *definitions.BROKER.values()]:
        cells = (key.type, shown_default(key), limits(key), CHANGES[key.dynamic])
        yield (
            f"`{key.name}`",
            *cells,
            shown_support(support_of(key.name), descriptions.BROKER.get(key.name)),
        )


def topic_rows() -> Iterable[tuple[str, ...]]:
    names = [*own.TOPIC, *definitions.TOPIC]
    for key in filter(None, map(topics.key_of, names)):
        synonyms = definitions.TOPIC_SYNONYMS.get(key.name, ())
        behind = f"`{synonyms[0][0]}`" if synonyms else ""
        if key.name == own.ACK_MODE:
            behind = f"`{own.ACK_MODE}`"
        cells = (key.type, shown_default(key), limits(key), behind)
        yield (
            f"`{key.name}`",
            *cells,
            shown_support(topic_support_of(key.name), descriptions.TOPIC.get(key.name)),
        )


def group_rows() -> Iterable[tuple[str, ...]]:
    for key in definitions.GROUP.values():
        behind = definitions.GROUP_SYNONYMS.get(key.name)
        shown = f"`{behind}`" if behind else ""
        yield f"`{key.name}`", key.type, shown_default(key), limits(key), shown


def client_metrics_rows() -> Iterable[tuple[str, ...]]:
    for key in definitions.CLIENT_METRICS.values():
        yield f"`{key.name}`", key.type, shown_default(key), limits(key)


def generated() -> str:
    """The generated half of the page."""
    broker_head = ("Name", "Type", "Default", "Valid", "May change", "Here")
    topic_head = ("Name", "Type", "Default", "Valid", "Set for all topics by", "Here")
    group_head = ("Name", "Type", "Default", "Valid", "Set for all groups by")
    lines = [
        MARKER,
        "",
        "## The node",
        "",
        *table(broker_head, broker_rows()),
        "## Topics",
        "",
        *table(topic_head, topic_rows()),
        "## Groups",
        "",
        "Stored, checked and described; they concern groups of the protocols consumer, share and",
        "streams, which are not built yet. Classic groups have none.",
        "",
        *table(group_head, group_rows()),
        "## Subscriptions to clients' metrics",
        "",
        "Stored, checked and described; metrics of clients are not collected yet.",
        "",
        *table(("Name", "Type", "Default", "Valid"), client_metrics_rows()),
    ]
    return "\n".join(lines)


def main() -> None:
    before = TARGET.read_text()
    head, marker, _ = before.partition(MARKER)
    if not marker:
        raise SystemExit(f"{TARGET} has no line {MARKER}")
    page = head + generated()
    if sys.argv[1:] == ["--check"]:
        if page != before:
            raise SystemExit(f"{TARGET} is not up to date; run this tool without --check")
    elif sys.argv[1:]:
        raise SystemExit(__doc__)
    else:
        TARGET.write_text(page)


if __name__ == "__main__":
    main()
