"""Configs of consumer groups (KIP-848): of the node, and of single groups."""

from __future__ import annotations

from typing import Any

import pytest

from barnabas.config.support import refusal
from barnabas.security.operations import Operation, ResourceType
from barnabas.security.principal import Principal
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.consumer_group_describe_request import ConsumerGroupDescribeRequest
from barnabas.wire.messages.consumer_group_describe_response import (
    ConsumerGroupDescribeResponse,
    DescribedGroup,
)
from barnabas.wire.messages.consumer_group_heartbeat_request import ConsumerGroupHeartbeatRequest
from barnabas.wire.messages.consumer_group_heartbeat_response import ConsumerGroupHeartbeatResponse
from barnabas.wire.messages.describe_configs_request import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
)
from barnabas.wire.messages.describe_configs_response import DescribeConfigsResponse
from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from barnabas.wire.messages.incremental_alter_configs_response import (
    IncrementalAlterConfigsResponse,
)
from barnabas.wire.messages.join_group_request import JoinGroupRequest, JoinGroupRequestProtocol
from barnabas.wire.messages.join_group_response import JoinGroupResponse
from barnabas.wire.messages.list_config_resources_request import ListConfigResourcesRequest
from barnabas.wire.messages.list_config_resources_response import ListConfigResourcesResponse
from tests.unit.effects.levels import alter_node
from tests.unit.effects.test_group_configs import find
from tests.unit.groups.test_consumer_migration import subscription
from tests.unit.server.calm import Session, calm

GROUP = 32
NO_INTERVAL = {"group.consumer.assignment.interval.ms": "0"}


async def beat(
    s: Session, member: str, epoch: int = 0, **fields: Any
) -> ConsumerGroupHeartbeatResponse:
    """ConsumerGroupHeartbeat; joins with topic t."""
    if epoch == 0:
        fields.setdefault("topic_partitions", [])
        fields.setdefault("rebalance_timeout_ms", 60_000)
        if "subscribed_topic_regex" not in fields:
            fields.setdefault("subscribed_topic_names", ["t"])
    request = ConsumerGroupHeartbeatRequest("g", member, epoch, **fields)
    return await s.ask(request, ConsumerGroupHeartbeatResponse)


async def described(s: Session) -> DescribedGroup:
    """ConsumerGroupDescribe of the group."""
    answer = await s.ask(ConsumerGroupDescribeRequest(["g"]), ConsumerGroupDescribeResponse)
    return answer.groups[0]


async def configure(s: Session, name: str, value: str) -> ErrorCode:
    """Set a config of the group."""
    resource = AlterConfigsResource(GROUP, "g", [AlterableConfig(name, 0, value)])
    request = IncrementalAlterConfigsRequest([resource])
    answer = await s.ask(request, IncrementalAlterConfigsResponse)
    return ErrorCode(answer.responses[0].error_code)


async def prepared(s: Session) -> None:
    """The topic, and the coordinator."""
    await s.create("t", 2)
    await find(s)


@pytest.mark.effect_of("group.consumer.heartbeat.interval.ms")
def test_how_often_members_call() -> None:
    async def scenario(s: Session) -> None:
        await prepared(s)
        assert (await beat(s, "a")).heartbeat_interval_ms == 7_000

    calm(scenario, {"group.consumer.heartbeat.interval.ms": "7000"})


@pytest.mark.effect_of("group.consumer.session.timeout.ms")
def test_how_long_a_member_may_be_silent() -> None:
    async def scenario(s: Session) -> None:
        await prepared(s)
        await beat(s, "a")
        await s.sleep(49_000)
        assert (await described(s)).group_state == "Stable"
        await s.sleep(2_000)
        assert (await described(s)).group_state == "Empty"

    calm(scenario, {"group.consumer.session.timeout.ms": "50000"})


@pytest.mark.effect_of("group.consumer.max.size")
def test_a_consumer_group_has_a_largest_size() -> None:
    async def scenario(s: Session) -> None:
        await prepared(s)
        await beat(s, "a")
        assert (await beat(s, "b")).error_code == ErrorCode.GROUP_MAX_SIZE_REACHED

    calm(scenario, {"group.consumer.max.size": "1"})


@pytest.mark.effect_of("group.consumer.assignors")
def test_the_first_assignor_is_the_default() -> None:
    async def scenario(s: Session) -> None:
        await prepared(s)
        assert (await beat(s, "a")).error_code == ErrorCode.NONE
        assert (await described(s)).assignor_name == "range"
        refused = await beat(s, "b", server_assignor="uniform")
        assert refused.error_code == ErrorCode.UNSUPPORTED_ASSIGNOR

    calm(scenario, {"group.consumer.assignors": "range"})


