"""What becomes of a record whose handler has failed. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from barnabas.client.backoff import backoff_ms


class Reject(Exception):
    """Raised by a handler: this record will never work, don't try again."""


class RetryAfter(Exception):
    """Raised by a handler: try this record again after `delay_ms`, if it has attempts left."""

    def __init__(self, delay_ms: int, message: str = "") -> None:
        super().__init__(delay_ms, message)
        self.delay_ms = delay_ms

    def __str__(self) -> str:
        return str(self.args[1]) or f"again after {self.delay_ms} ms"


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a record is tried, and how long is waited between. Times are ms.

    A series of `attempts`, with pauses that begin at `backoff_ms` and double up to
    `backoff_max_ms`, a fifth more or less; then, after each of `delays_ms`, another such series.
    While a record waits it takes no place of `concurrency`; only its key (or its partition, with
    order="partition") waits with it. `only`: other exceptions are not tried again.
    """

    attempts: int = 5
    backoff_ms: int = 200
    backoff_max_ms: int = 10_000
    delays_ms: tuple[int, ...] = ()
    only: tuple[type[Exception], ...] = (Exception,)

    def __post_init__(self) -> None:
        """Raises `ValueError`."""
        if self.attempts < 1:
            raise ValueError("a record is tried at least once: attempts must be 1 or more")
        if min((self.backoff_ms, self.backoff_max_ms, *self.delays_ms)) < 0:
            raise ValueError("a pause is not negative")

    @property
    def most(self) -> int:
        """Attempts in all."""
        return self.attempts * (1 + len(self.delays_ms))


class Again(NamedTuple):
    """Try it again after this time."""

    delay_ms: int


class Bury(NamedTuple):
    """Put it into the dead letter topic."""


class Stop(NamedTuple):
    """There is no dead letter topic: end with the error, so that nothing is lost."""


Verdict: TypeAlias = Again | Bury | Stop


def judge(
    retry: Retry,
    attempts: int,
    error: BaseException,
    *,
    dead_letter: bool,
    below: Callable[[int], int],
) -> Verdict:
    """What to do after failed attempt number `attempts` (from 1)."""
    if not isinstance(error, Exception):  # the handler asked to exit
        return Stop()
    wanted = isinstance(error, (RetryAfter, *retry.only)) and not isinstance(error, Reject)
    if wanted and attempts < retry.most:
        if isinstance(error, RetryAfter):
            return Again(max(error.delay_ms, 0))
        series, within = divmod(attempts, retry.attempts)
        if within == 0:
            return Again(retry.delays_ms[series - 1])
        return Again(backoff_ms(within - 1, retry.backoff_ms, retry.backoff_max_ms, below))
    return Bury() if dead_letter else Stop()
