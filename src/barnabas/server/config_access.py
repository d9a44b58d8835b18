"""Who may see and change the configs of a resource, and what is left of a change for the controller."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from barnabas.metadata.controller.configs import check_request
from barnabas.metadata.image.configs import BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC
from barnabas.security.operations import Operation
from barnabas.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

KNOWN_TYPES = frozenset({TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP})


def unknown_type(resource_type: int) -> KafkaError:
    """The answer to a type of resource that nobody knows."""
    return KafkaError(ErrorCode.INVALID_REQUEST, f"Unknown resource type {resource_type}.")


def refusal(
    broker: Broker, request: Request, operation: Operation, resource_type: int, name: str
) -> KafkaError | None:
    """Why the principal may not do `operation` on a resource's configs; None when it may."""
    if resource_type == TOPIC:
        allowed = broker.allowed.topic(request, operation, name)
        code = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    elif resource_type == GROUP:
        allowed = broker.allowed.group(request, operation, name)
        code = ErrorCode.GROUP_AUTHORIZATION_FAILED
    else:
        allowed = broker.allowed.cluster(request, operation)
        code = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
    return None if allowed else KafkaError(code, "Authorization failed.")


class Resource(Protocol):
    """What both kinds of alterations name."""

    resource_type: int
    resource_name: str
    configs: list[Any]


R = TypeVar("R", bound=Resource)
Answer = TypeVar("Answer")


def for_controller(
    broker: Broker,
    request: Request,
    resources: Sequence[R],
    change_levels: Callable[[R], None] | None,
) -> tuple[list[R], dict[int, KafkaError]]:
    """The resources that the controller decides on, and verdicts on the others by their place.

    Levels of loggers are this node's own business: `change_levels` changes them, where that can be
    asked for. The verdict NONE means that it is done.
    """
    left: list[R] = []
    verdicts: dict[int, KafkaError] = {}
    times = Counter((each.resource_type, each.resource_name) for each in resources)
    for place, each in enumerate(resources):
        try:
            if times[each.resource_type, each.resource_name] > 1:
                raise KafkaError(
                    ErrorCode.INVALID_REQUEST, "Each resource must appear at most once."
                )
            _check(broker, request, each, incremental=change_levels is not None)
            if each.resource_type == BROKER_LOGGER and change_levels is not None:
                change_levels(each)
                verdicts[place] = KafkaError(ErrorCode.NONE)
            else:
                left.append(each)
        except KafkaError as error:
            verdicts[place] = error
    return left, verdicts


def _check(broker: Broker, request: Request, resource: Resource, *, incremental: bool) -> None:
    kind, name = resource.resource_type, resource.resource_name
    on_controller = request.connection.on_controller
    if kind not in KNOWN_TYPES or (kind == BROKER_LOGGER and not incremental):
        if on_controller and incremental:
            raise KafkaError(ErrorCode.UNSUPPORTED_VERSION, f"Unknown resource type {kind}.")
        raise unknown_type(kind)
    check_request(resource)
    operation = Operation.ALTER_CONFIGS
    if kind == BROKER_LOGGER:
        if on_controller:
            operation = Operation.CLUSTER_ACTION
    elif kind == BROKER and name and not on_controller:
        check_node_id(broker, name)
    error = refusal(broker, request, operation, kind, name)
    if error is not None:
        raise error
    if kind == BROKER_LOGGER:
        check_node_id(broker, name)


def check_node_id(broker: Broker, name: str) -> None:
    """Raise INVALID_REQUEST unless `name` is the id of this node."""
    digits = name.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdecimal()):
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"'{name}' is not a node id.")
    if int(name) != broker.node_id:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"This is node {broker.node_id}, not node {name}."
        )


def in_order(
    resources: Sequence[R],
    verdicts: Mapping[int, KafkaError],
    answers: Iterable[Answer],
    make: Callable[[int, str | None, int, str], Answer],
) -> list[Answer]:
    """Answers in the order of the request: verdicts of this node, and `answers` for the others."""
    rest = iter(answers)
    return [
        next(rest)
        if (verdict := verdicts.get(place)) is None
        else make(verdict.code, verdict.message, each.resource_type, each.resource_name)
        for place, each in enumerate(resources)
    ]
