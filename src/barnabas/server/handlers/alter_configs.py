"""AlterConfigs (key 33), versions 0-2; broker and controller listeners.

v2 flexible. Replaces all dynamic configs of a resource. Per resource: INVALID_CONFIG, INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION,
BROKER_ID_NOT_REGISTERED, TOPIC_AUTHORIZATION_FAILED, CLUSTER_AUTHORIZATION_FAILED,
POLICY_VIOLATION, GROUP_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.metadata.controller.configs import alter_configs
from barnabas.server.config_access import for_controller, in_order
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
    resources = message.resources
    message.resources, verdicts = for_controller(broker, request, resources, None)
    forwarded = not request.connection.on_controller
    response = AlterConfigsResponse()
    try:
        if message.resources:
            response = await broker.submit(
                lambda image: alter_configs(image, broker.settings, message, forwarded=forwarded)
            )
    except KafkaError as failed:
        verdicts = {place: verdicts.get(place, failed) for place in range(len(resources))}
    response.responses = in_order(
        resources, verdicts, response.responses, AlterConfigsResourceResponse
    )
    return response
