"""Java's `.properties` text: the form of `server.properties` and `meta.properties`.

The rules are those of `java.util.Properties.load`: lines starting with `#` or `!` are comments; a
key ends at the first `=`, `:` or blank that is not escaped; a line that ends in an odd number of
backslashes goes on in the next line; `\\t`, `\\n`, `\\r`, `\\f` and `\\uXXXX` are escapes, any
other escaped character is itself. Of a key that is there twice, the last value counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .values import ConfigError

_BLANKS = " \t\f"
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_HEX = frozenset("0123456789abcdefABCDEF")


def load(text: str) -> dict[str, str]:
    """The properties in `text`, in the order in which they first appear.

    Raises:
        ConfigError: an escape `\\uXXXX` is not complete.
    """
    properties: dict[str, str] = {}
    for line in _logical_lines(text):
        key, value = _split(line)
        properties[_unescape(key)] = _unescape(value)
    return properties


def _natural_lines(text: str) -> Iterator[str]:
    """Lines as Java ends them: at CR, LF or both (`splitlines` would know more ends)."""
    return iter(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))


def _logical_lines(text: str) -> Iterator[str]:
    """Lines without comments, blank lines, leading blanks and line breaks that are escaped."""
    begun = ""
    for line in _natural_lines(text):
        stripped = line.lstrip(_BLANKS)
        if not begun and (not stripped or stripped[0] in "#!"):
            continue
        slashes = len(stripped) - len(stripped.rstrip("\\"))
        if slashes % 2:
            begun += stripped[:-1]
            continue
        yield begun + stripped
        begun = ""
    if begun:
        yield begun


def _split(line: str) -> tuple[str, str]:
    """Key and value of a logical line, both still escaped."""
    end = 0
    while end < len(line) and line[end] not in "=:" and line[end] not in _BLANKS:
        end += 2 if line[end] == "\\" else 1
    end = min(end, len(line))
    value = line[end:].lstrip(_BLANKS)
    if value[:1] in ("=", ":"):
        value = value[1:].lstrip(_BLANKS)
    return line[:end], value


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    out: list[str] = []
    position = 0
    while position < len(text):
        char = text[position]
        position += 1
        if char != "\\":
            out.append(char)
        elif text[position : position + 1] == "u":
            digits = text[position + 1 : position + 5]
            if len(digits) != 4 or not _HEX.issuperset(digits):
                raise ConfigError(f"\\u{digits} is not a character: \\u takes four hex digits.")
            out.append(chr(int(digits, 16)))
            position += 5
        else:
            escaped = text[position : position + 1]
            out.append(_ESCAPES.get(escaped, escaped))
            position += 1
    return _join_surrogates("".join(out))


def _join_surrogates(text: str) -> str:
    """One character for each pair of UTF-16 surrogates; a lone one becomes U+FFFD."""
    if not any("\ud800" <= char <= "\udfff" for char in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def dump(properties: Mapping[str, str], comments: Iterable[str] = ()) -> str:
    """`properties` in the form of `meta.properties`: comment lines, then sorted `key=value`.

    `load(dump(p)) == p` for every `p` without lone surrogates.
    """
    lines = [f"#{comment}" for comment in comments]
    for key in sorted(properties):
        lines.append(f"{_escape(key, key=True)}={_escape(properties[key], key=False)}")
    return "".join(line + "\n" for line in lines)


def _escape(text: str, *, key: bool) -> str:
    out: list[str] = []
    for position, char in enumerate(text):
        if char == " " and (key or position == 0):
            out.append("\\ ")
        elif char in "\\=:#!":
            out.append("\\" + char)
        elif char in "\t\n\r\f":
            out.append("\\" + {"\t": "t", "\n": "n", "\r": "r", "\f": "f"}[char])
        elif " " <= char <= "~":
            out.append(char)
        else:
            units = char.encode("utf-16-be", "surrogatepass")
            out += [f"\\u{units[i] << 8 | units[i + 1]:04X}" for i in range(0, len(units), 2)]
    return "".join(out)
