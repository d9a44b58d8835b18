"""Writes benchmarks/RESULTS.md and the plot beside it."""

from __future__ import annotations

import datetime
import math
import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import barnabas
from benchmarks.rows import Figure
from benchmarks.targets import commit

HERE = Path(__file__).parent
ABSOLUTE_UNITS = ("s", "MB", "× quiet")
BAR_HEIGHT, LEFT, WIDTH, TOP = 22, 430, 420, 44
GOOD, BAD, PLAIN = "#2f7d4f", "#b3541e", "#7a8794"


@dataclass(frozen=True)
class Line:
    """One figure with its medians; `None` where nothing was measured."""

    figure: Figure
    mode: str
    kafka: float | None
    ours: float | None
    floor: float | None

    @property
    def ratio(self) -> float | None:
        """Ours ÷ Kafka's."""
        return self.ours / self.kafka if self.ours is not None and self.kafka else None

    @property
    def absolute(self) -> bool:
        """Whether the goal is a value of ours instead of a ratio."""
        return self.figure.smaller_is_better and self.figure.unit in ABSOLUTE_UNITS

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without a goal or a figure."""
        value = self.ours if self.absolute else self.ratio
        if value is None or not self.figure.goal:
            return None
        smaller = self.figure.smaller_is_better
        return value <= self.figure.goal if smaller else value >= self.figure.goal

    def goal(self) -> str:
        """The goal as the table shows it."""
        if not self.figure.goal:
            return "told"
        sign = "≤" if self.figure.smaller_is_better else "≥"
        unit = f" {self.figure.unit}" if self.absolute else "×"
        return f"{sign} {self.figure.goal:g}{unit}"

    def summary(self) -> str:
        """One line for the terminal."""
        parts = [
            f"Kafka {number(self.kafka)}",
            f"Barnabas {number(self.ours)} {self.figure.unit}",
            f"ratio {number(self.ratio)} (goal {self.goal()})",
        ]
        if self.floor is not None:
            parts.append(f"floor {number(self.floor)}")
        return ", ".join(parts)


def number(value: float | None) -> str:
    """Three significant digits, thousands apart."""
    if value is None:
        return "–"
    if value >= 1000:
        digits = 3 - len(str(int(value)))
        return f"{round(value, digits):,.0f}"
    return f"{value:.3g}"


def machine() -> str:
    """What it ran on."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return (
        f"{os.cpu_count()} cores ({model}), {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, uvloop {version('uvloop')}"
    )


def table(lines: list[Line]) -> str:
    """The Markdown table."""
    rows = [
        "| mode | measure | unit | Kafka 4.3.1 | Barnabas | ratio | goal | reached | floor |",
        "|---|---|---|--:|--:|--:|---|---|--:|",
    ]
    words = {True: "yes", False: "no", None: ""}
    rows += [
        f"| {line.mode} | {line.figure.title} | {line.figure.unit} | {number(line.kafka)} "
        f"| {number(line.ours)} | {number(line.ratio)} | {line.goal()} | {words[line.reached]} "
        f"| {number(line.floor) if line.floor is not None else ''} |"
        for line in lines
    ]
    return "\n".join(rows)


def advantage(line: Line) -> float | None:
    """How many times better ours is: above 1 is better, whatever the unit."""
    if not line.ratio:
        return None
    return 1 / line.ratio if line.figure.smaller_is_better else line.ratio


def plot(lines: list[Line]) -> str:
    """A bar per figure on a logarithmic scale, as SVG."""
    drawn = [(line, value) for line in lines if (value := advantage(line)) is not None]
    limit = max((abs(math.log2(value)) for _, value in drawn), default=1.0)
    limit = max(1.0, math.ceil(limit))
    height = TOP + BAR_HEIGHT * len(drawn) + 30
    middle = LEFT + WIDTH / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 80}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<text x="12" y="22" font-size="15">Barnabas beside Apache Kafka 4.3.1 '
        "(bars to the right: Barnabas is better)</text>",
    ]
    for at, (line, value) in enumerate(drawn):
        y = TOP + at * BAR_HEIGHT
        length = math.log2(value) / limit * WIDTH / 2
        colour = {True: GOOD, False: BAD, None: PLAIN}[line.reached]
        title = f"{line.mode}: {line.figure.title}" if line.mode else line.figure.title
        title = title.replace("&", "&amp;")
        parts += [
            f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end" font-size="11">{title}</text>',
            f'<rect x="{min(middle, middle + length):.1f}" y="{y + 3}" '
            f'width="{abs(length):.1f}" height="{BAR_HEIGHT - 6}" fill="{colour}"/>',
            f'<text x="{LEFT + WIDTH + 8}" y="{y + 15}">{value:.2g}×</text>',
        ]
    bottom = TOP + BAR_HEIGHT * len(drawn)
    parts += [
        f'<line x1="{middle}" y1="{TOP - 6}" x2="{middle}" y2="{bottom}" stroke="#333333"/>',
        f'<text x="{middle}" y="{bottom + 18}" text-anchor="middle">as Kafka</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def write_report(lines: list[Line], rounds: int) -> None:
    """Write RESULTS.md and results.svg."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    (HERE / "results.svg").write_text(plot(lines), encoding="utf-8")
    (HERE / "RESULTS.md").write_text(
        f"""# Figures

`make bench` wrote this page on {today}: Barnabas {barnabas.__version__} ({commit()}) beside a real
Apache Kafka 4.3.1 with its default settings and a heap of 1 GB, single nodes both, in one run on
{machine()}; the clients ran on the same cores.
Medians of {rounds} alternating rounds, each on a new topic. Events of 100 B unless said.

- *page cache*: Kafka's default; ours with `barnabas.ack.mode=page-cache`.
- *synced*: Kafka with `flush.messages=1`; ours with `barnabas.ack.mode=synced`, the default.
- *floor*: a bare uvloop server that answers the same bytes without doing anything (when synced: it
  appends and syncs each round of requests).
- The wire loader sends requests that were encoded beforehand, so that the client costs next to
  nothing; librdkafka is driven through its C API.

{table(lines)}

![ratios](results.svg)
""",
        encoding="utf-8",
    )
