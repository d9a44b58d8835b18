"""UnregisterBroker (key 64), version 0; broker and controller listeners (KIP-631).

A broker that lives is unregistered, too, as with Kafka: it serves nothing until its next start, which
registers it again. Errors: BROKER_ID_NOT_REGISTERED, CLUSTER_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.metadata.controller.registration import unregister
from barnabas.security.operations import Operation
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.unregister_broker_request import UnregisterBrokerRequest
from barnabas.wire.messages.unregister_broker_response import UnregisterBrokerResponse

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: UnregisterBrokerRequest
) -> UnregisterBrokerResponse:
    """Forget a broker for good."""
    if not broker.allowed.cluster(request, Operation.ALTER):
        return UnregisterBrokerResponse(
            error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
            error_message="Cluster authorization failed.",
        )
    try:
        await broker.submit(lambda image: unregister(image, broker.settings, message.broker_id))
    except KafkaError as error:
        return UnregisterBrokerResponse(error_code=error.code, error_message=error.message)
    return UnregisterBrokerResponse()
