"""Listeners that come and go while a node runs."""

from __future__ import annotations

import pytest

from barnabas.client.errors import ClientError
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.api_versions_request import ApiVersionsRequest
from barnabas.wire.messages.api_versions_response import ApiVersionsResponse
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse
from tests.sim.streams import Recorder
from tests.unit.effects.levels import alter_node
from tests.unit.server.calm import Session, calm

PORT, CONTROLLER, OTHER, THIRD = 9092, 9093, 9094, 9095
MAP = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,OTHER:PLAINTEXT,THIRD:PLAINTEXT"


def listeners(*others: str, port: int = PORT) -> dict[str, str | None]:
    """A change of the listeners: the two of the file, and others."""
    own = f"PLAINTEXT://:{port}", f"CONTROLLER://:{CONTROLLER}"
    return {"listeners": ",".join([*own, *others]), "listener.security.protocol.map": MAP}


async def answers(s: Session, port: int) -> bool:
    """Whether a client is answered at a port."""
    try:
        versions = await s.ask(ApiVersionsRequest("t", "1"), ApiVersionsResponse, port=port)
    except ClientError:
        return False
    return versions.error_code == ErrorCode.NONE


@pytest.mark.effect_of("runtime:listeners", "runtime:listener.security.protocol.map")
def test_a_listener_opens_and_closes() -> None:
    async def scenario(s: Session) -> None:
        assert not await answers(s, OTHER)
        await alter_node(s, listeners(f"OTHER://:{OTHER}", f"THIRD://:{THIRD}"), broker="1")
        assert await answers(s, OTHER)
        assert await answers(s, THIRD)
        client = Recorder()
        await s.host.ports.network.connect(s.node.host.address, OTHER, client.itself)
        await alter_node(s, listeners(f"THIRD://:{THIRD}"), broker="1")
        await client.lost()
        assert not await answers(s, OTHER)
        assert await answers(s, THIRD)
        await alter_node(s, {"listeners": None}, broker="1")
        assert not await answers(s, THIRD)
        assert await answers(s, PORT)

    calm(scenario, {"advertised.listeners": f"PLAINTEXT://:{PORT}"})


def test_clients_are_told_of_a_new_listener_after_the_next_start() -> None:
    async def told(s: Session) -> list[int]:
        found = await s.ask(MetadataRequest([]), MetadataResponse, port=OTHER)
        return [broker.port for broker in found.brokers]

    async def scenario(s: Session) -> None:
        await alter_node(s, listeners(f"OTHER://:{OTHER}"), broker="1")
        assert await told(s) == []
        await s.restart("kill")
        assert await told(s) == [OTHER]

    calm(scenario)


def test_an_address_changes_with_the_next_start(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(s: Session) -> None:
        await alter_node(s, listeners(port=OTHER), broker="1")
        assert await answers(s, PORT)
        assert not await answers(s, OTHER)
        assert any("when the node starts again" in r.getMessage() for r in caplog.records)
        await s.restart()
        assert await answers(s, OTHER)
        assert not await answers(s, PORT)

    calm(scenario)


def test_a_port_that_is_taken_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(s: Session) -> None:
        taken = await s.node.host.ports.network.listen("", OTHER, Recorder)
        await alter_node(s, listeners(f"OTHER://:{OTHER}", f"THIRD://:{THIRD}"), broker="1")
        assert await answers(s, THIRD)
        assert any("can't be opened" in r.getMessage() for r in caplog.records)
        taken.close()
        await alter_node(s, listeners(f"OTHER://:{OTHER}", f"THIRD://:{THIRD}"), broker="1")
        assert await answers(s, OTHER)

    calm(scenario)
