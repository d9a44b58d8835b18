"""`make bench`: a node of ours and a node of Apache Kafka in one run, in alternating rounds.

Both nodes run all the time; in each round one of them, then the other, does the row's work on a new
topic; the order changes from round to round. One round to warm up is not counted. The table has the
medians. About half an hour.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks import first_events, loaders
from benchmarks.groups import load_offsets
from benchmarks.report import Line, write_report
from benchmarks.rows import SMALL, Figure, Row, produce_events, rows
from benchmarks.targets import PAGE_CACHE, Target, open_node
from tests.interop.kafka import ToolError, answers

OURS, THEIRS = "barnabas", "kafka"
PROMPT = {
    "group.initial.rebalance.delay.ms": "0",
    "group.consumer.assignment.interval.ms": "0",
}
"""A group does not wait for members that may come: nothing is measured there but the wait."""
IDLE_SECONDS = 10.0
STARTS = 5
MEGABYTE = 1e6
VALIDATED = Figure("validation=full: produce 100 B", "events/s", 0)
STARTED = Figure("start to first answer", "s", 0.25, smaller_is_better=True)
IDLE = Figure("resident memory, idle", "MB", 50, smaller_is_better=True)
LOADED = Figure("resident memory after the load", "MB", 130, smaller_is_better=True)

OFFSETS_LOADED = Figure(
    "start with 1,000,000 committed offsets, until all are there", "s", 10, smaller_is_better=True
)
OFFSET_SIZE = Figure("resident memory for each committed offset", "B", 0, smaller_is_better=True)
OFFSET_GROUPS = OFFSET_PARTITIONS = 1_000

Samples = dict[str, list[tuple[float, ...]]]


def say(text: str) -> None:
    """Progress, one line at a time."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds per row (default 5)")
    parser.add_argument("--scale", type=float, default=1.0, help="stretch the work of each row")
    parser.add_argument("--only", default="", help="only rows whose name has this text; no report")
    parser.add_argument("--without-kafka", action="store_true", help="ours alone; no report")
    return parser.parse_args()


def measure_row(row: Row, targets: Mapping[str, Target], rounds: int) -> Samples:
    """Alternate between the targets; a row that a node cannot do is reported and left empty."""
    samples: Samples = {kind: [] for kind in targets}
    for number in range(rounds + 1):
        order = list(targets) if number % 2 == 0 else list(targets)[::-1]
        for kind in order:
            try:
                values = row.measure(targets[kind])
            except ToolError as failure:
                say(f"  {kind}: {failure}")
                continue
            if number > 0:  # the first round is to warm up
                samples[kind].append(values)
    return samples


def lines_of(row: Row, samples: Samples) -> list[Line]:
    """The medians of a row, figure by figure."""
    lines = []
    for at, figure in enumerate(row.figures):
        medians = {
            kind: statistics.median(values[at] for values in taken)
            for kind, taken in samples.items()
            if taken
        }
        floor = next((value for kind, value in medians.items() if "floor" in kind), None)
        lines.append(Line(figure, mode_of(row), medians.get(THEIRS), medians.get(OURS), floor))
    for line in lines:
        say(f"  {line.figure.title}: {line.summary()}")
    return lines


def mode_of(row: Row) -> str:
    """The mode of acknowledgement that a row's name begins with."""
    return row.name.split(":")[0]


@contextlib.contextmanager
def running(kind: str, folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Target]:
    """A node that is stopped at the end."""
    target = open_node(kind, folder, settings)
    try:
        yield target
    finally:
        target.node.stop()


def start_times(kinds: list[str], folder: Path) -> Line:
    """Start a formatted, cleanly stopped, empty node a few times; seconds to the first answer."""
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(STARTS + 1):
        for kind in kinds:
            target_folder = folder / "starts"
            began = time.monotonic()
            with running(kind, target_folder):
                if number > 0:  # the first one formats the directory
                    taken[kind].append(time.monotonic() - began)
    medians = {kind: statistics.median(values) for kind, values in taken.items()}
    return Line(STARTED, "", medians.get(THEIRS), medians.get(OURS), None)


def memory(figure: Figure, targets: Mapping[str, Target]) -> Line:
    """Resident memory of the nodes now, in MB."""
    sizes = {kind: target.node.resident_bytes() / MEGABYTE for kind, target in targets.items()}
    return Line(figure, "", sizes.get(THEIRS), sizes.get(OURS), None)


def offsets(kinds: list[str], folder: Path, scale: float) -> list[Line]:
    """A node that has very many committed offsets, started anew."""
    found: dict[str, tuple[float, float]] = {}
    groups = max(10, int(OFFSET_GROUPS * min(scale, 1)))
    for kind in kinds:
        with running(kind, folder / "offsets", PROMPT) as target:
            found[kind] = load_offsets(target, groups, OFFSET_PARTITIONS)
    return [
        Line(
            figure,
            PAGE_CACHE,
            found[THEIRS][at] if THEIRS in found else None,
            found[OURS][at],
            None,
        )
        for at, figure in enumerate((OFFSETS_LOADED, OFFSET_SIZE))
    ]


def full_validation(folder: Path, scale: float, rounds: int) -> Line:
    """A node of ours that walks every record."""
    measure: Callable[[Target], tuple[float, ...]] = produce_events(
        int(4_000_000 * scale), SMALL, 1, PAGE_CACHE
    )
    with running(OURS, folder / "validating", {"barnabas.validation": "full"}) as target:
        values = [measure(target)[0] for _ in range(rounds)]
    return Line(VALIDATED, PAGE_CACHE, None, statistics.median(values), None)


def measure_all(options: argparse.Namespace, folder: Path) -> list[Line]:
    """Every row, then starts, memory and full validation."""
    kinds = [OURS] if options.without_kafka else [THEIRS, OURS]
    chosen = [row for row in rows(options.scale) if options.only in row.name]
    lines: list[Line] = []
    with contextlib.ExitStack() as stack:
        nodes = {kind: stack.enter_context(running(kind, folder, PROMPT)) for kind in kinds}
        floors = {
            kind: stack.enter_context(running(kind, folder))
            for kind in sorted({row.floor for row in chosen if row.floor})
        }
        for target in nodes.values():
            assert answers(target.node.port)
        time.sleep(IDLE_SECONDS)
        lines.append(memory(IDLE, nodes))
        for row in chosen:
            say(row.name)
            beside = {kind: floor for kind, floor in floors.items() if kind == row.floor}
            lines += lines_of(row, measure_row(row, {**nodes, **beside}, options.rounds))
        lines.append(memory(LOADED, nodes))
    if not options.only:
        say("many offsets, validation=full, starts")
        lines += offsets(kinds, folder, options.scale)
        lines.append(full_validation(folder, options.scale, options.rounds))
        lines.append(start_times(kinds, folder))
        say("first events")
        lines += first_events.measure(folder)
    return lines


def main() -> None:
    """Measure, print, and write the report unless only a part was asked for."""
    options = arguments()
    loaders.build()
    with tempfile.TemporaryDirectory(prefix="barnabas-bench-") as folder:
        lines = measure_all(options, Path(folder))
    for line in lines:
        print(f"{line.mode:>10}  {line.figure.title:<68} {line.summary()}")
    if not (options.only or options.without_kafka):
        write_report(lines, options.rounds)


if __name__ == "__main__":
    main()
