"""Every handler file says what it serves, and that is what the API table says."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from barnabas.server.handlers import DECODED, RAW
from barnabas.wire.apis import API

SERVED = sorted((RAW | DECODED).items())
DOCS = Path(__file__).parents[3] / "docs" / "compatibility.md"


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


def test_the_documentation_lists_what_is_served() -> None:
    rows = re.findall(
        r"^\| (\d+) \| (\w+) \| (\d+)(?:–(\d+))?\b.*\| (both|broker).*\|$",
        DOCS.read_text(),
        re.MULTILINE,
    )
    told = [(int(k), name, int(low), int(high or low), where) for k, name, low, high, where in rows]
    apis = [API[key] for key, _ in SERVED]
    assert [row[:2] for row in told] == [(api.key, api.name) for api in apis]
    for (key, name, low, high, where), api in zip(told, apis, strict=True):
        assert (low, high) == (api.min_version, api.max_version), name
        # The Fetch of controllers is another one than that of brokers.
        assert (where == "both") == (api.on_broker and api.on_controller and key != 1), name


def test_the_documentation_lists_what_is_not_served() -> None:
    _, _, rest = DOCS.read_text().partition("Not built yet, so not listed:")
    rows = re.findall(r"^\| .* \| ([\d–, ]+) \|$", rest.partition("##")[0], re.MULTILINE)
    told: list[int] = []
    for part in ", ".join(rows).split(", "):
        first, _, last = part.partition("–")
        told += range(int(first), int(last or first) + 1)
    assert sorted(told) == sorted(set(API) - {key for key, _ in SERVED})
