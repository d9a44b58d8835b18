"""Run one target under atheris: `python -m tests.fuzz TARGET CORPUS [EVERY] [libFuzzer's options]`.

CORPUS is a directory, which gets the seeds (each EVERY-th), or a file with one input.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["barnabas"]):
    from barnabas.wire import codec, reading
    from tests.fuzz.targets import TARGETS


def instrument_readers() -> None:
    """Readers are compiled when they are needed: they are instrumented then."""
    compile_reader = reading.compile_reader

    def instrumented(cls: Any, version: int) -> Callable[..., tuple[Any, int]]:
        found: Callable[..., tuple[Any, int]] = atheris.instrument_func(
            compile_reader(cls, version)
        )
        return found

    vars(codec)["compile_reader"] = instrumented


def main() -> None:
    """Write the seeds, then fuzz; ends the process."""
    name, corpus, *options = sys.argv[1:]
    every = int(options.pop(0)) if options and options[0].isdecimal() else 1
    target = TARGETS[name]
    directory = Path(corpus)
    if directory.is_dir():
        for number, seed in islice(enumerate(target.seeds()), 0, None, every):
            (directory / f"seed-{number:04d}").write_bytes(seed)
    instrument_readers()
    atheris.Setup([sys.argv[0], *options, corpus], target.run)
    atheris.Fuzz()


main()
