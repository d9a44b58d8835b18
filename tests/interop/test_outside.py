"""The test broker from outside: clients of other languages use it as any node."""

from __future__ import annotations

import pytest

from barnabas.testing import Broker
from tests.interop.programs import NAMED

OUTSIDERS = ("kafkajs", "franz-go")


class Outside:
    """A test broker as the programs see it."""

    def __init__(self, broker: Broker) -> None:
        self.address = broker.bootstrap_servers


@pytest.mark.parametrize("name", OUTSIDERS)
def test_a_test_broker_serves_other_languages(name: str) -> None:
    program = NAMED[name]
    with Broker() as broker:
        stops = ("topics", "acks", "idempotent", "offsets")
        assert program.tour(Outside(broker), stops) == [f"ok {stop}" for stop in stops]
