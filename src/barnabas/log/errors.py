"""Errors of the log layer."""

from __future__ import annotations

from barnabas.wire.errors import ErrorCode, KafkaError


class StorageError(KafkaError):
    """The log directory failed: KAFKA_STORAGE_ERROR (56) for every use of its logs from then on."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(ErrorCode.KAFKA_STORAGE_ERROR, message)


class OffsetOutOfRange(KafkaError):
    """A read below the log start or above the log end: OFFSET_OUT_OF_RANGE (1)."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(ErrorCode.OFFSET_OUT_OF_RANGE, message)


class LogDamaged(KafkaError):
    """Bytes in a file that cannot be what was written there (bit rot, foreign hands).

    A reader that meets one answers CORRUPT_MESSAGE (2), as Kafka does.
    """

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.CORRUPT_MESSAGE, message)


class WouldBlock(Exception):
    """A read on the event loop met a page that is not in memory; go to the executor."""
