"""What can be wrong with stored or received records."""

from __future__ import annotations

from barnabas.wire.errors import ProtocolError


class CorruptRecord(ProtocolError):
    """A batch, its compressed block or one of its records breaks the format."""


class InflateLimit(CorruptRecord):
    """A compressed block would grow beyond what the caller allows."""
