"""`barnabas dlq redrive`: dead letters go back to where they came from."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import click

from barnabas.cli.dead_letters import Filter, Letter, Shelf
from barnabas.cli.exits import Exit, Failure
from barnabas.cli.progress import ProgressBar
from barnabas.client.cluster import Cluster
from barnabas.client.config import ProducerConfig
from barnabas.client.processing.dead_letters import redriven_headers
from barnabas.client.sender import Sender

ROUND = 500
"""After so many it is noted that they were sent back; a crash repeats no more."""
_MAX_RECORD_BYTES = 100 * 1024 * 1024
Editor = Callable[[bytes | None], bytes | None]


class Plan(NamedTuple):
    """What the command line asks for."""

    filters: Sequence[Filter]
    to: str | None
    """Another topic than where it came from."""
    editor: Editor | None
    rate: float | None
    """Records per second at most."""
    limit: int | None
    again: bool
    """Also what was sent back already."""
    execute: bool


class Move(NamedTuple):
    """One letter, and where it goes; None: it does not tell where it came from."""

    letter: Letter
    to: str | None

    def as_json(self) -> dict[str, Any]:
        """For `-o json`."""
        reason = self.letter.reason
        return {
            "partition": self.letter.partition,
            "offset": self.letter.record.offset,
            "to": self.to,
            "exception": reason.exception,
            "message": reason.message,
        }


@dataclass(slots=True)
class Outcome:
    """What became of it."""

    moves: list[Move]
    sent: int = 0
    edited: int = 0
    homeless: int = 0


async def redrive(cluster: Cluster, shelf: Shelf, plan: Plan) -> Outcome:
    """Send the letters that pass the filters, or only tell which those are.

    Raises `KafkaError` and `ClientError`; what was acknowledged before is remembered as sent.
    """
    outcome = Outcome([])
    async for letter in shelf.letters(plan.filters, with_sent=plan.again):
        to = plan.to if plan.to is not None else letter.reason.topic
        outcome.homeless += to is None
        outcome.moves.append(Move(letter, to))
        if len(outcome.moves) == plan.limit:
            break
    if plan.execute:
        moves = [move for move in outcome.moves if move.to is not None]
        config = ProducerConfig(max_request_size=_MAX_RECORD_BYTES)
        async with Sender(cluster, config) as sender:
            clock = cluster.ports.clock
            began = clock.monotonic_ms()
            with ProgressBar("sent back", len(moves), clock, as_bytes=False, hidden=False) as bar:
                size = ROUND if plan.rate is None else max(1, min(ROUND, int(plan.rate)))
                if plan.editor is not None:
                    size = 1  # what was edited is sent before the next is
                for first in range(0, len(moves), size):
                    part = moves[first : first + size]
                    if plan.rate is not None:
                        due = began + int(first * 1000 / plan.rate)
                        await clock.sleep(max(due - clock.monotonic_ms(), 0))
                    await _send(sender, shelf, part, plan, outcome)
                    bar.advance(len(part))
    return outcome


async def _send(
    sender: Sender, shelf: Shelf, moves: Sequence[Move], plan: Plan, outcome: Outcome
) -> None:
    """Send these, in order, and remember those that were acknowledged."""
    under_way = []
    for move in moves:
        record = move.letter.record
        value = record.value if plan.editor is None else plan.editor(record.value)
        outcome.edited += value != record.value
        assert move.to is not None
        delivery = await sender.send(
            move.to, value, key=record.key, headers=redriven_headers(record.headers)
        )
        under_way.append((move, delivery))
    done: list[Letter] = []
    try:
        for move, delivery in under_way:
            await delivery
            done.append(move.letter)
    finally:
        outcome.sent += len(done)
        await shelf.remember(done)


def by_hand(value: bytes | None) -> bytes | None:
    """Let a person edit a value in $EDITOR. Raises `Failure` for one that is no text."""
    try:
        text = (value or b"").decode()
    except UnicodeDecodeError:
        raise Failure("The value is no text; use --edit-with.", Exit.USAGE) from None
    edited = click.edit(text)
    return value if edited is None else edited.encode()


def by_command(command: str) -> Editor:
    """Let a shell command edit values: from stdin to stdout."""

    def edit(value: bytes | None) -> bytes | None:
        done = subprocess.run(command, shell=True, input=value or b"", stdout=subprocess.PIPE)
        if done.returncode:
            raise Failure(f"{command!r} ended with {done.returncode}; nothing more was sent.")
        return done.stdout

    return edit
