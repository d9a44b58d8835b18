"""DescribeClientQuotas (key 48), versions 0-1; broker listeners (KIP-546).

v1 flexible. Top level: INVALID_REQUEST, UNSUPPORTED_VERSION (an unknown type of entity),
CLUSTER_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from barnabas.quotas.keys import CLIENT_ID, IP, USER, QuotaEntity
from barnabas.security.operations import Operation
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.describe_client_quotas_request import (
    ComponentData,
    DescribeClientQuotasRequest,
)
from barnabas.wire.messages.describe_client_quotas_response import (
    DescribeClientQuotasResponse,
    EntityData,
    EntryData,
    ValueData,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

EXACT: Final = 0
DEFAULT: Final = 1
SPECIFIED: Final = 2


def handle(
    broker: Broker, request: Request, message: DescribeClientQuotasRequest
) -> DescribeClientQuotasResponse:
    """The quotas of the entities that match all components."""
    if not broker.allowed.cluster(request, Operation.DESCRIBE_CONFIGS):
        return _refuse(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "Authorization failed.")
    try:
        names, types = _filter(message.components)
    except KafkaError as error:
        return _refuse(error.code, error.message)
    entries = [
        EntryData(
            [EntityData(kind, name) for kind, name in entity],
            [ValueData(key, value) for key, value in values.items()],
        )
        for entity, values in broker.image.client_quotas.entities.items()
        if _matches(entity, names, types, message.strict)
    ]
    return DescribeClientQuotasResponse(error_message="", entries=entries)


def _filter(components: list[ComponentData]) -> tuple[dict[str, str | None], set[str]]:
    """Types whose name is asked for (None: the default entity), and types that must be there."""
    names: dict[str, str | None] = {}
    types: set[str] = set()
    for component in components:
        kind, match = component.entity_type, component.match_type
        if not kind:
            raise _invalid("The entity type of a component is empty.")
        if kind in names or kind in types:
            raise _invalid(f"The entity type {kind} is in the filter twice.")
        if kind not in (USER, CLIENT_ID, IP):
            raise KafkaError(ErrorCode.UNSUPPORTED_VERSION, f"Unknown entity type {kind}.")
        if match not in (EXACT, DEFAULT, SPECIFIED):
            raise _invalid(f"Unknown match type {match}.")
        if (component.match is None) == (match == EXACT):
            raise _invalid("An exact match needs a name, and no other match may have one.")
        if match == SPECIFIED:
            types.add(kind)
        else:
            names[kind] = component.match
    kinds = {*names, *types}
    if IP in kinds and len(kinds) > 1:
        raise _invalid("Addresses cannot be combined with users or client ids.")
    return names, types


def _matches(
    entity: QuotaEntity, names: Mapping[str, str | None], types: set[str], strict: bool
) -> bool:
    found = dict(entity)
    if strict and len(found) != len(names) + len(types):
        return False
    return all(kind in found and found[kind] == name for kind, name in names.items()) and all(
        kind in found for kind in types
    )


def _invalid(text: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_REQUEST, text)


def _refuse(code: ErrorCode, text: str | None) -> DescribeClientQuotasResponse:
    return DescribeClientQuotasResponse(error_code=code, error_message=text, entries=None)
