"""Subscriptions, assignments and the sticky assignors' user data, as Kafka's Java client has them."""

from __future__ import annotations

import pytest

from barnabas.client.membership.protocol import (
    NO_GENERATION,
    Subscription,
    decode_assignment,
    decode_cooperative,
    decode_sticky,
    decode_subscription,
    encode_assignment,
    encode_cooperative,
    encode_sticky,
    encode_subscription,
)
from barnabas.wire.errors import ProtocolError

FULL = Subscription(("a", "b"), b"data", (("a", 0), ("a", 2), ("b", 1)), 7, "rack-1")


def test_a_subscription_survives_the_way_there_and_back() -> None:
    assert decode_subscription(encode_subscription(FULL)) == FULL


def test_the_bytes_of_a_subscription() -> None:
    # Version 3; topics; user data; owned; generation; rack: ConsumerProtocolSubscription.json.
    assert encode_subscription(Subscription(("t",), None, (("t", 1),), 5)) == bytes.fromhex(
        "0003" "00000001" "000174" "ffffffff" "00000001" "000174" "00000001" "00000001"
        "00000005" "ffff"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "owned", "generation"),
    [
        ("0000" "00000001" "000174" "ffffffff", (), NO_GENERATION),
        ("0001" "00000001" "000174" "ffffffff" "00000001" "000174" "00000001" "00000002",
         (("t", 2),), NO_GENERATION),
        ("0002" "00000001" "000174" "ffffffff" "00000000" "00000009", (), 9),
        # A version of the future begins with what the newest known one has.
        ("0063" "00000001" "000174" "ffffffff" "00000000" "00000009" "ffff" "cafe", (), 9),
    ],
)  # fmt: skip
def test_every_version_of_a_subscription_is_read(
    data: str, owned: tuple[tuple[str, int], ...], generation: int
) -> None:
    found = decode_subscription(bytes.fromhex(data), "static")
    assert found == Subscription(("t",), None, owned, generation, None, "static")


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff\xff\0\0", b"\0\x03\0\0\0\x09"])
def test_a_broken_subscription_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_subscription(data)


def test_an_assignment_survives_the_way_there_and_back() -> None:
    share = frozenset({("a", 0), ("a", 1), ("b", 3)})
    assert decode_assignment(encode_assignment(share)) == share
    assert decode_assignment(encode_assignment([])) == frozenset()


def test_the_sticky_assignors_user_data() -> None:
    # STICKY_ASSIGNOR_USER_DATA_V1: topics with their partitions, generation.
    raw = bytes.fromhex("000000010002" + b"ab".hex() + "0000000200000000000000030000000b")
    assert encode_sticky([("ab", 3), ("ab", 0)], 11) == raw
    assert decode_sticky(raw) == ((("ab", 0), ("ab", 3)), 11)
    assert decode_sticky(raw[:-4]) == ((("ab", 0), ("ab", 3)), NO_GENERATION)  # version 0


@pytest.mark.parametrize(
    "data", [None, b"", b"\0", bytes.fromhex("7fffffff"), bytes.fromhex("00000001" "7fff" "61"),
             bytes.fromhex("00000001" "0001" "61" "7fffffff"), bytes.fromhex("00000001" "0001" "ff")]
)  # fmt: skip
def test_broken_sticky_user_data_says_nothing(data: bytes | None) -> None:
    assert decode_sticky(data) == ((), NO_GENERATION)


def test_the_cooperative_sticky_assignors_user_data() -> None:
    assert encode_cooperative(258) == b"\0\0\1\2"
    assert decode_cooperative(b"\0\0\1\2") == 258
    assert decode_cooperative(None) == decode_cooperative(b"\0") == NO_GENERATION
