"""Registered brokers and controllers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from barnabas.metadata.errors import MetadataError
from barnabas.metadata.features import (
    MV_CONTROLLER_REGISTRATION,
    MV_CORDONED_LOG_DIRS,
    MV_DIRECTORY_ASSIGNMENT,
    LevelRange,
)
from barnabas.metadata.image.changes import MapDelta
from barnabas.metadata.image.partition import (
    DIRECTORY_LOST,
    DIRECTORY_MIGRATING,
    DIRECTORY_UNASSIGNED,
)
from barnabas.metadata.record_types import (
    BrokerRegistrationChangeRecord,
    RegisterBrokerRecord,
    RegisterControllerRecord,
    UnregisterBrokerRecord,
)
from barnabas.metadata.records.register_broker_record import BrokerEndpoint, BrokerFeature
from barnabas.metadata.records.register_controller_record import (
    ControllerEndpoint,
    ControllerFeature,
)

# Values of BrokerRegistrationChangeRecord's switches.
FENCE = 1
UNFENCE = -1
NO_CHANGE = 0
ENTER_CONTROLLED_SHUTDOWN = 1


class Endpoint(NamedTuple):
    """Where one listener of a node is reached; `security_protocol` is Kafka's number."""

    name: str
    host: str
    port: int
    security_protocol: int


class BrokerRegistration(NamedTuple):
    """A broker as it registered. `cordoned_directories` is None until the broker told."""

    id: int
    epoch: int
    incarnation_id: bytes
    endpoints: tuple[Endpoint, ...]
    features: Mapping[str, LevelRange]
    rack: str | None
    fenced: bool
    in_controlled_shutdown: bool
    directories: tuple[bytes, ...]
    cordoned_directories: tuple[bytes, ...] | None
    migrating_zk_broker: bool

    @classmethod
    def from_record(cls, record: RegisterBrokerRecord) -> BrokerRegistration:
        """From a registration in the log."""
        cordoned = record.cordoned_log_dirs
        return cls(
            record.broker_id,
            record.broker_epoch,
            record.incarnation_id,
            tuple(Endpoint(e.name, e.host, e.port, e.security_protocol) for e in record.end_points),
            {
                f.name: LevelRange(f.min_supported_version, f.max_supported_version)
                for f in record.features
            },
            record.rack,
            record.fenced,
            record.in_controlled_shutdown,
            tuple(record.log_dirs),
            None if cordoned is None else tuple(cordoned),
            record.is_migrating_zk_broker,
        )

    def record(self, metadata_version: int) -> RegisterBrokerRecord:
        """Back to a record, with what `metadata_version` can say."""
        record = RegisterBrokerRecord(
            broker_id=self.id,
            is_migrating_zk_broker=self.migrating_zk_broker,
            incarnation_id=self.incarnation_id,
            broker_epoch=self.epoch,
            end_points=[
                BrokerEndpoint(
                    name=e.name, host=e.host, port=e.port, security_protocol=e.security_protocol
                )
                for e in self.endpoints
            ],
            features=[
                BrokerFeature(name=n, min_supported_version=r.min, max_supported_version=r.max)
                for n, r in self.features.items()
            ],
            rack=self.rack,
            fenced=self.fenced,
            in_controlled_shutdown=self.in_controlled_shutdown,
        )
        if metadata_version >= MV_DIRECTORY_ASSIGNMENT:
            record.log_dirs = list(self.directories)
        if metadata_version >= MV_CORDONED_LOG_DIRS and self.cordoned_directories is not None:
            record.cordoned_log_dirs = list(self.cordoned_directories)
        return record

    @property
    def active(self) -> bool:
        """Able to lead and to join an ISR: neither fenced nor on its way out."""
        return not self.fenced and not self.in_controlled_shutdown

    def endpoint(self, listener: str) -> Endpoint | None:
        """The endpoint of a listener by name."""
        for endpoint in self.endpoints:
            if endpoint.name == listener:
                return endpoint
        return None

    def has_online_directory(self, directory: bytes) -> bool:
        """Whether a replica placed in `directory` is usable (KIP-858).

        Not yet known directories count as online, and so does everything of a broker that
        registered without directories (before metadata.version 17).
        """
        if directory in (DIRECTORY_UNASSIGNED, DIRECTORY_MIGRATING):
            return True
        if directory == DIRECTORY_LOST:
            return False
        return not self.directories or directory in self.directories


