"""One node for all hostile tests that need a real process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from barnabas.server.handlers import DECODED, RAW
from barnabas.wire.apis import API
from barnabas.wire.codec import encode
from tests.hostile.lengths import full_message
from tests.hostile.target import Target, frame


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A node that has answered each version of each API once, so that its codecs are compiled."""
    settings = {
        "barnabas.ack.mode": "page-cache",
        "socket.listen.backlog.size": "1000",
        "group.initial.rebalance.delay.ms": "0",
    }
    node = Target(tmp_path_factory.mktemp("hostile"), settings)
    with node:
        node.make_topic("honest")
        node.honest()
        for key, version in served():
            message = full_message(API[key].request, version)
            with node.connect() as client:
                client.outcome(frame(key, version, encode(message, version)))
        yield node


def served() -> list[tuple[int, int]]:
    """Each (API key, version) that a broker listener serves."""
    apis = [API[key] for key in (RAW | DECODED)]
    return [
        (api.key, version)
        for api in apis
        if api.on_broker
        for version in range(api.min_version, api.max_version + 1)
    ]
