"""Broker heartbeats: unfencing, fencing, controlled shutdown, failed directories (KIP-631)."""

from __future__ import annotations

from enum import Enum

from barnabas.metadata.controller.broker_changes import (
    directories_offline,
    enter_controlled_shutdown,
    fence_broker,
    leads_anything,
    unfence_broker,
)
from barnabas.metadata.controller.decision import ControllerSettings, Decision
from barnabas.metadata.controller.sessions import BrokerSessions
from barnabas.metadata.features import MV_CORDONED_LOG_DIRS, MV_DIRECTORY_ASSIGNMENT
from barnabas.metadata.image import BrokerRegistration, MetadataImage
from barnabas.metadata.record_types import BrokerRegistrationChangeRecord
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.broker_heartbeat_request import BrokerHeartbeatRequest
from barnabas.wire.messages.broker_heartbeat_response import BrokerHeartbeatResponse


class BrokerControlState(Enum):
    """Where a broker stands with the controller."""

    FENCED = "fenced"
    UNFENCED = "unfenced"
    CONTROLLED_SHUTDOWN = "controlled shutdown"
    SHUTDOWN_NOW = "shutdown now"


FENCED = BrokerControlState.FENCED
UNFENCED = BrokerControlState.UNFENCED
CONTROLLED_SHUTDOWN = BrokerControlState.CONTROLLED_SHUTDOWN
SHUTDOWN_NOW = BrokerControlState.SHUTDOWN_NOW


def check_broker_epoch(image: MetadataImage, broker_id: int, epoch: int) -> BrokerRegistration:
    """The registration. Raises KafkaError STALE_BROKER_EPOCH when it is not this process's."""
    broker = image.cluster.brokers.get(broker_id)
    if broker is None:
        raise KafkaError(ErrorCode.STALE_BROKER_EPOCH, f"Broker {broker_id} is not registered.")
    if broker.epoch != epoch:
        raise KafkaError(
            ErrorCode.STALE_BROKER_EPOCH,
            f"Broker {broker_id} is at epoch {broker.epoch}, the request is from epoch {epoch}.",
        )
    return broker


def heartbeat(
    image: MetadataImage,
    settings: ControllerSettings,
    sessions: BrokerSessions,
    request: BrokerHeartbeatRequest,
    now_ms: int,
) -> Decision[BrokerHeartbeatResponse]:
    """Note that the broker lives, and move it to its next state.

    Raises KafkaError STALE_BROKER_EPOCH. `sessions` is touched at once; it is not in the log.
    """
    broker = check_broker_epoch(image, request.broker_id, request.broker_epoch)
    current = control_state(broker)
    following = next_state(image, sessions, broker, request)
    records: list[Message] = []
    if following is not current:
        match following:
            case BrokerControlState.FENCED | BrokerControlState.SHUTDOWN_NOW:
                if not broker.fenced:
                    records += fence_broker(image, settings, broker.id)
            case BrokerControlState.UNFENCED:
                records += unfence_broker(image, settings, broker.id)
            case BrokerControlState.CONTROLLED_SHUTDOWN:
                records += enter_controlled_shutdown(image, settings, broker.id)
    sessions.touch(broker.id, broker.epoch, request.current_metadata_offset, now_ms)
    if image.features.version >= MV_DIRECTORY_ASSIGNMENT and request.offline_log_dirs:
        records += directories_offline(image, settings, broker.id, request.offline_log_dirs)
    if image.features.version >= MV_CORDONED_LOG_DIRS:
        records += _cordoned(broker, request.cordoned_log_dirs)
    response = BrokerHeartbeatResponse(
        is_caught_up=request.current_metadata_offset >= sessions.registered_at(broker.id),
        is_fenced=following in (FENCED, SHUTDOWN_NOW),
        should_shut_down=following is SHUTDOWN_NOW,
    )
    return Decision(records, response, atomic=False)


def control_state(broker: BrokerRegistration) -> BrokerControlState:
    """The state that a registration shows."""
    if broker.fenced:
        return FENCED
    return CONTROLLED_SHUTDOWN if broker.in_controlled_shutdown else UNFENCED


def next_state(
    image: MetadataImage,
    sessions: BrokerSessions,
    broker: BrokerRegistration,
    request: BrokerHeartbeatRequest,
) -> BrokerControlState:
    """What a heartbeat asks for, as far as it may have it."""
    current = control_state(broker)
    if current is FENCED:
        if request.want_shut_down:
            return SHUTDOWN_NOW
        caught_up = request.current_metadata_offset >= sessions.registered_at(broker.id)
        return UNFENCED if not request.want_fence and caught_up else FENCED
    if current is UNFENCED:
        if request.want_fence:
            return SHUTDOWN_NOW if request.want_shut_down else FENCED
        if not request.want_shut_down:
            return UNFENCED
        return CONTROLLED_SHUTDOWN if leads_anything(image, broker.id) else SHUTDOWN_NOW
    if leads_anything(image, broker.id):
        return CONTROLLED_SHUTDOWN
    # The others must have seen that it no longer leads before it goes.
    if sessions.shutdown_at(broker.id) <= sessions.lowest_active_offset(image):
        return SHUTDOWN_NOW
    return CONTROLLED_SHUTDOWN


def _cordoned(broker: BrokerRegistration, cordoned: list[bytes] | None) -> list[Message]:
    # Null until the broker has caught up with the metadata.
    if cordoned is None:
        return []
    stored = broker.cordoned_directories
    if stored is not None and sorted(stored) == sorted(cordoned):
        return []
    change = BrokerRegistrationChangeRecord(
        broker_id=broker.id, broker_epoch=broker.epoch, cordoned_log_dirs=list(cordoned)
    )
    return [change]
