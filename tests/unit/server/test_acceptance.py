"""Connections that are too many, or come too fast."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from barnabas.client.errors import CannotConnect
from barnabas.config.broker import BrokerConfig, default_properties
from barnabas.quotas.keys import QuotaEntity
from barnabas.server.connection import Connection
from barnabas.server.connection_limits import ConnectionLimits
from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from barnabas.wire.messages.incremental_alter_configs_response import (
    IncrementalAlterConfigsResponse,
)
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse
from tests.unit.server.calm import Session, calm
from tests.unit.server.test_connection import METADATA, FakeTransport, Server, frame
from tests.unit.server.test_node_quotas import alter
from tests.unit.server.test_node_throttling import Client

RATE = "max.connection.creation.rate"
BROKER = 4


class Gate(Server):
    """Clients come and ask one question each, with the number of the client."""

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        super().__init__(settings)
        self.clients: list[tuple[Connection, FakeTransport]] = []

    def come(self, address: str = "10.0.0.1") -> FakeTransport:
        """One more."""
        connection, transport = Connection(self.context), FakeTransport()
        transport.peer = (address, 1000 + len(self.clients))
        connection.connection_made(transport)
        self.clients.append((connection, transport))
        if not transport.closed:
            data = frame(METADATA, len(self.clients))
            connection.get_buffer(0)[: len(data)] = data
            connection.buffer_updated(len(data))
        return transport

    @property
    def served(self) -> list[int]:
        """Numbers of the clients whose question was heard."""
        return [number for _, number, _ in self.seen]

    def limit_addresses(self, entities: Mapping[QuotaEntity, Mapping[str, float]]) -> None:
        """Quotas of addresses."""
        self.quotas.connections.set(entities)


@pytest.mark.parametrize("prefix", ["", "listener.name.plaintext."])
def test_connections_that_come_too_fast_wait_for_their_turn(prefix: str) -> None:
    gate = Gate({prefix + RATE: "1"})  # the server itself has connected once
    for _ in range(14):
        gate.come()
    assert gate.served == list(range(1, 10))
    assert [t.reading for _, t in gate.clients] == [True] * 9 + [False] * 5
    gate.clock.advance(999)
    assert len(gate.served) == 9
    for count in range(10, 15):
        gate.clock.advance(1000)
        assert gate.served == list(range(1, count + 1))
    assert all(t.reading and not t.closed for _, t in gate.clients)
    assert gate.context.muted == {}
    gate.clock.advance(60_000)
    gate.come()
    assert len(gate.served) == 15


def test_who_leaves_the_queue_makes_room() -> None:
    gate = Gate({RATE: "1"})
    for _ in range(13):
        gate.come()
    for leaving in (9, 11):  # the one that is next, and one behind it
        gate.clients[leaving][0].connection_lost(None)
    # What they have sent is carried out all the same.
    assert gate.served == [*range(1, 10), 10, 12]
    gate.clock.advance(5000)
    assert gate.served == [*range(1, 10), 10, 12, 11, 13]
    assert gate.context.muted == {}


def test_the_queue_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate({RATE: "1", "socket.listen.backlog.size": "3"})
    for _ in range(15):
        gate.come()
    assert [t.closed for _, t in gate.clients] == [False] * 13 + [True] * 2
    assert RATE in caplog.text
    gate.clock.advance(10_000)
    assert gate.served == list(range(1, 14))


def test_an_address_that_comes_too_fast_is_sent_away() -> None:
    gate = Gate()
    rate = "connection_creation_rate"
    gate.limit_addresses({(("ip", "10.0.0.1"),): {rate: 1.0}, (("ip", None),): {rate: 100.0}})
    for _ in range(12):
        gate.come("10.0.0.1")
    gate.come("10.0.0.2")
    assert gate.served == [*range(1, 11), 13]
    refused = [t for _, t in gate.clients[10:12]]
    assert [(t.closed, t.reading) for t in refused] == [(False, False)] * 2
    gate.clock.advance(1000)
    assert [t.closed for _, t in gate.clients] == [False] * 10 + [True] * 2 + [False]
    assert gate.served == [*range(1, 11), 13]
    gate.clock.advance(20_000)
    gate.come("10.0.0.1")
    assert gate.served[-1] == 14


def test_requests_of_early_clients_wait_for_both() -> None:
    gate = Gate({RATE: "1"})
    gate.context.serving = False
    for _ in range(11):
        gate.come()
    gate.clock.advance(1000)
    assert gate.served == []
    gate.context.serve()
    assert gate.served == list(range(1, 11))
    gate.clock.advance(1000)
    assert gate.served == list(range(1, 12))


def limits(**settings: str) -> ConnectionLimits:
    """Limits of a node with these configs (underscores for dots)."""
    config = BrokerConfig.from_properties(
        default_properties("/d") | {k.replace("_", "."): v for k, v in settings.items()}
    )
    return ConnectionLimits(lambda: config)


TWO = {
    "listeners": "INNER://localhost:1,OUTER://localhost:2,CONTROLLER://localhost:3",
    "listener_security_protocol_map": "INNER:PLAINTEXT,OUTER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter_broker_listener_name": "INNER",
}


def test_a_listener_may_have_a_limit_of_its_own() -> None:
    own = {"listener_name_outer_max_connections": "1", "max_connections": "3"}
    counted = limits(**TWO, **own)
    assert counted.admit("OUTER", "a") is None
    assert "listener OUTER" in (counted.admit("OUTER", "a") or "")
    counted.leave("OUTER", "a")
    assert counted.admit("CONTROLLER", "a") is None
    assert counted.admit("CONTROLLER", "a") is None
    assert counted.admit("CONTROLLER", "a") is not None
    # Brokers reach each other even then, up to the limit of their own listener.
    assert counted.admit("INNER", "a") is None
    assert [counted.admit("INNER", "a") is None for _ in range(3)] == [True, True, False]


def test_rates_of_listeners() -> None:
    own = {"listener_name_outer_max_connection_creation_rate": "5"}
    infinite = float("inf")
    assert limits(**TWO, **own).rates("OUTER") == (infinite, 5)
    both = limits(**TWO, **own, max_connection_creation_rate="7")
    assert (both.rates("OUTER"), both.rates("INNER")) == ((7, 5), (infinite, 7))


@pytest.mark.effect_of("max.connections.per.ip.overrides")
def test_some_addresses_may_connect_more_often() -> None:
    counted = limits(
        max_connections_per_ip="1", max_connections_per_ip_overrides="10.0.0.1:2,0:0::1:0"
    )
    addresses = ["10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2", "::1"]
    found = [counted.admit("PLAINTEXT", address) for address in addresses]
    assert [each is None for each in found] == [True, True, False, True, False, False]
    for address in addresses:
        counted.leave("PLAINTEXT", address)
    assert counted.admit("PLAINTEXT", "10.0.0.2") is None


async def change(s: Session, name: str, value: str | None) -> None:
    """Set a config of all brokers, or delete it."""
    operation = 1 if value is None else 0
    configs = [AlterableConfig(name, operation, value)]
    request = IncrementalAlterConfigsRequest([AlterConfigsResource(BROKER, "", configs)])
    answer = await s.ask(request, IncrementalAlterConfigsResponse)
    assert answer.responses[0].error_code == 0, answer.responses[0].error_message


@pytest.mark.effect_of(
    "runtime:max.connections",
    "runtime:max.connections.per.ip",
    "runtime:max.connections.per.ip.overrides",
)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max.connections", "1"),
        ("max.connections.per.ip", "1"),
        ("max.connections.per.ip.overrides", "10.0.0.2:1"),
    ],
)
def test_numbers_of_connections_change_at_run_time(name: str, value: str) -> None:
    async def scenario(s: Session) -> None:
        await s.connection()
        assert s.host.address == "10.0.0.2"
        await change(s, name, value)
        with pytest.raises(CannotConnect):
            await Client.open(s, "a")
        await change(s, name, None)
        await Client.open(s, "a")

    calm(scenario)


@pytest.mark.effect_of("max.connection.creation.rate", "runtime:max.connection.creation.rate")
def test_the_rate_of_connections_changes_at_run_time() -> None:
    async def scenario(s: Session) -> None:
        for _ in range(20):
            await Client.open(s, "a")
        await change(s, RATE, "2")
        began = s.now
        for _ in range(4):
            await Client.open(s, "a")
        assert 2500 < s.now - began < 4500
        await change(s, RATE, None)
        began = s.now
        await Client.open(s, "a")
        assert s.now - began < 500

    calm(scenario)


def test_a_quota_of_addresses_holds_on_the_wire() -> None:
    async def scenario(s: Session) -> None:
        assert await alter(s, {"ip": None}, {"connection_creation_rate": 1.0}) == 0
        for _ in range(10):
            await Client.open(s, "a")
        began = s.now
        with pytest.raises(CannotConnect):
            await Client.open(s, "a")
        assert 900 < s.now - began < 1500
        # Who is there already is not concerned.
        assert (await s.ask(MetadataRequest(None), MetadataResponse)).brokers
        assert await alter(s, {"ip": None}, {"connection_creation_rate": None}) == 0
        await Client.open(s, "a")

    calm(scenario)
