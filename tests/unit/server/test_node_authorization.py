"""Who may nothing is told so by every API in every version, and nothing happens."""

from __future__ import annotations

from barnabas.security.operations import Operation, ResourceType
from barnabas.security.principal import Principal
from barnabas.server.handlers import DECODED, RAW
from barnabas.wire.apis import API
from barnabas.wire.messages.describe_cluster_request import DescribeClusterRequest
from barnabas.wire.messages.describe_cluster_response import DescribeClusterResponse
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse
from tests.unit.server.calm import CONTROLLER_PORT, Session, calm
from tests.unit.server.denials import CONTROLLER, DENIALS, codes_of, served
from tests.unit.server.denials_kinds import World
from tests.unit.server.denials_transactions import DENIED_IN_PART


class Switch:
    """An authorizer that allows everything until it is turned off."""

    def __init__(self) -> None:
        self.on = True
        self.but: tuple[str, str] | None = None
        """Type and name of a resource that is denied all the same."""

    def authorize(
        self,
        _principal: Principal,
        _host: str,
        _operation: Operation,
        resource_type: ResourceType,
        resource_name: str,
    ) -> bool:
        """Everything, or nothing."""
        return self.on and self.but != (resource_type.name, resource_name)


def state(s: Session) -> object:
    """What a request could have an effect on: metadata, log ends, configs, producer ids, sessions."""
    assert s.node.node is not None
    broker = s.node.node.broker
    hosted = s.hosted("t")
    return (
        broker.image,
        broker.metadata.end_offset,
        hosted.log.end_offset,
        hosted.log.log_start_offset,
        hosted.log.config,
        len(broker.sessions),
    )


def test_everything_that_is_served_is_in_the_table() -> None:
    assert set(DENIALS) == set(RAW | DECODED)


def test_who_may_nothing_changes_and_learns_nothing() -> None:
    switch = Switch()

    async def scenario(s: Session) -> None:
        topic_id = await s.create("t")
        await s.produce("t", s.batch(b"kept"))
        before = state(s)
        switch.on = False
        world = World(topic_id, s.now)
        wrong = []
        for listener, key, version in served():
            port = {"port": CONTROLLER_PORT} if listener == CONTROLLER else {}
            for denial in DENIALS[key](world, version, listener):
                what = f"{listener} {denial.request.NAME} v{version} {denial.sent}"
                answer = await s.ask(denial.request, API[key].response, version, **port)
                if codes_of(answer) != denial.codes:
                    wrong.append((what, codes_of(answer), denial.codes))
                assert state(s) == before, what
        assert not wrong, "\n".join(map(str, wrong))
        await s.sleep(60_000)
        assert state(s) == before
        switch.on = True
        assert await s.values("t") == [b"kept"]
        there = (await s.ask(MetadataRequest(None), MetadataResponse)).topics
        assert [(t.name, len(t.partitions)) for t in there] == [("t", 1)]

    calm(scenario, authorizer=switch)


def test_what_is_described_to_who_may_nothing() -> None:
    switch = Switch()

    async def scenario(s: Session) -> None:
        await s.create("t")
        switch.on = False
        everything = await s.ask(MetadataRequest(None), MetadataResponse)
        assert everything.topics == []
        cluster = await s.ask(DescribeClusterRequest(True), DescribeClusterResponse)
        assert cluster.cluster_authorized_operations == 0
        denied = await s.produce("t", s.batch(b"x"))
        assert denied.base_offset == -1
        assert denied.log_start_offset == -1

    calm(scenario, authorizer=switch)


def test_who_may_not_touch_one_resource_is_told_which() -> None:
    switch = Switch()

    async def scenario(s: Session) -> None:
        await s.create("t")
        await s.create("u")
        await s.produce("t", s.batch(b"kept"))
        before = state(s)
        wrong = []
        for denial in DENIED_IN_PART:
            switch.but = (denial.kind, denial.name)
            for version in denial.versions:
                answer = await s.ask(denial.request, API[denial.key].response, version)
                if tuple(sorted(codes_of(answer))) != denial.codes:
                    wrong.append((denial, version, codes_of(answer)))
        assert not wrong, "\n".join(map(str, wrong))
        assert state(s) == before

    calm(scenario, authorizer=switch)
