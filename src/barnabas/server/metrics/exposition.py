"""Prometheus' text format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from barnabas.instruments import Times, quantile_ns

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: A piece of a scrape: so many bytes, or so many steps (lines, or marks of work done) without.
PIECE_BYTES: Final = 16 * 1024
PIECE_STEPS: Final = 200
#: The percentiles of Kafka's histograms, as the exporter's rules label them.
QUANTILES: Final = (
    ("0.50", 0.5),
    ("0.75", 0.75),
    ("0.95", 0.95),
    ("0.98", 0.98),
    ("0.99", 0.99),
    ("0.999", 0.999),
)
#: Nanoseconds of the units that names end in.
MS: Final = 1_000_000
SECONDS: Final = 1_000_000_000

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def text(value: str) -> str:
    """A label's value, quoted."""
    return f'"{value.translate(_ESCAPES)}"'


def head(name: str, kind: str, about: str) -> str:
    """The lines in front of a family: `kind` is counter, gauge or summary."""
    return f"# HELP {name} {about}\n# TYPE {name} {kind}\n"


def gauge(name: str, about: str, value: float) -> str:
    """A family of one gauge."""
    return f"{head(name, 'gauge', about)}{name} {value}\n"


def counter(name: str, about: str, value: float) -> str:
    """A family of one counter."""
    return f"{head(name, 'counter', about)}{name} {value}\n"


def summary(
    name: str, labels: str, times: Times, now_ms: int, unit_ns: int, *, of: Times | None = None
) -> str:
    """Quantiles of the last minute or two, sum and count. `labels` end in a comma, or are empty.

    `of`: the durations that these are a part of; where a part was never timed it took no time.
    """
    recent = times.recent(now_ms)
    count = times.count
    if of is not None:
        recent[0] += sum(of.recent(now_ms)) - sum(recent)
        count = of.count
    lines = [
        f'{name}{{{labels}quantile="{label}"}} {quantile_ns(recent, share) / unit_ns:.6g}\n'
        for label, share in QUANTILES
    ]
    behind = f"{{{labels.removesuffix(',')}}}" if labels else ""
    lines.append(f"{name}_sum{behind} {times.total_ns / unit_ns:.9g}\n")
    lines.append(f"{name}_count{behind} {count}\n")
    return "".join(lines)


def pieces(lines: Iterable[str]) -> Iterator[bytes]:
    """Lines as pieces that each cost the loop less than a millisecond; "" marks work without one."""
    found: list[str] = []
    size = steps = 0
    for line in lines:
        found.append(line)
        size += len(line)
        steps += 1
        if size >= PIECE_BYTES or steps >= PIECE_STEPS:
            yield "".join(found).encode()
            found.clear()
            size = steps = 0
    if found:
        yield "".join(found).encode()
