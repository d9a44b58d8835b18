"""Reading, checking and writing single values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barnabas.config import definitions
from barnabas.config.keys import ConfigKey
from barnabas.config.values import (
    ConfigError,
    Value,
    default,
    host_port,
    parse,
    read,
    split_list,
    to_text,
    voter,
)

INT = ConfigKey("an.int", "int", None, ("range", 0, 9))
LONG = ConfigKey("a.long", "long", None, None)
DOUBLE = ConfigKey("a.double", "double", None, ("range", 0, 1))
BOOLEAN = ConfigKey("a.boolean", "boolean", None, None)
PASSWORD = ConfigKey("a.password", "password", None, ("non-empty",))


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        (INT, " 7\t", 7),
        (INT, "+7", 7),
        (INT, "007", 7),
        (LONG, "-9223372036854775808", -(2**63)),
        (DOUBLE, "1e-1", 0.1),
        (DOUBLE, ".5d", 0.5),
        (DOUBLE, "0x1p-1", 0.5),
        (BOOLEAN, " True ", True),
        (PASSWORD, " x ", "x"),
        (definitions.TOPIC["cleanup.policy"], "delete , compact", ("delete", "compact")),
        (definitions.TOPIC["cleanup.policy"], "", ()),
        (definitions.TOPIC["cleanup.policy"], "delete,delete", ("delete",)),
        (definitions.BROKER["controller.quorum.voters"], "1@h:9,2@[::1]:8", ("1@h:9", "2@[::1]:8")),
        (definitions.BROKER["group.consumer.migration.policy"], "upGrade", "upGrade"),
        (definitions.GROUP["share.auto.offset.reset"], "by_duration:PT1H", "by_duration:PT1H"),
    ],
)
def test_valid_texts(key: ConfigKey, text: str, value: Value) -> None:
    assert read(key, text) == value


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (INT, ""),
        (INT, "1_0"),
        (INT, "1.0"),
        (INT, "10"),
        (INT, "-1"),
        (INT, "2147483648"),
        (INT, "9" * 5000),
        (LONG, "9223372036854775808"),
        (DOUBLE, "1.5"),
        (DOUBLE, "nan"),
        (DOUBLE, "1_0"),
        (DOUBLE, "9" * 100_000),
        (BOOLEAN, "yes"),
        (PASSWORD, " "),
        (definitions.TOPIC["cleanup.policy"], "delete,"),
        (definitions.TOPIC["cleanup.policy"], "Delete"),
        (definitions.TOPIC["compression.type"], "ZSTD"),
        (definitions.TOPIC["compression.gzip.level"], "0"),
        (definitions.TOPIC["leader.replication.throttled.replicas"], "0:1,x"),
        (definitions.BROKER["log.dirs"], ""),
        (definitions.BROKER["controller.quorum.voters"], "1@h"),
        (definitions.BROKER["controller.quorum.bootstrap.servers"], "h"),
        (definitions.GROUP["share.auto.offset.reset"], "by_duration:-PT1H"),
    ],
)
def test_invalid_texts_name_the_config(key: ConfigKey, text: str) -> None:
    with pytest.raises(ConfigError, match=key.name) as caught:
        read(key, text)
    assert len(str(caught.value)) < 500


def test_a_password_is_not_shown_when_it_is_wrong() -> None:
    key = ConfigKey("secret", "password", None, ("in", ("a",)))
    with pytest.raises(ConfigError) as caught:
        read(key, "hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (True, "true"),
        (5, "5"),
        (("a", "b"), "a,b"),
        (1.0, "1.0"),
        (0.001, "0.001"),
        (1e-4, "1.0E-4"),
        (1e7, "1.0E7"),
        (123456789.5, "1.234567895E8"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (float("nan"), "NaN"),
    ],
)
def test_texts_of_values(value: Value, text: str | None) -> None:
    assert to_text(value) == text


@given(st.floats(allow_nan=False))
def test_a_double_survives_its_text(number: float) -> None:
    assert parse(LONG._replace(type="double"), str(to_text(number))) == number


def test_every_default_is_valid_and_keeps_its_text() -> None:
    tables = (definitions.BROKER, definitions.TOPIC, definitions.GROUP, definitions.CLIENT_METRICS)
    for key in (key for table in tables for key in table.values()):
        if key.default is not None:
            assert to_text(read(key, key.default)) == key.default, key.name
        else:
            assert default(key) is None


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for key in (INT, LONG, DOUBLE, BOOLEAN, definitions.BROKER["controller.quorum.voters"]):
        try:
            value = read(key, text)
        except ConfigError:
            continue
        assert value is not None


def test_lists_split_at_commas_with_blanks_around() -> None:
    assert split_list(" a ,b\t,\nc ") == ("a", "b", "c")
    assert split_list(" ") == ()
    assert split_list(",") == ("", "")


def test_addresses() -> None:
    assert host_port("h:1") == ("h", 1)
    assert host_port("[::1]:9092") == ("::1", 9092)
    assert host_port("h") is None
    assert host_port("h:99999999999") is None
    assert voter("3@h:1") == (3, "h", 1)
    for wrong in ("h:1", "a@h:1", "1@h", "1@h:1@2", ""):
        with pytest.raises(ConfigError):
            voter(wrong)
