"""Every handler file says what it serves, and that is what the API table says."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from barnabas.server.handlers import DECODED, RAW
from barnabas.wire.apis import API

SERVED = sorted((RAW | DECODED).items())


@pytest.mark.parametrize(("key", "name"), SERVED)
def test_the_head_of_a_handler_is_true(key: int, name: str) -> None:
    api = API[key]
    head = (import_module(name).__doc__ or "").splitlines()[0]
    found = re.match(r"(\w+) \(key (\d+)\), versions? (\d+)(?:-(\d+))?", head)
    assert found is not None, head
    assert found[1] == api.name
    assert int(found[2]) == key
    assert int(found[3]) == api.min_version
    assert int(found[4] or found[3]) == api.max_version
    listeners = head.split(";")[1]
    assert ("controller" in listeners) == api.on_controller
    assert ("broker" in listeners) == api.on_broker
