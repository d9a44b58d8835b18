"""What a ConsumerGroupHeartbeat must say, whatever group and member it is from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.groups.consumer.member import AWAY, JOINING, LEFT
from barnabas.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from barnabas.groups.settings import ConsumerGroupSettings
    from barnabas.wire.messages.consumer_group_heartbeat_request import (
        ConsumerGroupHeartbeatRequest,
    )

OWN_MEMBER_ID_FROM = 1
"""From this version on members choose their ids themselves (KIP-1082)."""


def check_heartbeat(
    request: ConsumerGroupHeartbeatRequest, version: int, settings: ConsumerGroupSettings
) -> None:
    """Raises `KafkaError` INVALID_REQUEST or UNSUPPORTED_ASSIGNOR, with a sentence."""
    epoch = request.member_epoch
    if not request.member_id and (
        version >= OWN_MEMBER_ID_FROM or epoch > JOINING or epoch == LEFT
    ):
        raise _invalid("MemberId can't be empty.")
    if not request.group_id:
        raise _invalid("GroupId can't be empty.")
    if request.instance_id == "":
        raise _invalid("InstanceId can't be empty.")
    if request.rack_id == "":
        raise _invalid("RackId can't be empty.")
    if epoch == JOINING:
        _check_join(request)
    elif epoch == AWAY and request.instance_id is None:
        raise _invalid("InstanceId can't be null.")
    elif epoch < AWAY:
        raise _invalid("MemberEpoch is invalid.")
    assignor = request.server_assignor
    if assignor is not None and assignor not in settings.assignors:
        known = ", ".join(settings.assignors)
        raise KafkaError(
            ErrorCode.UNSUPPORTED_ASSIGNOR,
            f"ServerAssignor {assignor} is not supported. Supported assignors: {known}.",
        )


def _check_join(request: ConsumerGroupHeartbeatRequest) -> None:
    if request.rebalance_timeout_ms == -1:
        raise _invalid("RebalanceTimeoutMs must be provided in first request.")
    if request.topic_partitions is None or request.topic_partitions:
        raise _invalid("TopicPartitions must be empty when (re-)joining.")
    if request.subscribed_topic_names is None and request.subscribed_topic_regex is None:
        raise _invalid("SubscribedTopicNames or SubscribedTopicRegex must be given when joining.")


def _invalid(sentence: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_REQUEST, sentence)
