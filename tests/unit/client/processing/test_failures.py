"""What becomes of a record that failed: one test for each rule."""

from __future__ import annotations

import pickle

import pytest

from barnabas.client.processing.failures import (
    Again,
    Bury,
    Reject,
    Retry,
    RetryAfter,
    Stop,
    Verdict,
    judge,
)

ERROR = ValueError("bad")


def verdict(
    retry: Retry, attempts: int, error: BaseException = ERROR, *, dead_letter: bool = True
) -> Verdict:
    """With a draw in the middle: no jitter."""
    return judge(retry, attempts, error, dead_letter=dead_letter, below=lambda n: n // 2)


def test_pauses_double_up_to_a_bound() -> None:
    retry = Retry(attempts=6, backoff_ms=100, backoff_max_ms=500)
    found = [verdict(retry, attempt) for attempt in range(1, 6)]
    assert found == [Again(100), Again(200), Again(400), Again(500), Again(500)]


def test_pauses_are_spread() -> None:
    retry = Retry(attempts=2, backoff_ms=100)
    least = judge(retry, 1, ERROR, dead_letter=True, below=lambda _n: 0)
    most = judge(retry, 1, ERROR, dead_letter=True, below=lambda n: n - 1)
    assert (least, most) == (Again(80), Again(120))


def test_after_the_last_attempt_it_is_a_dead_letter() -> None:
    assert verdict(Retry(attempts=3), 3) == Bury()


def test_without_a_dead_letter_topic_all_stops() -> None:
    assert verdict(Retry(attempts=3), 3, dead_letter=False) == Stop()


def test_a_delay_comes_behind_a_series_and_another_series_behind_the_delay() -> None:
    retry = Retry(attempts=2, backoff_ms=100, delays_ms=(60_000, 600_000))
    found = [verdict(retry, attempt) for attempt in range(1, 7)]
    assert found == [
        Again(100),
        Again(60_000),
        Again(100),
        Again(600_000),
        Again(100),
        Bury(),
    ]


def test_a_rejected_record_is_not_tried_again() -> None:
    assert verdict(Retry(), 1, Reject("no")) == Bury()
    assert verdict(Retry(), 1, Reject("no"), dead_letter=False) == Stop()


def test_only_what_may_pass_is_tried_again() -> None:
    retry = Retry(backoff_ms=100, only=(OSError,))
    assert verdict(retry, 1) == Bury()
    assert verdict(retry, 1, ConnectionError()) == Again(100)


def test_a_handler_says_when() -> None:
    retry = Retry(attempts=2, only=())
    assert verdict(retry, 1, RetryAfter(7_000)) == Again(7_000)
    assert verdict(retry, 2, RetryAfter(7_000)) == Bury()


def test_a_handler_that_asks_to_exit_stops_all() -> None:
    assert verdict(Retry(), 1, SystemExit()) == Stop()


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="attempts"):
        Retry(attempts=0)
    with pytest.raises(ValueError, match="negative"):
        Retry(delays_ms=(-1,))


def test_an_error_that_says_when_has_a_text_and_survives_a_process() -> None:
    assert str(RetryAfter(5)) == "again after 5 ms"
    again = pickle.loads(pickle.dumps(RetryAfter(5, "busy")))
    assert (again.delay_ms, str(again)) == (5, "busy")
