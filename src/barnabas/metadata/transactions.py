"""Transactions in the metadata log (KIP-868): records between Begin and End apply together."""

from __future__ import annotations

from collections.abc import Iterable

from barnabas.metadata.errors import MetadataError
from barnabas.metadata.record_types import (
    AbortTransactionRecord,
    BeginTransactionRecord,
    EndTransactionRecord,
)
from barnabas.wire.message import Message


class TransactionBuffer:
    """Holds back the records of an open transaction.

    `start_offset` is the offset of the open BeginTransactionRecord, -1 when none is open. While
    one is open no snapshot may be taken: the image lacks records below its own offset.
    """

    __slots__ = ("_held", "name", "start_offset")

    def __init__(self) -> None:
        self._held: list[Message] = []
        self.name: str | None = None
        self.start_offset = -1

    @property
    def open(self) -> bool:
        """Whether a transaction is open."""
        return self.start_offset >= 0

    def feed(self, records: Iterable[Message], base_offset: int) -> list[Message]:
        """Take the records of one batch; returns those that may be applied now, in order.

        Raises MetadataError on a Begin inside a transaction, or an End or Abort outside of one.
        """
        ready: list[Message] = []
        for offset, record in enumerate(records, base_offset):
            match record:
                case BeginTransactionRecord():
                    if self.open:
                        raise MetadataError(f"transaction begins at {offset} inside another one")
                    self.start_offset = offset
                    self.name = record.name
                case EndTransactionRecord():
                    self._require_open("ends", offset)
                    ready += self._held
                    self._close()
                case AbortTransactionRecord():
                    self._require_open("is aborted", offset)
                    self._close()
                case _:
                    (self._held if self.open else ready).append(record)
        return ready

    def _require_open(self, what: str, offset: int) -> None:
        if not self.open:
            raise MetadataError(f"transaction {what} at {offset}, but none is open")

    def _close(self) -> None:
        self._held = []
        self.name = None
        self.start_offset = -1
