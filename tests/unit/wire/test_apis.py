"""The table of APIs beside the generated messages (beside Kafka itself: the interop tests)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from barnabas.wire.apis import API, API_VERSIONS, Api, module_name
from tests.wire_samples import classes


@pytest.mark.parametrize("api", API.values(), ids=lambda api: api.name)
def test_versions_are_those_of_the_messages(api: Api) -> None:
    for cls in (api.request, api.response):
        assert api.key == cls.API_KEY
        assert (api.min_version, api.max_version) == cls.VERSIONS
        assert api.flexible == cls.FLEXIBLE
    assert f"{api.name}Request" == api.request.NAME
    assert f"{api.name}Response" == api.response.NAME


def test_every_request_has_an_api() -> None:
    named = {cls.NAME for cls in classes() if cls.NAME.endswith(("Request", "Response"))}
    assert named == {name for api in API.values() for name in (api.request.NAME, api.response.NAME)}


def test_produce_is_listed_from_zero_and_accepted_from_three() -> None:
    produce = API[0]
    assert (produce.advertised_min, produce.min_version, produce.max_version) == (0, 3, 13)
    assert [produce.accepts(version) for version in (2, 3, 13, 14)] == [False, True, True, False]
    others = [api for api in API.values() if api.advertised_min != api.min_version]
    assert others == [produce]


def test_unstable_versions_are_not_listed() -> None:
    assert API[22].max_version == 5


def test_header_versions() -> None:
    metadata, handshake, versions = API[3], API[17], API[API_VERSIONS]
    assert [metadata.request_header_version(v) for v in (8, 9)] == [1, 2]
    assert [metadata.response_header_version(v) for v in (8, 9)] == [0, 1]
    assert handshake.request_header_version(1) == 1
    assert versions.request_header_version(3) == 2
    assert versions.response_header_version(3) == 0


def test_listeners_and_forwarding() -> None:
    assert all(api.on_broker or api.on_controller for api in API.values())
    assert {api.name for api in API.values() if not api.on_broker} >= {"Vote", "BrokerHeartbeat"}
    assert API[19].forwarded
    assert not API[3].forwarded


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("FetchRequest", "fetch_request"),
        ("OffsetForLeaderEpochResponse", "offset_for_leader_epoch_response"),
        ("DescribeUserScramCredentialsRequest", "describe_user_scram_credentials_request"),
    ],
)
def test_module_names(name: str, module: str) -> None:
    assert module_name(name) == module


def test_the_table_imports_no_message() -> None:
    script = (
        "import sys, barnabas.wire.apis, barnabas.wire.headers\n"
        "print([name for name in sys.modules if name.startswith('barnabas.wire.messages')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_text_of_an_api() -> None:
    assert repr(API[1]) == "Api(1, 'Fetch', 4-18)"
