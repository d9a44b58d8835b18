"""Changes to the configs of one resource: what they become, and what the controller refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from barnabas.metadata.controller.decision import MIN_INSYNC_REPLICAS, ControllerSettings
from barnabas.metadata.controller.topic_names import check_topic_name
from barnabas.metadata.features import MV_CORDONED_LOG_DIRS
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.configs import BROKER, BROKER_LOGGER, TOPIC, ConfigResource
from barnabas.metadata.record_types import ClearElrRecord, ConfigRecord
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message

CORDONED_LOG_DIRS = "cordoned.log.dirs"
MAX_VALUE_LENGTH = 32_767


class Operation(IntEnum):
    """AlterConfigOp.OpType."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


class ConfigChange(NamedTuple):
    """One key of an incremental change."""

    name: str
    operation: Operation
    value: str | None


class ConfigEditor:
    """Turns changes to one resource into records. `existing` is false for a topic being created.

    `forwarded`: a broker passed the request on after checks that only it can make.
    """

    __slots__ = ("current", "existing", "forwarded", "image", "resource", "settings")

    def __init__(
        self,
        image: MetadataImage,
        settings: ControllerSettings,
        resource: ConfigResource,
        *,
        existing: bool = True,
        forwarded: bool = True,
    ) -> None:
        self.image = image
        self.settings = settings
        self.resource = resource
        self.existing = existing
        self.forwarded = forwarded
        self.current = image.configs.of(*resource)

    def incremental(self, changes: Sequence[ConfigChange]) -> list[Message]:
        """Records of an incremental change. Raises KafkaError; then nothing of it applies."""
        targets = {change.name: self._target(change) for change in changes}
        return self._records(targets, implicit={})

    def replace(self, values: Mapping[str, str | None]) -> list[Message]:
        """Records of a legacy change: what is not among `values` goes. Raises KafkaError."""
        gone: dict[str, str | None] = dict.fromkeys(
            name for name in self.current if name not in values
        )
        return self._records(dict(values), implicit=gone)

    def _target(self, change: ConfigChange) -> str | None:
        if change.operation is Operation.SET:
            return change.value
        if change.operation is Operation.DELETE:
            return None
        resource_type = self.resource[0]
        if not self.settings.schema.is_list(resource_type, change.name):
            raise KafkaError(
                ErrorCode.INVALID_CONFIG,
                f"Cannot {change.operation.name} to {change.name}: it is not a list.",
            )
        value = self.current.get(change.name)
        if value is None:
            value = self.settings.schema.built_in(resource_type, change.name)
        parts = [part for part in _java_split(value or "") if part]
        for part in _java_split(change.value or ""):
            if change.operation is Operation.APPEND:
                if part not in parts:
                    parts.append(part)
            elif part in parts:
                parts.remove(part)
        return ",".join(parts)

    def _records(
        self, targets: dict[str, str | None], implicit: dict[str, str | None]
    ) -> list[Message]:
        resource_type, resource_name = self.resource
        # Unchanged values of brokers are written again: they make the broker reload what stands
        # behind them, such as a key store (KAFKA-14136).
        explicit = {
            name: value
            for name, value in targets.items()
            if resource_type == BROKER or self.current.get(name) != value
        }
        self._check(explicit, implicit)
        records: list[Message] = [
            ConfigRecord(
                resource_type=resource_type, resource_name=resource_name, name=name, value=value
            )
            for name, value in [*explicit.items(), *implicit.items()]
        ]
        if self.image.features.elr_enabled and (
            MIN_INSYNC_REPLICAS in explicit or MIN_INSYNC_REPLICAS in implicit
        ):
            # Who is an eligible leader depends on min.insync.replicas; start anew (KIP-966).
            topic = resource_name if resource_type == TOPIC else ""
            records.append(ClearElrRecord(topic_name=topic))
        return records

    def _check(self, explicit: dict[str, str | None], implicit: dict[str, str | None]) -> None:
        changes = {**explicit, **implicit}
        result = {
            name: value for name, value in {**self.current, **changes}.items() if value is not None
        }
        schema, is_broker = self.settings.schema, self.resource[0] == BROKER
        if is_broker:  # as a broker does before it passes the change on
            schema.validate(*self.resource, result, self.current)
        for name, value in changes.items():
            self._check_refused(name, value)
            if value is not None and len(value) > MAX_VALUE_LENGTH:
                raise KafkaError(
                    ErrorCode.INVALID_CONFIG,
                    f"The value of {name} is longer than {MAX_VALUE_LENGTH} characters.",
                )
        if self.resource[0] == TOPIC:
            _check_name(self.resource[1])
        if not is_broker:
            schema.validate(*self.resource, result, self.current)
        if self.existing:
            self._check_exists()

    def _check_refused(self, name: str, value: str | None) -> None:
        resource_type, resource_name = self.resource
        if resource_type != BROKER:
            return
        if name == MIN_INSYNC_REPLICAS and self.image.features.elr_enabled:
            if resource_name:
                raise KafkaError(
                    ErrorCode.INVALID_CONFIG,
                    f"{name} cannot be set for one broker while eligible leader replicas are on.",
                )
            if value is None:
                raise KafkaError(
                    ErrorCode.INVALID_CONFIG,
                    f"The cluster's {name} cannot be removed while eligible leader replicas "
                    "are on.",
                )
        if name == CORDONED_LOG_DIRS:
            self._check_cordoned(value)

    def _check_cordoned(self, value: str | None) -> None:
        if self.image.features.version < MV_CORDONED_LOG_DIRS:
            raise KafkaError(
                ErrorCode.INVALID_CONFIG,
                f"{CORDONED_LOG_DIRS} needs metadata.version {MV_CORDONED_LOG_DIRS} (4.3-IV0).",
            )
        if self.forwarded or value is None or not value.strip():
            return
        # The controller knows directory ids, not paths: on its own it can only let some go.
        current = [p.strip() for p in self.current.get(CORDONED_LOG_DIRS, "").split(",")]
        if any(path.strip() not in current for path in value.split(",")):
            raise KafkaError(
                ErrorCode.INVALID_CONFIG,
                f"Sent to a controller, a new {CORDONED_LOG_DIRS} must be a part of the present "
                "one.",
            )

    def _check_exists(self) -> None:
        resource_type, name = self.resource
        if resource_type == TOPIC and name not in self.image.topics.by_name:
            raise KafkaError(
                ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{name}' does not exist."
            )
        if resource_type in (BROKER, BROKER_LOGGER) and name:
            if not (name.isascii() and name.isdigit()):
                raise KafkaError(ErrorCode.INVALID_REQUEST, f"'{name}' is not a node id.")
            cluster = self.image.cluster
            if int(name) not in cluster.brokers and int(name) not in cluster.controllers:
                raise KafkaError(
                    ErrorCode.BROKER_ID_NOT_REGISTERED, f"There is no node with id {name}."
                )


def _check_name(topic: str) -> None:
    if not topic:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "There are no configs of all topics.")
    check_topic_name(topic)


def _java_split(text: str) -> list[str]:
    """Split at commas as Java does: empty entries at the end do not count, but of no text."""
    return text.rstrip(",").split(",") if text.strip(",") or not text else []
