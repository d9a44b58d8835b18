"""Splits a stream of bytes into frames, for clients.

The server reads into buffers of its own (its limits depend on who is connected); this is the plain
form: bytes in, whole frames out.
"""

from __future__ import annotations

from barnabas.wire.errors import ProtocolError
from barnabas.wire.primitives import Buffer


class FrameReader:
    """Collects bytes until frames are whole.

    `max_size` bounds one frame, in bytes, without its four bytes of size. Memory is taken for what
    has arrived, never for what a size promises.
    """

    __slots__ = ("_max_size", "_rest")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._rest = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._rest)

    def feed(self, data: Buffer) -> list[memoryview]:
        """Take `data`; return the frames that are whole now, without their sizes.

        The frames are read-only views that stay valid for as long as they are held. Raises
        `ProtocolError` for a negative size or one above `max_size`; the stream is lost then.
        """
        self._rest += data
        if len(self._rest) < 4 or len(self._rest) < 4 + self._size(self._rest, 0):
            return []
        whole = bytes(self._rest)
        view = memoryview(whole)
        frames = []
        pos = 0
        while len(whole) - pos >= 4:
            end = pos + 4 + self._size(whole, pos)
            if end > len(whole):
                break
            frames.append(view[pos + 4 : end])
            pos = end
        self._rest = bytearray(whole[pos:])
        return frames

    def _size(self, buf: Buffer, pos: int) -> int:
        size = int.from_bytes(buf[pos : pos + 4], "big", signed=True)
        if not 0 <= size <= self._max_size:
            raise ProtocolError(
                f"frame of {size} bytes, where at most {self._max_size} are allowed"
            )
        return size
