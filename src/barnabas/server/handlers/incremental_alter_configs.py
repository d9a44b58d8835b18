"""IncrementalAlterConfigs (key 44), versions 0-1; broker and controller listeners (KIP-339).

v1 flexible. Per resource: INVALID_CONFIG, INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION,
BROKER_ID_NOT_REGISTERED, TOPIC_AUTHORIZATION_FAILED, CLUSTER_AUTHORIZATION_FAILED,
POLICY_VIOLATION.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.metadata.controller.configs import incremental_alter_configs
from barnabas.security.operations import Operation
from barnabas.server.config_access import refusal
from barnabas.wire.errors import KafkaError
from barnabas.wire.messages.incremental_alter_configs_request import (
    IncrementalAlterConfigsRequest,
)
from barnabas.wire.messages.incremental_alter_configs_response import (
    AlterConfigsResourceResponse,
    IncrementalAlterConfigsResponse,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: IncrementalAlterConfigsRequest
) -> IncrementalAlterConfigsResponse:
    """Set, delete, append to and subtract from single configs."""
    refused: list[AlterConfigsResourceResponse] = []
    accepted = []
    for resource in message.resources:
        error = refusal(
            broker,
            request,
            Operation.ALTER_CONFIGS,
            resource.resource_type,
            resource.resource_name,
        )
        if error is None:
            accepted.append(resource)
        else:
            refused.append(
                AlterConfigsResourceResponse(
                    error.code, error.message, resource.resource_type, resource.resource_name
                )
            )
    message.resources = accepted
    forwarded = not request.connection.on_controller
    try:
        response = await broker.submit(
            lambda image: incremental_alter_configs(
                image, broker.settings, message, forwarded=forwarded
            )
        )
    except KafkaError as error:
        response = IncrementalAlterConfigsResponse(
            responses=[
                AlterConfigsResourceResponse(
                    error.code, error.message, r.resource_type, r.resource_name
                )
                for r in accepted
            ]
        )
    response.responses += refused
    return response
