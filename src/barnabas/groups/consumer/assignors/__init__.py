"""Kafka's assignors for consumer groups: pure functions from a group to who should own what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from barnabas.groups.consumer.assignors.range_ import assign_range
from barnabas.groups.consumer.assignors.spec import Assignment, GroupSpec
from barnabas.groups.consumer.assignors.uniform import assign_uniform

ASSIGNORS: Final[dict[str, Callable[[GroupSpec], Assignment]]] = {
    "uniform": assign_uniform,
    "range": assign_range,
}
"""By their names in `group.consumer.assignors`."""

CLASS_NAMES: Final = {
    "org.apache.kafka.coordinator.group.assignor.UniformAssignor": "uniform",
    "org.apache.kafka.coordinator.group.assignor.RangeAssignor": "range",
}
"""Kafka lets the configuration name them by their classes, too."""
