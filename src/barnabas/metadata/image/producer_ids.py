"""The next block of producer ids (KIP-730)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from barnabas.metadata.record_types import ProducerIdsRecord


class ProducerIdsImage(NamedTuple):
    """First id of the next block; -1 when no block was ever given out."""

    next_producer_id: int

    @classmethod
    def empty(cls) -> ProducerIdsImage:
        """No block given out."""
        return cls(-1)

    def records(self) -> Iterator[ProducerIdsRecord]:
        """Back to a record; Kafka's snapshots name no broker either."""
        if self.next_producer_id >= 0:
            yield ProducerIdsRecord(
                broker_id=-1, broker_epoch=-1, next_producer_id=self.next_producer_id
            )
