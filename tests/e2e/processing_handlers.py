"""Handlers for processes, which import them by name; and a program that is killed."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from barnabas import Consumer
from barnabas.client.consumer.records import Event


def burn(event: Event) -> None:
    """Take CPU, and tell who did it: value is `PATH NUMBER`."""
    path, number = (event.value or b"").decode().split()
    total = sum(each * each for each in range(20_000))
    note(path, f"{os.getpid()} {number} {total > 0}")


def fail(event: Event) -> None:
    """Say so across the process' border."""
    raise ValueError(f"no {(event.value or b'').decode()}")


def die(event: Event) -> None:
    """The process ends for value `die`."""
    if event.value == b"die":
        os._exit(3)


def note(path: str, line: str) -> None:
    """Append a line with one write, which outlives a kill."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode() + b"\n")
    os.close(file)


async def work(address: str, topic: str, path: str, concurrency: int) -> None:
    """Process until killed; each record's begin and end is a line: B or E, offset, key."""
    async with Consumer(
        topic,
        group_id=topic,
        bootstrap_servers=address,
        auto_offset_reset="earliest",
        session_timeout_ms=6_000,
        group_instance_id="the only one",
    ) as consumer:

        async def handle(event: Event) -> None:
            key = (event.key or b"").decode()
            note(path, f"B {event.offset} {key}")
            await asyncio.sleep(0.002 * (1 + event.offset % 7))
            note(path, f"E {event.offset} {key}")

        await consumer.process(handle, concurrency=concurrency)


if __name__ == "__main__":
    where, name, log, number = sys.argv[1:]
    Path(log).touch()
    asyncio.run(work(where, name, log, int(number)))
