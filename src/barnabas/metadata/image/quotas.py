"""Client quotas (KIP-546)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from barnabas.metadata.image.changes import MapDelta
from barnabas.metadata.record_types import ClientQuotaRecord
from barnabas.metadata.records.client_quota_record import EntityData
from barnabas.quotas.keys import QuotaEntity


class ClientQuotasImage(NamedTuple):
    """Quota values by entity, then by key (`producer_byte_rate`, ...)."""

    entities: Mapping[QuotaEntity, Mapping[str, float]]

    @classmethod
    def empty(cls) -> ClientQuotasImage:
        """No quotas."""
        return cls({})

    def records(self) -> Iterator[ClientQuotaRecord]:
        """Back to records."""
        for entity, quotas in self.entities.items():
            for key, value in quotas.items():
                yield ClientQuotaRecord(
                    entity=[EntityData(entity_type=t, entity_name=n) for t, n in entity],
                    key=key,
                    value=value,
                    remove=False,
                )


class ClientQuotasDelta:
    """Folds ClientQuotaRecords."""

    __slots__ = ("changed", "image")

    def __init__(self, image: ClientQuotasImage) -> None:
        self.image = image
        self.changed: dict[QuotaEntity, MapDelta[str, float]] = {}

    def replay(self, record: ClientQuotaRecord) -> None:
        """Set or remove one key of an entity."""
        pairs = [(e.entity_type, e.entity_name) for e in record.entity]
        entity: QuotaEntity = tuple(sorted(pairs, key=lambda pair: pair[0]))
        delta = self.changed.get(entity)
        if delta is None:
            delta = self.changed[entity] = MapDelta(self.image.entities.get(entity, {}))
        if record.remove:
            delta.remove(record.key)
        else:
            delta.put(record.key, record.value)

    def apply(self) -> ClientQuotasImage:
        """The new image."""
        entities: MapDelta[QuotaEntity, Mapping[str, float]] = MapDelta(self.image.entities)
        for entity, delta in self.changed.items():
            quotas = delta.apply()
            if quotas:
                entities.put(entity, quotas)
            else:
                entities.remove(entity)
        return ClientQuotasImage(entities.apply())
