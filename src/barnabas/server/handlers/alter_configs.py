"""AlterConfigs (key 33), versions 0-2; broker and controller listeners.

v2 flexible. Replaces all dynamic configs of a resource. Per resource: INVALID_CONFIG, INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION,
BROKER_ID_NOT_REGISTERED, TOPIC_AUTHORIZATION_FAILED, CLUSTER_AUTHORIZATION_FAILED,
GROUP_AUTHORIZATION_FAILED, POLICY_VIOLATION.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.metadata.controller.configs import alter_configs
from barnabas.server.config_access import alterable
from barnabas.wire.errors import KafkaError
from barnabas.wire.messages.alter_configs_request import AlterConfigsRequest
from barnabas.wire.messages.alter_configs_response import (
    AlterConfigsResourceResponse,
    AlterConfigsResponse,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: AlterConfigsRequest
) -> AlterConfigsResponse:
    """Replace all dynamic configs of each resource."""
    message.resources, refused = alterable(broker, request, message.resources)
    forwarded = not request.connection.on_controller
    try:
        response = await broker.submit(
            lambda image: alter_configs(image, broker.settings, message, forwarded=forwarded)
        )
    except KafkaError as failed:
        refused += [(resource, failed) for resource in message.resources]
        response = AlterConfigsResponse()
    response.responses += [
        AlterConfigsResourceResponse(
            error.code, error.message, resource.resource_type, resource.resource_name
        )
        for resource, error in refused
    ]
    return response
