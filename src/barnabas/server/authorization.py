"""The question every handler asks before it acts: may this principal do that?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from barnabas.security.authorizer import Authorizer
from barnabas.security.operations import Operation, ResourceType

if TYPE_CHECKING:
    from barnabas.server.request import Request

CLUSTER_NAME: Final = "kafka-cluster"
#: `authorized operations` when they were not asked for.
NOT_REQUESTED: Final = -(2**31)

_OPERATIONS: Final = {
    ResourceType.TOPIC: (
        Operation.READ,
        Operation.WRITE,
        Operation.CREATE,
        Operation.DELETE,
        Operation.ALTER,
        Operation.DESCRIBE,
        Operation.DESCRIBE_CONFIGS,
        Operation.ALTER_CONFIGS,
    ),
    ResourceType.GROUP: (
        Operation.READ,
        Operation.DELETE,
        Operation.DESCRIBE,
        Operation.DESCRIBE_CONFIGS,
        Operation.ALTER_CONFIGS,
    ),
    ResourceType.CLUSTER: (
        Operation.CREATE,
        Operation.ALTER,
        Operation.DESCRIBE,
        Operation.CLUSTER_ACTION,
        Operation.DESCRIBE_CONFIGS,
        Operation.ALTER_CONFIGS,
        Operation.IDEMPOTENT_WRITE,
    ),
}


class Authorization:
    """The node's authorizer, asked in terms of a request."""

    __slots__ = ("_authorizer",)

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def topic(self, request: Request, operation: Operation, name: str) -> bool:
        """May the principal do this to a topic?"""
        return self._authorizer.authorize(
            request.principal, request.connection.peer[0], operation, ResourceType.TOPIC, name
        )

    def resource(
        self, request: Request, operation: Operation, kind: ResourceType, name: str
    ) -> bool:
        """May the principal do this to a group or a transactional id?"""
        return self._authorizer.authorize(
            request.principal, request.connection.peer[0], operation, kind, name
        )

    def cluster(self, request: Request, operation: Operation) -> bool:
        """May the principal do this to the cluster?"""
        return self._authorizer.authorize(
            request.principal,
            request.connection.peer[0],
            operation,
            ResourceType.CLUSTER,
            CLUSTER_NAME,
        )

    def group(self, request: Request, operation: Operation, name: str) -> bool:
        """May the principal do this to a group?"""
        return self._authorizer.authorize(
            request.principal, request.connection.peer[0], operation, ResourceType.GROUP, name
        )

    def any_topic(self, request: Request, operation: Operation, names: Iterable[str]) -> bool:
        """May the principal do this to at least one of the topics?"""
        return any(self.topic(request, operation, name) for name in names)

    def operations(self, request: Request, resource: ResourceType, name: str) -> int:
        """Bit n set when operation n is allowed (KIP-430)."""
        bits = 0
        for operation in _OPERATIONS[resource]:
            if self._authorizer.authorize(
                request.principal, request.connection.peer[0], operation, resource, name
            ):
                bits |= 1 << operation
        return bits
