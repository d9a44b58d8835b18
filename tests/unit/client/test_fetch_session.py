"""Incremental fetch sessions (KIP-227): what a request has to mention."""

from __future__ import annotations

import pytest

from barnabas.client.fetch_session import FetchSession
from barnabas.wire.errors import ErrorCode

A, B, C = ("t", 0), ("t", 1), ("u", 0)
IDS = {"t": b"T" * 16, "u": b"U" * 16}


def begun() -> FetchSession:
    session = FetchSession()
    session.request({A: 0, B: 0}, IDS)
    session.answered(ErrorCode.NONE, 77)
    return session


def test_the_first_request_asks_for_a_session_and_names_everything() -> None:
    assert FetchSession().request({A: 5, B: 6}, IDS) == (0, 0, [A, B], [])


def test_then_only_changes_are_named() -> None:
    session = begun()
    assert session.request({A: 0, B: 9, C: 1}, IDS) == (77, 1, [B, C], [])
    session.answered(ErrorCode.NONE, 77)
    assert session.request({A: 0, C: 1}, IDS) == (77, 2, [], [(B, IDS["t"])])
    session.answered(ErrorCode.NONE, 77)
    assert session.request({A: 0, B: 9, C: 1}, IDS) == (77, 3, [B], [])


def test_a_topic_that_was_created_anew_is_another_one() -> None:
    again = {**IDS, "t": b"X" * 16}
    assert begun().request({A: 0}, again) == (77, 1, [A], [(A, IDS["t"]), (B, IDS["t"])])


def test_a_node_without_room_for_sessions_is_asked_again_for_everything() -> None:
    session = FetchSession()
    session.request({A: 0}, IDS)
    session.answered(ErrorCode.NONE, 0)
    assert session.request({A: 0}, IDS) == (0, 0, [A], [])


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
        ErrorCode.INVALID_FETCH_SESSION_EPOCH,
        ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR,
    ],
)
def test_an_error_of_the_session_begins_a_new_one(code: ErrorCode) -> None:
    session = begun()
    session.request({A: 0}, IDS)
    session.answered(code, 0)
    assert session.request({A: 0}, IDS) == (0, 0, [A], [])


def test_after_a_lost_connection_nobody_knows() -> None:
    session = begun()
    session.reset()
    assert session.request({A: 0}, IDS) == (0, 0, [A], [])


def test_the_epoch_goes_round_without_touching_what_has_a_meaning() -> None:
    session = begun()
    session._epoch = 0x7FFFFFFF
    assert session.request({A: 0, B: 0}, IDS).epoch == 0x7FFFFFFF
    session.answered(ErrorCode.NONE, 77)
    assert session.request({A: 0, B: 0}, IDS).epoch == 1


def test_without_sessions_every_request_says_everything() -> None:
    session = FetchSession(enabled=False)
    for _ in range(2):
        assert session.request({A: 0}, IDS) == (0, -1, [A], [])
        session.answered(ErrorCode.NONE, 0)
