"""Administrative calls for client quotas (KIP-546)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from barnabas.client.cluster import Cluster
from barnabas.client.errors import error_code
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.alter_client_quotas_request import (
    AlterClientQuotasRequest,
    EntityData,
    EntryData,
    OpData,
)
from barnabas.wire.messages.alter_client_quotas_response import AlterClientQuotasResponse
from barnabas.wire.messages.describe_client_quotas_request import (
    ComponentData,
    DescribeClientQuotasRequest,
)
from barnabas.wire.messages.describe_client_quotas_response import DescribeClientQuotasResponse

Entity = Mapping[str, str | None]
"""Names by type ("user", "client-id", "ip"); the name None is the default entity of its type."""


@dataclass(frozen=True, slots=True)
class EntityQuotas:
    """What an entity may use: values by key."""

    entity: Entity
    values: Mapping[str, float]


async def describe_client_quotas(
    cluster: Cluster, entity: Entity, *, strict: bool = False
) -> list[EntityQuotas]:
    """The quotas of all entities that have these names among theirs, or only these (`strict`).

    Raises `KafkaError`.
    """
    components = [
        ComponentData(kind, 1 if name is None else 0, name) for kind, name in entity.items()
    ]
    request = DescribeClientQuotasRequest(components, strict)
    response = await cluster.ask(request, DescribeClientQuotasResponse)
    if response.error_code != ErrorCode.NONE:
        raise KafkaError(error_code(response.error_code), response.error_message)
    return [
        EntityQuotas(
            {each.entity_type: each.entity_name for each in entry.entity},
            {each.key: each.value for each in entry.values},
        )
        for entry in response.entries or ()
    ]


async def alter_client_quotas(
    cluster: Cluster,
    entity: Entity,
    values: Mapping[str, float],
    removed: Iterable[str] = (),
    *,
    validate_only: bool = False,
) -> None:
    """Set and remove quotas of one entity, all or none. Raises `KafkaError`."""
    ops = [OpData(key, value) for key, value in values.items()]
    ops += [OpData(key, remove=True) for key in removed]
    entry = EntryData([EntityData(kind, name) for kind, name in entity.items()], ops)
    request = AlterClientQuotasRequest([entry], validate_only)
    response = await cluster.ask(request, AlterClientQuotasResponse)
    for answer in response.entries:
        if answer.error_code != ErrorCode.NONE:
            raise KafkaError(error_code(answer.error_code), answer.error_message)
