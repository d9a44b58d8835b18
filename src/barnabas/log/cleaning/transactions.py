"""Transactions as a cleaning meets them: what was aborted goes, a marker stays while it is needed."""

from __future__ import annotations

from collections.abc import Iterable

from barnabas.log.txn_index import AbortedTxn
from barnabas.records.batch import BatchHeader
from barnabas.records.control import ControlType


class CleanedTransactions:
    """The transactions under way at the place where the cleaning is.

    `needed` collects the aborted ones of which something is still there: the entries of the new
    transaction index.
    """

    def __init__(self, aborted: Iterable[AbortedTxn]) -> None:
        self._ahead = sorted(set(aborted), key=lambda txn: txn.first_offset, reverse=True)
        self._aborted: dict[int, AbortedTxn] = {}
        self._seen: set[int] = set()
        """Producers whose aborted transaction has shown a batch."""
        self._committed: set[int] = set()
        """Producers whose transaction, not aborted, has shown a batch."""
        self.needed: list[AbortedTxn] = []

    def on_data(self, header: BatchHeader) -> bool:
        """A data batch comes; whether it belongs to an aborted transaction, and so goes."""
        self._reach(header.last_offset)
        if not header.is_transactional:
            return False
        producer = header.producer_id
        if producer in self._aborted:
            self._seen.add(producer)
            return True
        self._committed.add(producer)
        return False

    def on_control(self, header: BatchHeader, kind: int | None) -> bool:
        """A control batch of `kind` comes (`None`: emptied before); whether nothing of what it
        ends is left, so that it may go in its time."""
        self._reach(header.last_offset)
        producer = header.producer_id
        if kind is None:
            return True
        if kind == ControlType.ABORT:
            txn = self._aborted.pop(producer, None)
            if txn is None or producer not in self._seen:
                return True
            self._seen.discard(producer)
            self.needed.append(txn)
            return False
        if kind == ControlType.COMMIT:
            if producer not in self._committed:
                return True
            self._committed.discard(producer)
        return False

    def _reach(self, offset: int) -> None:
        ahead = self._ahead
        while ahead and ahead[-1].first_offset <= offset:
            txn = ahead.pop()
            self._aborted.setdefault(txn.producer_id, txn)
