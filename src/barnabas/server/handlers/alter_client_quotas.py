"""AlterClientQuotas (key 49), versions 0-1; broker and controller listeners (KIP-546).

v1 flexible. Per entity: INVALID_REQUEST, CLUSTER_AUTHORIZATION_FAILED, POLICY_VIOLATION.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.metadata.controller.client_quotas import alter_client_quotas, refuse
from barnabas.security.operations import Operation
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.alter_client_quotas_request import AlterClientQuotasRequest
from barnabas.wire.messages.alter_client_quotas_response import AlterClientQuotasResponse

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: AlterClientQuotasRequest
) -> AlterClientQuotasResponse:
    """Set and remove quotas of users, client ids and addresses."""
    if not broker.allowed.cluster(request, Operation.ALTER_CONFIGS):
        return refuse(
            message, KafkaError(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "Authorization failed.")
        )
    try:
        return await broker.submit(lambda image: alter_client_quotas(image, message))
    except KafkaError as error:
        return refuse(message, error)
