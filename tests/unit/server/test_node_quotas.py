"""Quotas over the wire: described and altered in every version."""

from __future__ import annotations

import pytest

from barnabas.metadata.controller.decision import Decision
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.record_types import UserScramCredentialRecord
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages import describe_client_quotas_request as describe
from barnabas.wire.messages.alter_client_quotas_request import (
    AlterClientQuotasRequest,
    EntityData,
    EntryData,
    OpData,
)
from barnabas.wire.messages.alter_client_quotas_response import AlterClientQuotasResponse
from barnabas.wire.messages.describe_client_quotas_response import DescribeClientQuotasResponse
from barnabas.wire.messages.describe_user_scram_credentials_request import (
    DescribeUserScramCredentialsRequest,
    UserName,
)
from barnabas.wire.messages.describe_user_scram_credentials_response import (
    DescribeUserScramCredentialsResponse,
)
from tests.unit.server.calm import CONTROLLER_PORT, Session, calm

Found = list[tuple[dict[str, str | None], dict[str, float]]]
EXACT, DEFAULT, SPECIFIED = 0, 1, 2
RATE = "producer_byte_rate"


async def alter(
    s: Session,
    entity: dict[str, str | None],
    values: dict[str, float | None],
    version: int = 1,
    port: int = 9092,
) -> int:
    """Set quotas (None removes); the error code."""
    ops = [OpData(k, v or 0.0, v is None) for k, v in values.items()]
    entry = EntryData([EntityData(kind, name) for kind, name in entity.items()], ops)
    request = AlterClientQuotasRequest([entry])
    answer = await s.ask(request, AlterClientQuotasResponse, version, port=port)
    [only] = answer.entries
    assert {e.entity_type: e.entity_name for e in only.entity} == entity
    return only.error_code


async def described(
    s: Session, *components: tuple[str, int, str | None], strict: bool = False, version: int = 1
) -> Found:
    """What matches, in the order of the answer."""
    asked = [describe.ComponentData(*component) for component in components]
    answer = await s.ask(
        describe.DescribeClientQuotasRequest(asked, strict), DescribeClientQuotasResponse, version
    )
    assert (answer.error_code, answer.error_message) == (ErrorCode.NONE, "")
    return [
        (
            {e.entity_type: e.entity_name for e in entry.entity},
            {v.key: v.value for v in entry.values},
        )
        for entry in answer.entries or ()
    ]


def test_quotas_are_altered_and_described_in_every_version() -> None:
    async def scenario(s: Session) -> None:
        for version in range(2):
            for port in (9092, CONTROLLER_PORT):
                user: dict[str, str | None] = {"user": f"u{version}"}
                assert await alter(s, user, {RATE: 5.0}, version, port) == 0
                assert await described(s, version=version) == [(user, {RATE: 5.0})]
                assert await alter(s, user, {RATE: None}, version, port) == 0
            assert await described(s, version=version) == []

    calm(scenario)


def test_a_filter_finds_entities() -> None:
    entities: list[dict[str, str | None]] = [
        {"user": "u"},
        {"user": None},
        {"client-id": "c"},
        {"client-id": None, "user": "u"},
        {"client-id": "c", "user": None},
        {"ip": "10.0.0.1"},
        {"ip": None},
    ]
    keys = [RATE] * 5 + ["connection_creation_rate"] * 2

    async def scenario(s: Session) -> None:
        for entity, key in zip(entities, keys, strict=True):
            assert await alter(s, entity, {key: 1.0}) == 0

        async def found(*components: tuple[str, int, str | None], strict: bool = False) -> set[int]:
            return {entities.index(e) for e, _ in await described(s, *components, strict=strict)}

        assert await found() == set(range(7))
        assert await found(strict=True) == set()
        assert await found(("user", EXACT, "u")) == {0, 3}
        assert await found(("user", EXACT, "u"), strict=True) == {0}
        assert await found(("user", DEFAULT, None)) == {1, 4}
        assert await found(("user", SPECIFIED, None)) == {0, 1, 3, 4}
        assert await found(("user", SPECIFIED, None), ("client-id", EXACT, "c")) == {4}
        assert await found(("user", EXACT, "u"), ("client-id", DEFAULT, None), strict=True) == {3}
        assert await found(("client-id", SPECIFIED, None), strict=True) == {2}
        assert await found(("ip", SPECIFIED, None)) == {5, 6}
        assert await found(("ip", EXACT, "10.0.0.2")) == set()

    calm(scenario)