def test_assignors_in_java_stop_the_start() -> None:
    kafka = "org.apache.kafka.coordinator.group.assignor."
    assert refusal("group.consumer.assignors", f"range,{kafka}UniformAssignor") is None
    assert refusal("group.consumer.assignors", "uniform,com.example.Mine") is not None


@pytest.mark.effect_of("group.consumer.assignment.interval.ms")
def test_how_long_an_assignment_is_kept() -> None:
    async def scenario(s: Session) -> None:
        await prepared(s)
        await beat(s, "a")
        await beat(s, "b")
        assert (await described(s)).group_state == "Assigning"
        await s.sleep(3_100)
        await beat(s, "b", 2)
        assert (await described(s)).group_state == "Reconciling"

    calm(scenario, {"group.consumer.assignment.interval.ms": "3000"})


@pytest.mark.effect_of(
    "runtime:group.consumer.assignment.interval.ms",
    "group.consumer.min.assignment.interval.ms",
    "group.consumer.max.assignment.interval.ms",
)
def test_the_interval_changes_at_run_time_within_its_limits() -> None:
    async def scenario(s: Session) -> None:
        await prepared(s)
        await beat(s, "a")
        await alter_node(s, {"group.consumer.assignment.interval.ms": "100"})
        await s.sleep(101)
        await beat(s, "b")
        assert (await described(s)).group_state == "Reconciling"
        await beat(s, "c")
        assert (await described(s)).group_state == "Assigning"
        assert await configure(s, "consumer.assignment.interval.ms", "99") != ErrorCode.NONE
        assert await configure(s, "consumer.assignment.interval.ms", "2001") != ErrorCode.NONE
        assert await configure(s, "consumer.assignment.interval.ms", "2000") == ErrorCode.NONE

    limits = {
        "group.consumer.min.assignment.interval.ms": "100",
        "group.consumer.max.assignment.interval.ms": "2000",
    }
    calm(scenario, limits)


@pytest.mark.effect_of(
    "group.consumer.min.session.timeout.ms",
    "group.consumer.max.session.timeout.ms",
    "group.consumer.min.heartbeat.interval.ms",
    "group.consumer.max.heartbeat.interval.ms",
)
def test_configs_of_a_group_have_limits() -> None:
    async def scenario(s: Session) -> None:
        await prepared(s)
        for name, low, high in (
            ("consumer.session.timeout.ms", 40_000, 55_000),
            ("consumer.heartbeat.interval.ms", 4_000, 9_000),
        ):
            for value, good in ((low - 1, False), (low, True), (high, True), (high + 1, False)):
                code = await configure(s, name, str(value))
                assert code == (ErrorCode.NONE if good else ErrorCode.INVALID_CONFIG)
        assert (await beat(s, "a")).heartbeat_interval_ms == 9_000
        await s.sleep(54_000)
        assert (await described(s)).group_state == "Stable"
        await s.sleep(1_500)
        assert (await described(s)).group_state == "Empty"

    limits = {
        "group.consumer.min.session.timeout.ms": "40000",
        "group.consumer.max.session.timeout.ms": "55000",
        "group.consumer.min.heartbeat.interval.ms": "4000",
        "group.consumer.max.heartbeat.interval.ms": "9000",
    }
    calm(scenario, limits)


def test_configs_of_a_group_beyond_new_limits_are_taken_to_the_nearest() -> None:
    """Stored before the node's limits were narrowed (4.3)."""

    async def scenario(s: Session) -> None:
        await prepared(s)
        assert await configure(s, "consumer.heartbeat.interval.ms", "15000") == ErrorCode.NONE
        s.node.overrides["group.consumer.max.heartbeat.interval.ms"] = "6000"
        await s.restart()
        await find(s)
        assert (await beat(s, "a")).heartbeat_interval_ms == 6_000

    calm(scenario, {})


def test_configs_of_a_group_are_listed_and_described() -> None:
    async def scenario(s: Session) -> None:
        await prepared(s)
        await configure(s, "consumer.session.timeout.ms", "50000")
        listed = await s.ask(ListConfigResourcesRequest([GROUP]), ListConfigResourcesResponse)
        found = [(each.resource_type, each.resource_name) for each in listed.config_resources]
        assert found == [(GROUP, "g")]
        asked = [DescribeConfigsResource(GROUP, "g", None)]
        answer = await s.ask(DescribeConfigsRequest(asked), DescribeConfigsResponse)
        values = {each.name: each.value for each in answer.results[0].configs}
        assert values["consumer.session.timeout.ms"] == "50000"
        assert values["consumer.heartbeat.interval.ms"] == "5000"
        assert values["consumer.assignment.interval.ms"] == "1000"

    calm(scenario, {})


