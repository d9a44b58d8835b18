"""While a simulated loop runs, the usual ways to the real world are closed.

Not a sandbox: it catches what slips in by mistake. Imports still work, and so do files and
threads that were opened before. Other threads of the process (a test broker at work) see the real
world all the time.
"""

from __future__ import annotations

import builtins
import io
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from barnabas.testing.sim.refusals import refusal

EPOCH_US = 1_700_000_000_000_000
"""Wall-clock time at which every simulated world begins (14 November 2023)."""

_FILES: tuple[tuple[Any, str], ...] = ((builtins, "open"), (io, "open"), (os, "open"))
"""Refused but to an import: pytest reads the modules that it rewrites by `open`."""

_REFUSED: tuple[tuple[Any, str], ...] = (
    (os, "urandom"),
    (socket.socket, "__init__"),
    (subprocess.Popen, "__init__"),
    (threading.Thread, "start"),
    (time, "sleep"),
    (random.SystemRandom, "random"),
    (random.SystemRandom, "getrandbits"),
    *(
        (random, name)
        for name in ("random", "randrange", "randint", "choice", "shuffle", "sample", "uniform")
    ),
)


@contextmanager
def no_outside(now_us: Callable[[], int]) -> Iterator[None]:
    """Refuse the outside and let `time` tell virtual time (logging asks for it) for a while."""
    replaced: list[tuple[Any, str, Any]] = [
        (owner, name, refusal(f"{owner.__name__}.{name}")) for owner, name in _REFUSED
    ]
    replaced += [
        (owner, name, _but_to_imports(getattr(owner, name), f"{owner.__name__}.{name}"))
        for owner, name in _FILES
    ]
    replaced += [
        (time, "time", lambda: (EPOCH_US + now_us()) / 1e6),
        (time, "time_ns", lambda: (EPOCH_US + now_us()) * 1000),
        (time, "monotonic", lambda: now_us() / 1e6),
        (time, "monotonic_ns", lambda: now_us() * 1000),
        (time, "perf_counter", lambda: now_us() / 1e6),
        (time, "perf_counter_ns", lambda: now_us() * 1000),
    ]
    saved = [
        (owner, name, owner.__dict__.get(name), name in owner.__dict__)
        for owner, name, _ in replaced
    ]
    me = threading.get_ident()
    try:
        for owner, name, value in replaced:
            setattr(owner, name, _on_thread(me, value, getattr(owner, name)))
        yield
    finally:
        for owner, name, value, own in saved:
            if own:
                setattr(owner, name, value)
            else:
                delattr(owner, name)


def _on_thread(
    thread: int, here: Callable[..., Any], elsewhere: Callable[..., Any]
) -> Callable[..., Any]:
    current = threading.get_ident

    def call(*arguments: Any, **options: Any) -> Any:
        return (here if current() == thread else elsewhere)(*arguments, **options)

    return call


def _but_to_imports(real: Callable[..., Any], name: str) -> Callable[..., Any]:
    refuse = refusal(name)

    def call(*arguments: Any, **options: Any) -> Any:
        return (real if _importing() else refuse)(*arguments, **options)

    return call


def _importing() -> bool:
    """Whether an import is under way further up the stack."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