@pytest.mark.parametrize(
    ("components", "code"),
    [
        ([("", EXACT, "u")], ErrorCode.INVALID_REQUEST),
        ([("group", EXACT, "g")], ErrorCode.UNSUPPORTED_VERSION),
        ([("user", EXACT, None)], ErrorCode.INVALID_REQUEST),
        ([("user", DEFAULT, "u")], ErrorCode.INVALID_REQUEST),
        ([("user", SPECIFIED, "u")], ErrorCode.INVALID_REQUEST),
        ([("user", 3, None)], ErrorCode.INVALID_REQUEST),
        ([("user", EXACT, "u"), ("user", DEFAULT, None)], ErrorCode.INVALID_REQUEST),
        ([("user", EXACT, "u"), ("ip", DEFAULT, None)], ErrorCode.INVALID_REQUEST),
    ],
)
def test_a_wrong_filter_is_refused(
    components: list[tuple[str, int, str | None]], code: ErrorCode
) -> None:
    async def scenario(s: Session) -> None:
        asked = [describe.ComponentData(*component) for component in components]
        for version in range(2):
            request = describe.DescribeClientQuotasRequest(asked)
            answer = await s.ask(request, DescribeClientQuotasResponse, version)
            assert (answer.error_code, answer.entries) == (code, None)

    calm(scenario)


def test_a_wrong_quota_is_refused() -> None:
    async def scenario(s: Session) -> None:
        for version in range(2):
            code = await alter(s, {"user": "u"}, {RATE: -1.0}, version)
            assert code == ErrorCode.INVALID_REQUEST
        assert await described(s) == []

    calm(scenario)


def test_quotas_outlive_the_process() -> None:
    async def scenario(s: Session) -> None:
        assert await alter(s, {"user": "u", "client-id": None}, {RATE: 12.0}) == 0
        for kind in ("stop", "power"):
            await s.restart(kind)
            assert await described(s) == [({"client-id": None, "user": "u"}, {RATE: 12.0})]

    calm(scenario)


def test_scram_credentials_are_described_without_their_secrets() -> None:
    def credential(name: str, mechanism: int, iterations: int) -> UserScramCredentialRecord:
        return UserScramCredentialRecord(name, mechanism, b"salt", b"key", b"key", iterations)

    def decide(image: MetadataImage) -> Decision[None]:
        del image
        records = [credential("a", 2, 8192), credential("a", 1, 4096), credential("b", 1, 5000)]
        return Decision(records, None)

    async def ask(s: Session, users: list[str] | None, port: int) -> list[object]:
        asked = None if users is None else [UserName(user) for user in users]
        request = DescribeUserScramCredentialsRequest(asked)
        answer = await s.ask(request, DescribeUserScramCredentialsResponse, 0, port=port)
        assert (answer.error_code, answer.error_message) == (0, "")
        return [
            (r.user, r.error_code, [(c.mechanism, c.iterations) for c in r.credential_infos])
            for r in answer.results
        ]

    async def scenario(s: Session) -> None:
        assert s.node.node is not None
        assert await ask(s, None, 9092) == []
        await s.node.node.broker.submit(decide)
        a, b = ("a", 0, [(1, 4096), (2, 8192)]), ("b", 0, [(1, 5000)])
        for port in (9092, CONTROLLER_PORT):
            assert await ask(s, None, port) == await ask(s, [], port) == [a, b]
            found = await ask(s, ["b", "c"], port)
            assert found == [b, ("c", ErrorCode.RESOURCE_NOT_FOUND, [])]
            assert await ask(s, ["a", "a"], port) == [("a", ErrorCode.DUPLICATE_RESOURCE, [])]

    calm(scenario)
