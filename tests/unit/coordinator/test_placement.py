"""The partition of a group or transactional id, against values of Java's String.hashCode."""

from __future__ import annotations

import pytest

from barnabas.coordinator.placement import java_hash, partition_for


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", 0),
        ("a", 97),
        ("hello", 99162322),
        ("polygenelubricants", -(1 << 31)),
        ("grüße", 98768023),
        ("😀", 1772899),
    ],
)
def test_hash_of_java(text: str, value: int) -> None:
    assert java_hash(text) == value


def test_the_absolute_value_is_taken_not_a_mask() -> None:
    value = java_hash("grr")
    negative = java_hash("consumer-group")
    assert value > 0 > negative
    assert partition_for("grr", 50) == value % 50
    assert partition_for("consumer-group", 50) == -negative % 50 != (negative & 0x7FFFFFFF) % 50


def test_the_smallest_hash_has_no_absolute_value() -> None:
    assert partition_for("polygenelubricants", 50) == 0
