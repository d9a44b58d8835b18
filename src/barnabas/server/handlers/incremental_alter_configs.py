"""IncrementalAlterConfigs (key 44), versions 0-1; broker and controller listeners (KIP-339).

v1 flexible. Per resource: INVALID_CONFIG, INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION,
BROKER_ID_NOT_REGISTERED, TOPIC_AUTHORIZATION_FAILED, CLUSTER_AUTHORIZATION_FAILED,
POLICY_VIOLATION, GROUP_AUTHORIZATION_FAILED, UNSUPPORTED_VERSION. Levels of loggers are changed
here; everything else is the controller's to decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.metadata.controller.configs import incremental_alter_configs
from barnabas.server import log_levels
from barnabas.server.config_access import for_controller, in_order
from barnabas.wire.errors import KafkaError
from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterConfigsResource,
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
    resources = message.resources

    def change_levels(resource: AlterConfigsResource) -> None:
        log_levels.check(resource.configs)
        if not message.validate_only:
            log_levels.apply(resource.configs)
            broker.recorder.follow_level()

    message.resources, verdicts = for_controller(broker, request, resources, change_levels)
    forwarded = not request.connection.on_controller
    response = IncrementalAlterConfigsResponse()
    try:
        if message.resources:
            response = await broker.submit(
                lambda image: incremental_alter_configs(
                    image, broker.settings, message, forwarded=forwarded
                )
            )
    except KafkaError as failed:
        verdicts = {place: verdicts.get(place, failed) for place in range(len(resources))}
    response.responses = in_order(
        resources, verdicts, response.responses, AlterConfigsResourceResponse
    )
    return response
