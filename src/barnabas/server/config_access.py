"""Who may see and change the configs of a resource, and what the controller asks of the schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from barnabas.metadata.image.configs import BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC
from barnabas.security.operations import Operation
from barnabas.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


def refusal(
    broker: Broker, request: Request, operation: Operation, resource_type: int, name: str
) -> KafkaError | None:
    """Why the principal may not do `operation` on a resource's configs; None when it may."""
    if resource_type == TOPIC:
        if broker.allowed.topic(request, operation, name):
            return None
        return KafkaError(ErrorCode.TOPIC_AUTHORIZATION_FAILED, "Authorization failed.")
    if resource_type == GROUP:
        if broker.allowed.group(request, operation, name):
            return None
        return KafkaError(ErrorCode.GROUP_AUTHORIZATION_FAILED, "Authorization failed.")
    if resource_type in (BROKER, BROKER_LOGGER, CLIENT_METRICS):
        if not broker.allowed.cluster(request, operation):
            return KafkaError(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "Authorization failed.")
        if resource_type == BROKER_LOGGER:
            text = "Log levels of a running node can't be changed or described yet."
            return KafkaError(ErrorCode.INVALID_REQUEST, text)
        return None
    return KafkaError(ErrorCode.INVALID_REQUEST, f"Unknown resource type {resource_type}.")


class Resource(Protocol):
    """What both kinds of alterations name."""

    resource_type: int
    resource_name: str


R = TypeVar("R", bound=Resource)


def alterable(
    broker: Broker, request: Request, resources: Sequence[R]
) -> tuple[list[R], list[tuple[R, KafkaError]]]:
    """The resources whose configs the principal may alter, and the others with the reason."""
    accepted: list[R] = []
    refused: list[tuple[R, KafkaError]] = []
    for each in resources:
        error = refusal(
            broker, request, Operation.ALTER_CONFIGS, each.resource_type, each.resource_name
        )
        if error is None:
            accepted.append(each)
        else:
            refused.append((each, error))
    return accepted, refused
