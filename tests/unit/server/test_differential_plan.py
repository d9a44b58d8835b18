"""What tests/interop/differential asks: whoever adds an API adds its valid requests there."""

from __future__ import annotations

from barnabas.server.handlers import DECODED, RAW
from barnabas.wire.apis import API
from tests.interop.differential import plan
from tests.interop.differential.differences import LISTED


def test_every_api_that_is_served_is_compared_with_kafka() -> None:
    assert {key for key in RAW | DECODED if API[key].on_broker} <= set(plan.ALL)
    for key in plan.served():
        versions = {case.version for case in plan.valid_cases(key)}
        api = API[key]
        assert versions == set(range(api.min_version, api.max_version + 1)), api


def test_each_listed_difference_has_a_case_that_shows_it() -> None:
    labels = [str(case) for key in plan.served() for case in plan.valid_cases(key)]
    labels += [str(case) for key in plan.served() for case in plan.broken_cases(key)]
    assert len(labels) > 5_000
    for row in LISTED:
        assert any(row.example in label for label in labels), row.matter
