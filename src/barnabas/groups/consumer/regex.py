"""Regular expressions of subscriptions, with RE2's syntax and its bound on time (KIP-848)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import re2

from barnabas.wire.errors import ErrorCode, KafkaError

#: Pairs of an expression and a name between two looks at what else the loop has to do: 5 ms.
PAIRS_AT_ONCE: Final = 3_000


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    return options


def check_regex(regex: str) -> None:
    """Raises `KafkaError` INVALID_REGULAR_EXPRESSION."""
    try:
        re2.compile(regex, _options())
    except (re2.error, UnicodeError) as error:
        reason = error.args[0].decode() if error.args[0:1] == (bytes,) else str(error)
        raise KafkaError(
            ErrorCode.INVALID_REGULAR_EXPRESSION,
            f"SubscribedTopicRegex `{regex[:100]}` is not a valid regular expression: {reason}",
        ) from error


def _matcher(regex: str) -> Any | None:
    """A set of one: `fullmatch` of the library makes objects and costs ten times as much."""
    matcher = re2.Set.FullMatchSet(_options())
    try:
        matcher.Add(regex)
        matcher.Compile()
    except (re2.error, UnicodeError):
        return None
    return matcher


def resolve_slowly(
    regexes: Iterable[str], names: Iterable[str], found: dict[str, set[str]]
) -> Iterator[None]:
    """Put the names that match into `found`, a piece at a time: one step for each `next`.

    An expression that does not compile (another release may have accepted it) matches nothing.
    """
    names = list(names)
    tried = 0
    for regex in regexes:
        matches = found[regex] = set()
        # One at a time: a client chooses what they weigh.
        matcher = _matcher(regex)
        yield
        if matcher is None:
            continue
        for name in names:
            if matcher.Match(name):
                matches.add(name)
            tried += 1
            if tried % PAIRS_AT_ONCE == 0:
                yield
