"""Java's properties texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barnabas.config.properties import dump, load
from barnabas.config.values import ConfigError

TEXT = st.text(st.characters(codec="utf-8"))


@pytest.mark.parametrize(
    ("text", "properties"),
    [
        ("", {}),
        ("# comment\n! comment\n\n  \t\n", {}),
        ("a=b", {"a": "b"}),
        ("a = b ", {"a": "b "}),
        ("a:b\na c", {"a": "c"}),
        ("a", {"a": ""}),
        ("a\\ b=c", {"a b": "c"}),
        ("a\\=b\\:c=d", {"a=b:c": "d"}),
        ("a==b", {"a": "=b"}),
        ("a = \\\n   b,\\\r\n  c", {"a": "b,c"}),
        ("a=b\\\\\nc=d", {"a": "b\\", "c": "d"}),
        ("a=b\\\n# c", {"a": "b# c"}),
        ("a=\\u0041\\t\\n\\x", {"a": "A\t\nx"}),
        ("a=\\uD83D\\uDE00", {"a": "😀"}),
        ("a=b\rc=d\r\ne=f", {"a": "b", "c": "d", "e": "f"}),
        ("url=http://x/?y=z#w", {"url": "http://x/?y=z#w"}),
        ("a=\u2028b", {"a": "\u2028b"}),
    ],
)
def test_load(text: str, properties: dict[str, str]) -> None:
    assert load(text) == properties


@pytest.mark.parametrize("text", ["a=\\u12", "a=\\u12G4", "\\u=1"])
def test_an_incomplete_escape_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"\\u"):
        load(text)


def test_a_lone_surrogate_cannot_get_in() -> None:
    load("a=\\uD83D!")["a"].encode()


@given(st.dictionaries(TEXT, TEXT))
def test_what_is_dumped_is_loaded(properties: dict[str, str]) -> None:
    text = dump(properties, comments=["by a test"])
    assert load(text) == properties
    assert text.isascii()


@given(TEXT)
def test_every_text_loads_or_is_refused(text: str) -> None:
    try:
        properties = load(text)
    except ConfigError:
        assert "\\u" in text
    else:
        assert load(dump(properties)) == properties


def test_dump_has_the_form_of_meta_properties() -> None:
    text = dump({"version": "1", "node.id": "5", "directory.id": "a-b_c"}, comments=["", "now"])
    assert text == "#\n#now\ndirectory.id=a-b_c\nnode.id=5\nversion=1\n"
