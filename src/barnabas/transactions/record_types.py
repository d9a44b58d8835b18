"""The record types of __transaction_state, by number."""

from __future__ import annotations

from typing import Final

from barnabas.coordinator.framing import RecordTypes
from barnabas.transactions.records.transaction_log_key import TransactionLogKey
from barnabas.transactions.records.transaction_log_value import TransactionLogValue

TRANSACTION_RECORDS: Final[RecordTypes] = {0: (TransactionLogKey, TransactionLogValue)}
