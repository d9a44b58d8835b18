"""ListConfigResources (key 74), versions 0-1; broker listeners (KIP-1000, KIP-1142).

v0 client metrics subscriptions only; v1 the kinds asked for (none named: all). Errors:
UNSUPPORTED_VERSION for a kind that the version does not know, CLUSTER_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from barnabas.metadata.image.configs import BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC
from barnabas.security.operations import Operation
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.list_config_resources_request import ListConfigResourcesRequest
from barnabas.wire.messages.list_config_resources_response import (
    ConfigResource,
    ListConfigResourcesResponse,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

#: In the order in which Kafka lists them.
_KINDS: Final = (GROUP, CLIENT_METRICS, BROKER_LOGGER, BROKER, TOPIC)


def handle(
    broker: Broker, request: Request, message: ListConfigResourcesRequest
) -> ListConfigResourcesResponse:
    """Names of everything that has configs; groups and subscriptions only when some are set."""
    if not broker.allowed.cluster(request, Operation.DESCRIBE_CONFIGS):
        return ListConfigResourcesResponse(error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    known = _KINDS if request.api_version >= 1 else (CLIENT_METRICS,)
    wanted = set(message.resource_types or known)
    if not wanted <= set(known):
        return ListConfigResourcesResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
    return ListConfigResourcesResponse(
        config_resources=[
            ConfigResource(name, kind)
            for kind in known
            if kind in wanted
            for name in _names(broker, request, kind)
        ]
    )


def _names(broker: Broker, request: Request, kind: int) -> Iterator[str]:
    image = broker.image
    if kind == TOPIC:
        yield from image.topics.by_name
    elif kind in (BROKER, BROKER_LOGGER):
        listener = request.connection.listener_name
        for registration in image.cluster.brokers.values():
            if registration.endpoint(listener) is not None:
                yield str(registration.id)
    else:
        for resource_type, name in image.configs.resources:
            if resource_type == kind:
                yield name
