"""Registration of brokers and controllers (KIP-631, KIP-919, KIP-858, KIP-966)."""

from __future__ import annotations

from barnabas.metadata.controller.broker_changes import (
    fence_broker,
    replace_incarnation,
    unregister_broker,
)
from barnabas.metadata.controller.decision import ControllerSettings, Decision
from barnabas.metadata.controller.sessions import BrokerSessions
from barnabas.metadata.features import (
    METADATA_VERSION,
    MV_CONTROLLER_REGISTRATION,
    MV_DIRECTORY_ASSIGNMENT,
)
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.partition import directory_reserved
from barnabas.metadata.record_types import RegisterBrokerRecord, RegisterControllerRecord
from barnabas.metadata.records.register_broker_record import BrokerEndpoint, BrokerFeature
from barnabas.metadata.records.register_controller_record import (
    ControllerEndpoint,
    ControllerFeature,
)
from barnabas.wire import uuids
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.broker_registration_request import BrokerRegistrationRequest
from barnabas.wire.messages.broker_registration_response import BrokerRegistrationResponse
from barnabas.wire.messages.controller_registration_request import ControllerRegistrationRequest
from barnabas.wire.messages.controller_registration_response import ControllerRegistrationResponse


def register_broker(
    image: MetadataImage,
    settings: ControllerSettings,
    sessions: BrokerSessions,
    request: BrokerRegistrationRequest,
    *,
    version: int,
    now_ms: int,
) -> Decision[BrokerRegistrationResponse]:
    """A broker process announces itself.

    The broker epoch is the offset after the image, where the records will be appended. The same
    incarnation keeps its epoch and state. Raises KafkaError: INCONSISTENT_CLUSTER_ID,
    DUPLICATE_BROKER_REGISTRATION, BROKER_ID_NOT_REGISTERED, INVALID_REGISTRATION,
    UNSUPPORTED_VERSION.
    """
    existing = image.cluster.brokers.get(request.broker_id)
    if request.cluster_id != settings.cluster_id:
        raise KafkaError(
            ErrorCode.INCONSISTENT_CLUSTER_ID,
            f"The cluster id is {settings.cluster_id}, not {request.cluster_id}.",
        )
    same = existing is not None and existing.incarnation_id == request.incarnation_id
    if existing and not same and sessions.valid(request.broker_id, existing.epoch, now_ms):
        raise KafkaError(
            ErrorCode.DUPLICATE_BROKER_REGISTRATION,
            f"Another process is alive as broker {request.broker_id}. After a restart this "
            "passes when the session of the former process has run out.",
        )
    if request.is_migrating_zk_broker:
        raise KafkaError(
            ErrorCode.BROKER_ID_NOT_REGISTERED, "Brokers under ZooKeeper cannot register."
        )
    if image.features.version >= MV_DIRECTORY_ASSIGNMENT:
        _check_directories(image, request)
    _check_features(image, request)
    record = _broker_record(image, request)
    records: list[Message] = []
    if existing is not None and same:
        record.fenced = existing.fenced
        record.in_controlled_shutdown = existing.in_controlled_shutdown
        record.broker_epoch = existing.epoch
    else:
        record.broker_epoch = image.provenance.offset + 1
        if existing is not None:
            # Before version 3 a broker could not tell how its former process ended.
            clean = version >= 3 and existing.epoch == request.previous_broker_epoch
            records += replace_incarnation(image, settings, request.broker_id, clean=clean)
    records.append(record)
    response = BrokerRegistrationResponse(broker_epoch=record.broker_epoch)
    # The registration comes last, so that an interrupted clean-up is done again with the next one.
    return Decision(records, response, atomic=False)


def unregister(
    image: MetadataImage, settings: ControllerSettings, broker_id: int
) -> Decision[None]:
    """Drop a registration. Raises KafkaError BROKER_ID_NOT_REGISTERED."""
    if broker_id not in image.cluster.brokers:
        raise KafkaError(
            ErrorCode.BROKER_ID_NOT_REGISTERED, f"Broker {broker_id} is not registered."
        )
    return Decision(unregister_broker(image, settings, broker_id), None, atomic=False)


