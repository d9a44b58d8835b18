"""Dynamic configs of topics, brokers, groups and client metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

from barnabas.metadata.image.changes import MapDelta
from barnabas.metadata.record_types import ConfigRecord

# Kafka's numbers of config resource types.
TOPIC = 2
BROKER = 4
BROKER_LOGGER = 8
CLIENT_METRICS = 16
GROUP = 32

ConfigResource: TypeAlias = tuple[int, str]
"""(resource type, resource name); the empty name of BROKER is the cluster-wide default."""


class ConfigsImage(NamedTuple):
    """Values by resource; a resource without values is absent."""

    resources: Mapping[ConfigResource, Mapping[str, str]]

    @classmethod
    def empty(cls) -> ConfigsImage:
        """No dynamic configs."""
        return cls({})

    def of(self, resource_type: int, name: str) -> Mapping[str, str]:
        """The values of one resource."""
        return self.resources.get((resource_type, name), {})

    def records(self) -> Iterator[ConfigRecord]:
        """Back to records."""
        for (resource_type, resource_name), values in self.resources.items():
            for name, value in values.items():
                yield ConfigRecord(
                    resource_type=resource_type,
                    resource_name=resource_name,
                    name=name,
                    value=value,
                )


class ConfigsDelta:
    """Folds ConfigRecords; `changed` maps a resource to the changes of its values."""

    __slots__ = ("changed", "image")

    def __init__(self, image: ConfigsImage) -> None:
        self.image = image
        self.changed: dict[ConfigResource, MapDelta[str, str]] = {}

    def replay(self, record: ConfigRecord) -> None:
        """A null value deletes. Names that this node does not know are kept, for others."""
        delta = self._resource((record.resource_type, record.resource_name))
        if record.value is None:
            delta.remove(record.name)
        else:
            delta.put(record.name, record.value)

    def remove_topic(self, name: str) -> None:
        """Configs of a deleted topic go with it."""
        resource = (TOPIC, name)
        if resource in self.changed or resource in self.image.resources:
            delta = self._resource(resource)
            for key in [*delta.base, *delta.changes]:
                delta.remove(key)

    def apply(self) -> ConfigsImage:
        """The new image."""
        resources: MapDelta[ConfigResource, Mapping[str, str]] = MapDelta(self.image.resources)
        for resource, delta in self.changed.items():
            values = delta.apply()
            if values:
                resources.put(resource, values)
            else:
                resources.remove(resource)
        return ConfigsImage(resources.apply())

    def _resource(self, resource: ConfigResource) -> MapDelta[str, str]:
        delta = self.changed.get(resource)
        if delta is None:
            delta = self.changed[resource] = MapDelta(self.image.resources.get(resource, {}))
        return delta
