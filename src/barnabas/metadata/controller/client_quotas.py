"""AlterClientQuotas (KIP-546)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from barnabas.metadata.controller.decision import Decision, check_record_count
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.record_types import ClientQuotaRecord
from barnabas.metadata.records.client_quota_record import EntityData as RecordEntity
from barnabas.quotas.addresses import canonical_address
from barnabas.quotas.keys import CLIENT_ID, CLIENT_KEYS, IP, IP_KEYS, USER, QuotaEntity
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.alter_client_quotas_request import (
    AlterClientQuotasRequest,
    OpData,
)
from barnabas.wire.messages.alter_client_quotas_response import (
    AlterClientQuotasResponse,
    EntityData,
)
from barnabas.wire.messages.alter_client_quotas_response import EntryData as Result

#: How far above a whole number a value may lie and be taken for it.
WHOLE: Final = 1e-6
NONE: Final = KafkaError(ErrorCode.NONE)


def alter_client_quotas(
    image: MetadataImage, request: AlterClientQuotasRequest
) -> Decision[AlterClientQuotasResponse]:
    """Set and remove quotas; each entity succeeds or fails for itself, all in one batch.

    An entity that is named twice is answered once, with an error; the first change of it counts.
    Raises KafkaError POLICY_VIOLATION when the request is too large as a whole.
    """
    records: list[ClientQuotaRecord] = []
    results: dict[QuotaEntity, KafkaError] = {}
    for entry in request.entries:
        # The last name counts when a type is given twice.
        names = {each.entity_type: each.entity_name for each in entry.entity}
        entity: QuotaEntity = tuple(sorted(names.items(), key=lambda pair: pair[0]))
        try:
            if entity in results:
                raise _invalid("The entity is in the request twice; only the first one counts.")
            records += _changes(image.client_quotas.entities.get(entity, {}), entity, entry.ops)
            results[entity] = NONE
        except KafkaError as error:
            results[entity] = error
    check_record_count(records)
    response = AlterClientQuotasResponse(
        entries=[
            Result(error.code, error.message, [EntityData(t, n) for t, n in entity])
            for entity, error in results.items()
        ]
    )
    return Decision(() if request.validate_only else records, response)


def refuse(request: AlterClientQuotasRequest, error: KafkaError) -> AlterClientQuotasResponse:
    """The answer when the request fails as a whole."""
    return AlterClientQuotasResponse(
        entries=[
            Result(
                error.code,
                error.message,
                [EntityData(e.entity_type, e.entity_name) for e in entry.entity],
            )
            for entry in request.entries
        ]
    )


def _changes(
    current: Mapping[str, float], entity: QuotaEntity, ops: list[OpData]
) -> list[ClientQuotaRecord]:
    values: dict[str, float | None] = {}
    for op in ops:
        if op.key in values:
            raise _invalid(f"The key {op.key} is given twice.")
        values[op.key] = None if op.remove else op.value
    valid_keys = _check_entity(entity)
    changed: list[ClientQuotaRecord] = []
    for key, value in values.items():
        if value is not None:
            _check_value(valid_keys, key, value)
        if value != current.get(key):
            changed.append(
                ClientQuotaRecord(
                    entity=[RecordEntity(entity_type=t, entity_name=n) for t, n in entity],
                    key=key,
                    value=0.0 if value is None else value,
                    remove=value is None,
                )
            )
    return changed


def _check_entity(entity: QuotaEntity) -> Mapping[str, float | None]:
    """The keys that an entity may have."""
    names = dict(entity)
    if not names:
        raise _invalid("The entity is empty.")
    for kind, name in names.items():
        if kind not in (USER, CLIENT_ID, IP):
            raise _invalid(f"There are no quotas for entities of type {kind!r}.")
        if name == "":
            raise _invalid(f"The name of a {kind} is empty.")
    if IP not in names:
        return CLIENT_KEYS
    if len(names) > 1:
        raise _invalid("Quotas of addresses cannot be combined with users or client ids.")
    address = names[IP]
    if address is not None and canonical_address(address) is None:
        raise _invalid(f"{address} is not an IP address.")
    return IP_KEYS


def _check_value(valid_keys: Mapping[str, float | None], key: str, value: float) -> None:
    if key not in valid_keys:
        raise _invalid(f"The entity has no quota {key!r}.")
    if not value > 0:
        raise _invalid(f"The quota {key} must be greater than 0.")
    largest = valid_keys[key]
    if largest is None:
        return
    if value > largest:
        raise _invalid(f"The value of {key} is larger than {largest:.0f}.")
    if value % 1 > WHOLE:
        raise _invalid(f"The quota {key} must be a whole number.")


def _invalid(text: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_REQUEST, text)
