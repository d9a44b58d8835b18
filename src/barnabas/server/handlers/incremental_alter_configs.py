"""IncrementalAlterConfigs (key 44), versions 0-1; broker and controller listeners (KIP-339).

v1 flexible. Per resource: INVALID_CONFIG, INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION,
BROKER_ID_NOT_REGISTERED, TOPIC_AUTHORIZATION_FAILED, CLUSTER_AUTHORIZATION_FAILED,
GROUP_AUTHORIZATION_FAILED, POLICY_VIOLATION.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.metadata.controller.configs import incremental_alter_configs
from barnabas.server.config_access import alterable
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
    message.resources, refused = alterable(broker, request, message.resources)
    forwarded = not request.connection.on_controller
    try:
        response = await broker.submit(
            lambda image: incremental_alter_configs(
                image, broker.settings, message, forwarded=forwarded
            )
        )
    except KafkaError as failed:
        refused += [(resource, failed) for resource in message.resources]
        response = IncrementalAlterConfigsResponse()
    response.responses += [
        AlterConfigsResourceResponse(
            error.code, error.message, resource.resource_type, resource.resource_name
        )
        for resource, error in refused
    ]
    return response
