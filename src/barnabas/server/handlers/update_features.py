"""UpdateFeatures (key 57), versions 0-2; broker and controller listeners (KIP-584, KIP-778).

v1 kinds of upgrade, validation alone; v2 no results by feature. v0's allow_downgrade is not heeded, as
with Kafka. Errors of the whole, nothing is changed then: INVALID_UPDATE_VERSION,
CLUSTER_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.metadata.controller.feature_updates import Quorum, update_features
from barnabas.metadata.features import KRAFT_VERSION, supported_features
from barnabas.security.operations import Operation
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.update_features_request import UpdateFeaturesRequest
from barnabas.wire.messages.update_features_response import (
    UpdatableFeatureResult,
    UpdateFeaturesResponse,
)
from barnabas.wire.messages.voters_record import (
    Endpoint,
    KRaftVersionFeature,
    Voter,
    VotersRecord,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: UpdateFeaturesRequest
) -> UpdateFeaturesResponse:
    """Set finalised levels of features."""
    if not broker.allowed.cluster(request, Operation.ALTER):
        return UpdateFeaturesResponse(
            error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
            error_message="Cluster authorization failed.",
        )
    try:
        await broker.submit(
            lambda image: update_features(image, broker.settings, _quorum(broker), message)
        )
    except KafkaError as error:
        return UpdateFeaturesResponse(error_code=error.code, error_message=error.message)
    response = UpdateFeaturesResponse(error_message=None)
    if request.api_version <= 1:
        response.results = [
            UpdatableFeatureResult(update.feature, ErrorCode.NONE, ErrorCode.NONE.name)
            for update in message.feature_updates
        ]
    return response


def _quorum(broker: Broker) -> Quorum:
    """This node, the only voter, as the log would name it."""
    own = broker.metadata.settings.quorum.own
    levels = supported_features()[KRAFT_VERSION]
    voter = Voter(
        own.id,
        own.directory_id,
        [Endpoint(e.listener, e.host, e.port) for e in broker.controller_endpoints],
        KRaftVersionFeature(levels.min, levels.max),
    )
    return Quorum(broker.metadata.appended_kraft_version, VotersRecord(voters=[voter]))
