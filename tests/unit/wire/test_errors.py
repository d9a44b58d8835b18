"""Error codes and the families of errors."""

from __future__ import annotations

import pickle

import pytest

from barnabas.wire.errors import ErrorCode, KafkaError, ProtocolError, UnsupportedVersion


def test_codes_have_no_gap() -> None:
    assert [int(code) for code in ErrorCode] == list(range(-1, 134))


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (ErrorCode.UNKNOWN_SERVER_ERROR, -1),
        (ErrorCode.NONE, 0),
        (ErrorCode.NOT_LEADER_OR_FOLLOWER, 6),
        (ErrorCode.UNSUPPORTED_VERSION, 35),
        (ErrorCode.INVALID_RECORD, 87),
        (ErrorCode.UNKNOWN_TOPIC_ID, 100),
        (ErrorCode.SHARE_SESSION_LIMIT_REACHED, 133),
    ],
)
def test_numbers(code: ErrorCode, number: int) -> None:
    assert code == number


def test_retriable_and_refreshing() -> None:
    assert ErrorCode.NOT_LEADER_OR_FOLLOWER.retriable
    assert ErrorCode.NOT_LEADER_OR_FOLLOWER.refreshes_metadata
    assert ErrorCode.REQUEST_TIMED_OUT.retriable
    assert not ErrorCode.REQUEST_TIMED_OUT.refreshes_metadata
    assert not ErrorCode.NONE.retriable
    assert all(code.retriable for code in ErrorCode if code.refreshes_metadata)


def test_text_of_an_error() -> None:
    assert str(KafkaError(ErrorCode.INVALID_REQUEST)) == "INVALID_REQUEST"
    assert str(KafkaError(ErrorCode.INVALID_REQUEST, "too much")) == "INVALID_REQUEST: too much"


def test_unsupported_version_is_answerable_and_a_protocol_error_is_not() -> None:
    error = UnsupportedVersion("v9")
    assert isinstance(error, KafkaError)
    assert error.code is ErrorCode.UNSUPPORTED_VERSION
    assert error.message == "v9"
    assert not issubclass(ProtocolError, KafkaError)


def test_errors_survive_a_pickle() -> None:
    """They cross to worker processes."""
    error = pickle.loads(pickle.dumps(KafkaError(ErrorCode.INVALID_CONFIG, "why")))
    assert (error.code, error.message) == (ErrorCode.INVALID_CONFIG, "why")
