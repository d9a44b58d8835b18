"""AlterClientQuotas: what becomes of each entity, and which records are written."""

from __future__ import annotations

import math

import pytest

from barnabas.metadata.controller.client_quotas import alter_client_quotas
from barnabas.metadata.image import MetadataImage
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.alter_client_quotas_request import (
    AlterClientQuotasRequest,
    EntityData,
    EntryData,
    OpData,
)
from tests.unit.metadata.cluster import after, image_of

Change = tuple[dict[str, str | None], dict[str, float | None]]
PRODUCE, FETCH = "producer_byte_rate", "consumer_byte_rate"
OK, INVALID = ErrorCode.NONE, ErrorCode.INVALID_REQUEST


def entry(entity: dict[str, str | None], ops: dict[str, float | None]) -> EntryData:
    """One change; the value None removes."""
    return EntryData(
        [EntityData(kind, name) for kind, name in entity.items()],
        [OpData(k, 0.0, True) if v is None else OpData(k, v) for k, v in ops.items()],
    )


def alter(
    image: MetadataImage, *changes: Change, validate_only: bool = False
) -> tuple[list[ErrorCode], MetadataImage]:
    """Codes, and the image afterwards."""
    request = AlterClientQuotasRequest([entry(*change) for change in changes], validate_only)
    decision = alter_client_quotas(image, request)
    return [ErrorCode(e.error_code) for e in decision.response.entries], after(image, decision)


def quotas(image: MetadataImage) -> dict[object, dict[str, float]]:
    """What is set."""
    return {entity: dict(values) for entity, values in image.client_quotas.entities.items()}


def test_quotas_are_set_changed_and_removed() -> None:
    alice: dict[str, str | None] = {"user": "alice", "client-id": None}
    codes, image = alter(image_of(), (alice, {PRODUCE: 1000, FETCH: 2000}), ({"ip": None}, {}))
    assert codes == [OK, OK]
    key = (("client-id", None), ("user", "alice"))
    assert quotas(image) == {key: {PRODUCE: 1000.0, FETCH: 2000.0}}
    codes, image = alter(image, (alice, {PRODUCE: 5, FETCH: None, "request_percentage": None}))
    assert (codes, quotas(image)) == ([OK], {key: {PRODUCE: 5.0}})
    codes, image = alter(image, (alice, {PRODUCE: None}))
    assert (codes, quotas(image)) == ([OK], {})


def test_what_does_not_change_writes_nothing() -> None:
    user: dict[str, str | None] = {"user": "u"}
    _, image = alter(image_of(), (user, {PRODUCE: 7}))
    request = AlterClientQuotasRequest([entry(user, {PRODUCE: 7, FETCH: None})])
    assert alter_client_quotas(image, request).records == []


def test_a_check_alone_writes_nothing() -> None:
    codes, image = alter(image_of(), ({"user": "u"}, {PRODUCE: 7}), validate_only=True)
    assert (codes, quotas(image)) == ([OK], {})


@pytest.mark.parametrize(
    ("entity", "ops"),
    [
        ({}, {PRODUCE: 1}),
        ({"user": ""}, {PRODUCE: 1}),
        ({"group": "g"}, {PRODUCE: 1}),
        ({"ip": "10.0.0.1", "user": "u"}, {"connection_creation_rate": 1}),
        ({"ip": "10.0.0.300"}, {"connection_creation_rate": 1}),
        ({"ip": "no address"}, {"connection_creation_rate": 1}),
        ({"ip": "10.0.0.1"}, {PRODUCE: 1}),
        ({"user": "u"}, {"connection_creation_rate": 1}),
        ({"user": "u"}, {"bytes": 1}),
        ({"user": "u"}, {PRODUCE: 0}),
        ({"user": "u"}, {PRODUCE: -1}),
        ({"user": "u"}, {PRODUCE: 1.5}),
        ({"user": "u"}, {PRODUCE: 1e19}),
        ({"user": "u"}, {PRODUCE: math.inf}),
        ({"user": "u"}, {"request_percentage": math.nan}),
        ({"ip": "10.0.0.1"}, {"connection_creation_rate": 2.0**31}),
        ({"user": "u"}, {FETCH: 5, PRODUCE: 0}),
    ],
)
def test_what_is_refused_changes_nothing(
    entity: dict[str, str | None], ops: dict[str, float | None]
) -> None:
    codes, image = alter(image_of(), (entity, ops), ({"user": "other"}, {PRODUCE: 1}))
    assert codes == [INVALID, OK]
    assert quotas(image) == {(("user", "other"),): {PRODUCE: 1.0}}


@pytest.mark.parametrize(
    ("entity", "ops"),
    [
        ({"ip": "::1"}, {"connection_creation_rate": 2**31 - 1}),
        ({"ip": None}, {"connection_creation_rate": 1}),
        ({"client-id": "c"}, {PRODUCE: 2.0**63}),
        ({"user": None, "client-id": None}, {"request_percentage": 0.25}),
        ({"user": "u"}, {"controller_mutation_rate": 0.1}),
        ({"user": "u"}, {PRODUCE: 1.0000001}),
    ],
)
def test_what_is_accepted(entity: dict[str, str | None], ops: dict[str, float | None]) -> None:
    codes, image = alter(image_of(), (entity, ops))
    assert codes == [OK]
    assert quotas(image) == {tuple(sorted(entity.items())): ops}


def test_an_entity_that_is_named_twice_is_answered_once() -> None:
    user: dict[str, str | None] = {"user": "u"}
    codes, image = alter(image_of(), (user, {PRODUCE: 1}), (user, {FETCH: 2}))
    assert codes == [INVALID]
    assert quotas(image) == {(("user", "u"),): {PRODUCE: 1.0}}


def test_a_key_that_is_given_twice_is_refused() -> None:
    twice = EntryData([EntityData("user", "u")], [OpData(PRODUCE, 1), OpData(PRODUCE, 2)])
    decision = alter_client_quotas(image_of(), AlterClientQuotasRequest([twice]))
    assert [e.error_code for e in decision.response.entries] == [INVALID]
    assert decision.records == []


def test_a_request_may_write_ten_thousand_records() -> None:
    changes = [entry({"user": str(n)}, {PRODUCE: 1}) for n in range(10_001)]
    assert len(alter_client_quotas(image_of(), AlterClientQuotasRequest(changes[1:])).records) == (
        10_000
    )
    with pytest.raises(KafkaError) as refused:
        alter_client_quotas(image_of(), AlterClientQuotasRequest(changes))
    assert refused.value.code == ErrorCode.POLICY_VIOLATION