class ControllerRegistration(NamedTuple):
    """A controller as it registered (KIP-919)."""

    id: int
    incarnation_id: bytes
    zk_migration_ready: bool
    endpoints: tuple[Endpoint, ...]
    features: Mapping[str, LevelRange]

    @classmethod
    def from_record(cls, record: RegisterControllerRecord) -> ControllerRegistration:
        """From a registration in the log."""
        return cls(
            record.controller_id,
            record.incarnation_id,
            record.zk_migration_ready,
            tuple(Endpoint(e.name, e.host, e.port, e.security_protocol) for e in record.end_points),
            {
                f.name: LevelRange(f.min_supported_version, f.max_supported_version)
                for f in record.features
            },
        )

    def record(self) -> RegisterControllerRecord:
        """Back to a record."""
        return RegisterControllerRecord(
            controller_id=self.id,
            incarnation_id=self.incarnation_id,
            zk_migration_ready=self.zk_migration_ready,
            end_points=[
                ControllerEndpoint(
                    name=e.name, host=e.host, port=e.port, security_protocol=e.security_protocol
                )
                for e in self.endpoints
            ],
            features=[
                ControllerFeature(name=n, min_supported_version=r.min, max_supported_version=r.max)
                for n, r in self.features.items()
            ],
        )


class ClusterImage(NamedTuple):
    """Registrations by node id."""

    brokers: Mapping[int, BrokerRegistration]
    controllers: Mapping[int, ControllerRegistration]

    @classmethod
    def empty(cls) -> ClusterImage:
        """Nobody registered."""
        return cls({}, {})

    def active(self, broker_id: int) -> bool:
        """Whether a broker is registered, unfenced and not shutting down."""
        broker = self.brokers.get(broker_id)
        return broker is not None and broker.active

    def records(
        self, metadata_version: int
    ) -> Iterator[RegisterBrokerRecord | RegisterControllerRecord]:
        """Back to records: brokers, then controllers."""
        for broker in self.brokers.values():
            yield broker.record(metadata_version)
        if metadata_version >= MV_CONTROLLER_REGISTRATION:
            for controller in self.controllers.values():
                yield controller.record()


class ClusterDelta:
    """Folds registration records."""

    __slots__ = ("brokers", "controllers")

    def __init__(self, image: ClusterImage) -> None:
        self.brokers: MapDelta[int, BrokerRegistration] = MapDelta(image.brokers)
        self.controllers: MapDelta[int, ControllerRegistration] = MapDelta(image.controllers)

    def register_broker(self, record: RegisterBrokerRecord) -> None:
        """A new registration replaces an older one of the same id."""
        self.brokers.put(record.broker_id, BrokerRegistration.from_record(record))

    def unregister_broker(self, record: UnregisterBrokerRecord) -> None:
        """Forget a broker."""
        self.brokers.remove(record.broker_id)

    def register_controller(self, record: RegisterControllerRecord) -> None:
        """A new registration replaces an older one of the same id."""
        registration = ControllerRegistration.from_record(record)
        self.controllers.put(record.controller_id, registration)

    def set_fenced(self, broker_id: int, epoch: int, fenced: bool) -> None:
        """The legacy FenceBrokerRecord and UnfenceBrokerRecord."""
        broker = self._broker(broker_id, epoch)
        self.brokers.put(broker_id, broker._replace(fenced=fenced))

    def change_broker(self, record: BrokerRegistrationChangeRecord) -> None:
        """Fencing, controlled shutdown, directories: only what the record sets."""
        broker = self._broker(record.broker_id, record.broker_epoch)
        if record.fenced not in (FENCE, NO_CHANGE, UNFENCE):
            raise MetadataError(f"unknown fencing change {record.fenced}")
        if record.in_controlled_shutdown not in (NO_CHANGE, ENTER_CONTROLLED_SHUTDOWN):
            raise MetadataError(f"unknown shutdown change {record.in_controlled_shutdown}")
        if record.fenced != NO_CHANGE:
            broker = broker._replace(fenced=record.fenced == FENCE)
        if record.in_controlled_shutdown == ENTER_CONTROLLED_SHUTDOWN:
            broker = broker._replace(in_controlled_shutdown=True)
        if record.log_dirs:
            broker = broker._replace(directories=tuple(record.log_dirs))
        if record.cordoned_log_dirs is not None:
            broker = broker._replace(cordoned_directories=tuple(record.cordoned_log_dirs))
        self.brokers.put(record.broker_id, broker)

    def apply(self) -> ClusterImage:
        """The new image."""
        return ClusterImage(self.brokers.apply(), self.controllers.apply())

    def _broker(self, broker_id: int, epoch: int) -> BrokerRegistration:
        broker = self.brokers.get(broker_id)
        if broker is None:
            raise MetadataError(f"broker {broker_id} is not registered")
        if broker.epoch != epoch:
            raise MetadataError(
                f"broker {broker_id} has epoch {broker.epoch}, a change names epoch {epoch}"
            )
        return broker
