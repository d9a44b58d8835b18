"""The one question that every handler asks before it acts."""

from __future__ import annotations

from typing import Protocol

from barnabas.security.operations import Operation, ResourceType
from barnabas.security.principal import Principal


class Authorizer(Protocol):
    """Decides what principals may do."""

    def authorize(
        self,
        principal: Principal,
        host: str,
        operation: Operation,
        resource_type: ResourceType,
        resource_name: str,
    ) -> bool:
        """Whether `principal`, connected from `host`, may do `operation` to the resource."""


class AllowAll:
    """Kafka's behaviour without `authorizer.class.name`: everybody may do everything."""

    def authorize(
        self,
        principal: Principal,
        host: str,
        operation: Operation,
        resource_type: ResourceType,
        resource_name: str,
    ) -> bool:
        """Yes."""
        del principal, host, operation, resource_type, resource_name
        return True
