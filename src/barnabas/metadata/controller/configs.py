"""IncrementalAlterConfigs (KIP-339) and AlterConfigs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol, TypeVar

from barnabas.metadata.controller.config_changes import ConfigChange, ConfigEditor, Operation
from barnabas.metadata.controller.decision import (
    ControllerSettings,
    Decision,
    check_record_count,
)
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.configs import BROKER, CLIENT_METRICS, GROUP, TOPIC
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages import (
    alter_configs_request,
    alter_configs_response,
    incremental_alter_configs_request,
    incremental_alter_configs_response,
)

KNOWN_TYPES = (TOPIC, BROKER, CLIENT_METRICS, GROUP)

Resource = TypeVar(
    "Resource",
    alter_configs_request.AlterConfigsResource,
    incremental_alter_configs_request.AlterConfigsResource,
)


def incremental_alter_configs(
    image: MetadataImage,
    settings: ControllerSettings,
    request: incremental_alter_configs_request.IncrementalAlterConfigsRequest,
    *,
    forwarded: bool = True,
) -> Decision[incremental_alter_configs_response.IncrementalAlterConfigsResponse]:
    """Change single keys; each resource succeeds or fails as a whole.

    BROKER_LOGGER resources are the node's own business: take them out of the request before.
    Raises KafkaError POLICY_VIOLATION when the request is too large as a whole.
    """

    def records(resource: incremental_alter_configs_request.AlterConfigsResource) -> list[Message]:
        editor = ConfigEditor(
            image,
            settings,
            (resource.resource_type, resource.resource_name),
            forwarded=forwarded,
        )
        return editor.incremental(_changes(resource.configs))

    accepted, errors = _each(request.resources, records)
    responses = [
        incremental_alter_configs_response.AlterConfigsResourceResponse(
            error_code=error.code,
            error_message=error.message,
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
        )
        for resource, error in zip(request.resources, errors, strict=True)
    ]
    return Decision(
        () if request.validate_only else accepted,
        incremental_alter_configs_response.IncrementalAlterConfigsResponse(responses=responses),
    )


def alter_configs(
    image: MetadataImage,
    settings: ControllerSettings,
    request: alter_configs_request.AlterConfigsRequest,
    *,
    forwarded: bool = True,
) -> Decision[alter_configs_response.AlterConfigsResponse]:
    """Replace all dynamic configs of each resource.

    Raises KafkaError POLICY_VIOLATION when the request is too large as a whole.
    """

    def records(resource: alter_configs_request.AlterConfigsResource) -> list[Message]:
        editor = ConfigEditor(
            image,
            settings,
            (resource.resource_type, resource.resource_name),
            forwarded=forwarded,
        )
        values: Mapping[str, str | None] = {c.name: c.value for c in resource.configs}
        return editor.replace(values)

    accepted, errors = _each(request.resources, records)
    responses = [
        alter_configs_response.AlterConfigsResourceResponse(
            error_code=error.code,
            error_message=error.message,
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
        )
        for resource, error in zip(request.resources, errors, strict=True)
    ]
    return Decision(
        () if request.validate_only else accepted,
        alter_configs_response.AlterConfigsResponse(responses=responses),
    )


def _each(
    resources: Sequence[Resource], records_of: Callable[[Resource], list[Message]]
) -> tuple[list[Message], list[KafkaError]]:
    """Records of the resources that can be changed, and an error (NONE if fine) for each."""
    keys = sorted((r.resource_type, r.resource_name) for r in resources)
    repeated = {key for key, group in groupby(keys) if len(list(group)) > 1}
    accepted: list[Message] = []
    errors: list[KafkaError] = []
    for resource in resources:
        try:
            if (resource.resource_type, resource.resource_name) in repeated:
                raise KafkaError(
                    ErrorCode.INVALID_REQUEST, "Each resource must appear at most once."
                )
            if resource.resource_type not in KNOWN_TYPES:
                raise KafkaError(
                    ErrorCode.INVALID_REQUEST, f"Unknown resource type {resource.resource_type}."
                )
            check_request(resource)
            accepted += records_of(resource)
        except KafkaError as error:
            errors.append(error)
        else:
            errors.append(KafkaError(ErrorCode.NONE))
    check_record_count(accepted)
    return accepted, errors


class Request(Protocol):
    """The changes to one resource."""

    configs: list[Any]


def check_request(resource: Request) -> None:
    """Raise INVALID_REQUEST for a key that is there twice, or a value that is not there."""
    names = [config.name for config in resource.configs]
    if len(set(names)) != len(names):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "A config key appears twice.")
    empty = [
        config.name
        for config in resource.configs
        if config.value is None and getattr(config, "config_operation", 0) != Operation.DELETE
    ]
    if empty:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Null value not supported for: {', '.join(empty)}"
        )


def _changes(
    configs: Sequence[incremental_alter_configs_request.AlterableConfig],
) -> list[ConfigChange]:
    changes = []
    for config in configs:
        try:
            operation = Operation(config.config_operation)
        except ValueError:
            raise KafkaError(
                ErrorCode.INVALID_REQUEST, f"Unknown operation {config.config_operation}."
            ) from None
        changes.append(ConfigChange(config.name, operation, config.value))
    return changes
