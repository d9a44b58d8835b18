"""ApiVersions (key 18), versions 0-4; broker and controller listeners.

v1 throttle time; v3 flexible, client software (KIP-511), features (KIP-584); v4 lists features whose
lowest level is 0. Errors: INVALID_REQUEST for an illegal client software name or version. An unknown
version is answered in v0 with UNSUPPORTED_VERSION (`dispatch.unsupported_api_versions`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from barnabas.metadata.features import KRAFT_VERSION, supported_features
from barnabas.wire.apis import API
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.api_versions_request import ApiVersionsRequest
from barnabas.wire.messages.api_versions_response import (
    ApiVersion,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

_SOFTWARE: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")


def handle(broker: Broker, request: Request, message: ApiVersionsRequest) -> ApiVersionsResponse:
    """List what this listener serves, and the feature levels of the metadata image."""
    if request.api_version >= 3 and not (
        _SOFTWARE.fullmatch(message.client_software_name)
        and _SOFTWARE.fullmatch(message.client_software_version)
    ):
        return ApiVersionsResponse(error_code=ErrorCode.INVALID_REQUEST)
    image = broker.image
    # kraft.version lives in the quorum's control records, not in the image (KIP-853).
    levels = image.features.levels() | {KRAFT_VERSION: broker.metadata.kraft_version}
    return ApiVersionsResponse(
        api_keys=[
            ApiVersion(api.key, api.advertised_min, api.max_version)
            for api in map(API.__getitem__, request.connection.served_keys)
        ],
        supported_features=[
            SupportedFeatureKey(name, levels.min, levels.max)
            for name, levels in supported_features().items()
            # Clients of v0-3 can't parse a lowest level of 0 (KIP-1022).
            if request.api_version >= 4 or levels.min > 0
        ],
        finalized_features_epoch=max(image.provenance.offset, 0),
        finalized_features=[
            FinalizedFeatureKey(name, level, level) for name, level in levels.items() if level > 0
        ],
    )