def fence_stale(
    image: MetadataImage, settings: ControllerSettings, sessions: BrokerSessions, now_ms: int
) -> Decision[int | None]:
    """Fence one broker whose session ran out; the reply is its id.

    One at a time, so that the next decision sees what the fencing did. To be asked every eighth
    of the session timeout, and again at once while the reply is not None.
    """
    for broker_id in sessions.expired(now_ms):
        sessions.end(broker_id)
        broker = image.cluster.brokers.get(broker_id)
        if broker is not None and not broker.fenced:
            return Decision(fence_broker(image, settings, broker_id), broker_id, atomic=False)
    return Decision((), None)


def register_controller(
    image: MetadataImage, request: ControllerRegistrationRequest
) -> Decision[ControllerRegistrationResponse]:
    """A controller process announces itself. Raises KafkaError UNSUPPORTED_VERSION."""
    if image.features.version < MV_CONTROLLER_REGISTRATION:
        raise KafkaError(
            ErrorCode.UNSUPPORTED_VERSION,
            "The cluster's metadata.version is too old for controllers to register.",
        )
    record = RegisterControllerRecord(
        controller_id=request.controller_id,
        incarnation_id=request.incarnation_id,
        zk_migration_ready=False,
        end_points=[
            ControllerEndpoint(
                name=e.name, host=e.host, port=e.port, security_protocol=e.security_protocol
            )
            for e in request.listeners
        ],
        features=[
            ControllerFeature(
                name=f.name,
                min_supported_version=f.min_supported_version,
                max_supported_version=f.max_supported_version,
            )
            for f in request.features
        ],
    )
    return Decision((record,), ControllerRegistrationResponse(error_message=None))


def _check_directories(image: MetadataImage, request: BrokerRegistrationRequest) -> None:
    if not request.log_dirs:
        raise _invalid("it names no log directories")
    if any(directory_reserved(directory) for directory in request.log_dirs):
        raise _invalid("it names a reserved directory id")
    if len(set(request.log_dirs)) != len(request.log_dirs):
        raise _invalid("it names a directory twice")
    for broker in image.cluster.brokers.values():
        if broker.id == request.broker_id:
            continue
        for directory in request.log_dirs:
            if directory in broker.directories:
                raise _invalid(
                    f"directory {uuids.to_text(directory)} is registered to broker {broker.id}"
                )


def _invalid(why: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_REGISTRATION, f"Registration refused: {why}.")


def _check_features(image: MetadataImage, request: BrokerRegistrationRequest) -> None:
    """Every finalised level must lie in the broker's range; a missing feature has 0 to 0."""
    ranges = {f.name: (f.min_supported_version, f.max_supported_version) for f in request.features}
    if METADATA_VERSION not in ranges:
        raise _invalid(f"its features lack {METADATA_VERSION}")
    levels = image.features.levels()
    for name in [*ranges, *(n for n in levels if n not in ranges)]:
        level = image.features.version if name == METADATA_VERSION else levels.get(name, 0)
        low, high = ranges.get(name, (0, 0))
        if not low <= level <= high:
            raise KafkaError(
                ErrorCode.UNSUPPORTED_VERSION,
                f"The broker supports {name} from {low} to {high}, the cluster is at {level}.",
            )


def _broker_record(
    image: MetadataImage, request: BrokerRegistrationRequest
) -> RegisterBrokerRecord:
    record = RegisterBrokerRecord(
        broker_id=request.broker_id,
        incarnation_id=request.incarnation_id,
        end_points=[
            BrokerEndpoint(
                name=e.name, host=e.host, port=e.port, security_protocol=e.security_protocol
            )
            for e in request.listeners
        ],
        features=[
            BrokerFeature(
                name=f.name,
                min_supported_version=f.min_supported_version,
                max_supported_version=f.max_supported_version,
            )
            for f in request.features
        ],
        rack=request.rack,
        fenced=True,
    )
    if image.features.version >= MV_DIRECTORY_ASSIGNMENT:
        record.log_dirs = list(request.log_dirs)
    return record
