"""DescribeUserScramCredentials (key 50), version 0; broker and controller listeners (KIP-554).

Tells mechanisms and iterations, never what a password could be guessed from. Top level:
CLUSTER_AUTHORIZATION_FAILED. Per user: RESOURCE_NOT_FOUND, DUPLICATE_RESOURCE.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from barnabas.security.operations import Operation
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.describe_user_scram_credentials_request import (
    DescribeUserScramCredentialsRequest,
)
from barnabas.wire.messages.describe_user_scram_credentials_response import (
    CredentialInfo,
    DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


def handle(
    broker: Broker, request: Request, message: DescribeUserScramCredentialsRequest
) -> DescribeUserScramCredentialsResponse:
    """The credentials of some users, or of all."""
    if not broker.allowed.cluster(request, Operation.DESCRIBE):
        code, text = ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "Authorization failed."
        # As Kafka: the error once more for each user, who stays unnamed.
        refused = [DescribeUserScramCredentialsResult("", code, text) for _ in message.users or ()]
        return DescribeUserScramCredentialsResponse(
            error_code=code, error_message=text, results=refused
        )
    known: dict[str, list[CredentialInfo]] = {}
    for (mechanism, user), credential in sorted(broker.image.scram.credentials.items()):
        known.setdefault(user, []).append(CredentialInfo(mechanism, credential.iterations))
    asked = Counter(user.name for user in message.users or ()) or Counter(known.keys())
    return DescribeUserScramCredentialsResponse(
        results=[_result(user, count, known.get(user)) for user, count in asked.items()],
    )


def _result(
    user: str, count: int, infos: list[CredentialInfo] | None
) -> DescribeUserScramCredentialsResult:
    if count > 1:
        return DescribeUserScramCredentialsResult(
            user, ErrorCode.DUPLICATE_RESOURCE, f"The user {user} is in the request twice.", []
        )
    if infos is None:
        return DescribeUserScramCredentialsResult(
            user, ErrorCode.RESOURCE_NOT_FOUND, f"The user {user} has no SCRAM credentials.", []
        )
    return DescribeUserScramCredentialsResult(user, credential_infos=infos)