@pytest.mark.effect_of("group.consumer.migration.policy")
@pytest.mark.parametrize(
    ("policy", "joins", "upgrades"),
    [
        ("Bidirectional", True, True),
        ("upgrade", True, True),
        ("downgrade", True, False),
        ("disabled", False, False),
    ],
)
def test_which_protocols_meet(policy: str, *, joins: bool, upgrades: bool) -> None:
    async def classic(s: Session, group: str) -> JoinGroupResponse:
        protocol = JoinGroupRequestProtocol("range", subscription(["t"]))
        request = JoinGroupRequest(group, 10_000, 60_000, "", None, "consumer", [protocol])
        return await s.ask(request, JoinGroupResponse, 3)

    async def scenario(s: Session) -> None:
        await prepared(s)
        await beat(s, "a")
        code = (await classic(s, "g")).error_code
        assert code == (ErrorCode.NONE if joins else ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        await find(s, "old")
        assert (await classic(s, "old")).error_code == ErrorCode.NONE
        request = ConsumerGroupHeartbeatRequest(
            "old", "n", 0, None, None, 60_000, ["t"], None, None, []
        )
        code = (await s.ask(request, ConsumerGroupHeartbeatResponse)).error_code
        assert code == (ErrorCode.NONE if upgrades else ErrorCode.GROUP_ID_NOT_FOUND)

    calm(
        scenario,
        {"group.consumer.migration.policy": policy, "group.initial.rebalance.delay.ms": "0"},
    )


@pytest.mark.effect_of("group.consumer.regex.refresh.interval.ms")
def test_how_often_topics_of_regular_expressions_are_looked_up() -> None:
    rights = Rights()

    async def scenario(s: Session) -> None:
        await prepared(s)
        await beat(s, "a", subscribed_topic_regex="t.*")
        assigned = (await beat(s, "a", 1)).assignment
        assert assigned is not None
        assert len(assigned.topic_partitions) == 1
        for wait_ms, epoch in ((11_000, 2), (8_000, 2), (2_000, 3)):
            await s.sleep(wait_ms)
            rights.hidden.add("t")
            await beat(s, "a", 2)
            rights.hidden.clear()
            assert (await described(s)).group_epoch == epoch

    settings = {"group.consumer.regex.refresh.interval.ms": "20000", **NO_INTERVAL}
    calm(scenario, settings, authorizer=rights)


@pytest.mark.effect_of("group.coordinator.rebalance.protocols")
def test_a_node_without_consumer_groups() -> None:
    async def scenario(s: Session) -> None:
        await prepared(s)
        assert (await beat(s, "a")).error_code == ErrorCode.UNSUPPORTED_VERSION
        assert (await described(s)).error_code == ErrorCode.UNSUPPORTED_VERSION

    calm(scenario, {"group.coordinator.rebalance.protocols": "classic"})


class Rights:
    """Everything is allowed, but `hidden` topics must not be known."""

    def __init__(self) -> None:
        self.hidden: set[str] = set()

    def authorize(
        self,
        principal: Principal,
        host: str,
        operation: Operation,
        resource_type: ResourceType,
        resource_name: str,
    ) -> bool:
        """`Authorizer`."""
        del principal, host
        is_topic = resource_type is ResourceType.TOPIC and operation is Operation.DESCRIBE
        return not (is_topic and resource_name in self.hidden)


def test_what_a_client_may_not_know_of_it_cannot_read() -> None:
    """By name: TOPIC_AUTHORIZATION_FAILED; by expression: it does not match. Nor does it see who
    reads such a topic."""
    rights = Rights()

    async def scenario(s: Session) -> None:
        await prepared(s)
        await s.create("secret")
        await beat(s, "a", subscribed_topic_names=["t", "secret"])
        rights.hidden.add("secret")
        refused = await beat(s, "b", subscribed_topic_names=["t", "secret"])
        assert refused.error_code == ErrorCode.TOPIC_AUTHORIZATION_FAILED
        assert (await described(s)).error_code == ErrorCode.TOPIC_AUTHORIZATION_FAILED
        await beat(s, "b", subscribed_topic_regex="[st].*")
        await beat(s, "a", -1)
        await s.sleep(1_500)
        rights.hidden.clear()
        await beat(s, "b", 2)
        member = (await described(s)).members[0]
        names = {each.topic_name for each in member.target_assignment.topic_partitions}
        assert (member.subscribed_topic_regex, names) == ("[st].*", {"t"})

    calm(scenario, NO_INTERVAL, authorizer=rights)
