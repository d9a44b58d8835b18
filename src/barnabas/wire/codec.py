"""Bytes to messages and back.

Readers and writers are compiled at the first use of a (class, version) and kept: a memo of pure
functions, the only state here. Hot paths hold what `reader` and `writer` return.

Reading raises nothing but `ProtocolError`, whatever the bytes, and `UnsupportedVersion` for a
version that the message does not have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

from barnabas.wire.errors import ProtocolError, UnsupportedVersion
from barnabas.wire.layout import memo
from barnabas.wire.limits import MAX_ELEMENTS
from barnabas.wire.message import Message
from barnabas.wire.primitives import Buffer
from barnabas.wire.reading import compile_reader
from barnabas.wire.writing import compile_gatherer, compile_writer

M = TypeVar("M", bound=Message)
M_co = TypeVar("M_co", bound=Message, covariant=True)


class Reader(Protocol[M_co]):
    """Reads one message at a position; returns it and the position after it."""

    def __call__(
        self, buf: Buffer, pos: int, budget: int = MAX_ELEMENTS, /
    ) -> tuple[M_co, int]: ...


def _check(cls: type[Message], version: int) -> None:
    low, high = cls.VERSIONS
    if not low <= version <= high:
        raise UnsupportedVersion(f"{cls.__name__} has versions {low} to {high}, not {version}")


@memo
def _reader(cls: type[Message], version: int) -> Callable[..., tuple[Any, int]]:
    _check(cls, version)
    return compile_reader(cls, version)


@memo
def _writer(cls: type[Message], version: int) -> Callable[[Any, bytearray], None]:
    _check(cls, version)
    return compile_writer(cls, version)


@memo
def _gatherer(cls: type[Message], version: int) -> Callable[[Any, bytearray], list[Buffer]]:
    _check(cls, version)
    return compile_gatherer(cls, version)


def reader(cls: type[M], version: int) -> Reader[M]:
    """The reader of `cls` in `version`. Raises `UnsupportedVersion`."""
    return cast("Reader[M]", _reader(cls, version))


def writer(cls: type[M], version: int) -> Callable[[M, bytearray], None]:
    """The writer of `cls` in `version`: appends a message to a bytearray.

    It raises `UnsupportedVersion` for a field that is set and not ignorable where the version does
    not have it; when it raises, the bytearray ends in half a message. Raises `UnsupportedVersion`.
    """
    return _writer(cls, version)


def gatherer(cls: type[M], version: int) -> Callable[[M, bytearray], list[Buffer]]:
    """Like `writer`, for messages that carry records: returns the whole as a list of buffers.

    The first is the bytearray that was given. Large records are in the list as they are in the
    message, so that they leave without a copy; they must not change until they are sent.
    """
    return _gatherer(cls, version)


def decode(
    cls: type[M],
    version: int,
    data: Buffer,
    pos: int = 0,
    *,
    exact: bool = False,
    budget: int = MAX_ELEMENTS,
) -> M:
    """Read the message that starts at `pos`.

    Bytes after it are ignored, as Kafka does with requests and responses; `exact` makes them an
    error, as Kafka does with metadata records. `budget` bounds the array elements of the message.
    Fields of kind records and buffer are views of `data`.
    """
    message, after = _reader(cls, version)(data, pos, budget)
    if exact and after != len(data):
        raise ProtocolError(f"{len(data) - after} bytes after {cls.__name__} v{version}")
    return cast("M", message)


def encode(message: Message, version: int) -> bytes:
    """The bytes of `message` in `version`. Raises `UnsupportedVersion`, as `writer` says."""
    out = bytearray()
    _writer(type(message), version)(message, out)
    return bytes(out)
