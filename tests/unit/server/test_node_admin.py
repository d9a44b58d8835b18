"""Topics, partitions, configs and descriptions, as a client sees them, in every version."""

from __future__ import annotations

import pytest

from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.alter_configs_request import (
    AlterableConfig,
    AlterConfigsRequest,
    AlterConfigsResource,
)
from barnabas.wire.messages.alter_configs_response import AlterConfigsResponse
from barnabas.wire.messages.api_versions_request import ApiVersionsRequest
from barnabas.wire.messages.api_versions_response import ApiVersionsResponse
from barnabas.wire.messages.create_partitions_request import (
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from barnabas.wire.messages.create_partitions_response import CreatePartitionsResponse
from barnabas.wire.messages.create_topics_request import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from barnabas.wire.messages.create_topics_response import CreatableTopicResult, CreateTopicsResponse
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest, DeleteTopicState
from barnabas.wire.messages.delete_topics_response import DeleteTopicsResponse
from barnabas.wire.messages.describe_cluster_request import DescribeClusterRequest
from barnabas.wire.messages.describe_cluster_response import DescribeClusterResponse
from barnabas.wire.messages.describe_configs_request import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
)
from barnabas.wire.messages.describe_configs_response import DescribeConfigsResponse
from barnabas.wire.messages.describe_topic_partitions_request import (
    Cursor,
    DescribeTopicPartitionsRequest,
    TopicRequest,
)
from barnabas.wire.messages.describe_topic_partitions_response import (
    DescribeTopicPartitionsResponse,
)
from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterableConfig as Change,
)
from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterConfigsResource as Changed,
)
from barnabas.wire.messages.incremental_alter_configs_request import (
    IncrementalAlterConfigsRequest,
)
from barnabas.wire.messages.incremental_alter_configs_response import (
    IncrementalAlterConfigsResponse,
)
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.metadata_request import MetadataRequest, MetadataRequestTopic
from barnabas.wire.messages.metadata_response import MetadataResponse
from tests.unit.server.calm import CONTROLLER_PORT, Session, calm

TOPIC, BROKER = 2, 4


async def make(s: Session, topic: CreatableTopic, **options: object) -> CreatableTopicResult:
    version = options.pop("version", None)
    request = CreateTopicsRequest([topic], 5000, bool(options.get("validate_only", False)))
    answer = await s.ask(request, CreateTopicsResponse, version)  # type: ignore[arg-type]
    return answer.topics[0]


async def count(s: Session, name: str) -> int:
    """Partitions of a topic; 0 when it is not there."""
    request = MetadataRequest([MetadataRequestTopic(name=name)], False)
    return len((await s.ask(request, MetadataResponse)).topics[0].partitions)


def test_every_version_of_the_topic_apis_is_answered() -> None:
    async def scenario(s: Session) -> None:
        for version in range(2, 8):
            name = f"t{version}"
            made = await make(s, CreatableTopic(name, 1, 1), version=version)
            assert made.error_code == 0, version
            assert version < 7 or made.topic_id != bytes(16)
            assert version < 5 or made.num_partitions == 1
        for version in range(4):
            request = CreatePartitionsRequest(
                [CreatePartitionsTopic("t2", 2 + version, None)], 5000
            )
            widened = await s.ask(request, CreatePartitionsResponse, version)
            assert widened.results[0].error_code == 0, version
        assert await count(s, "t2") == 5
        for version in range(1, 7):
            doomed = DeleteTopicsRequest(timeout_ms=5000)
            if version < 6:
                doomed.topic_names = [f"t{version + 1}"]
            else:
                doomed.topics = [DeleteTopicState(name="t7")]
            gone = await s.ask(doomed, DeleteTopicsResponse, version)
            assert gone.responses[0].error_code == 0, version
        assert (await s.ask(MetadataRequest(None), MetadataResponse)).topics == []

    calm(scenario)


def test_every_version_of_the_descriptions_is_answered() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        for version in range(14):
            names = [MetadataRequestTopic(name="t")]
            found = await s.ask(MetadataRequest(names), MetadataResponse, version)
            assert [(t.name, len(t.partitions)) for t in found.topics] == [("t", 1)], version
            assert found.brokers[0].port == 9092
        for version in range(5):
            versions = await s.ask(ApiVersionsRequest("test", "1"), ApiVersionsResponse, version)
            assert (versions.error_code, len(versions.api_keys) > 10) == (0, True), version
        for version in range(3):
            cluster = await s.ask(DescribeClusterRequest(), DescribeClusterResponse, version)
            assert [b.broker_id for b in cluster.brokers] == [1], version
        for version in range(1, 5):
            configs = [DescribeConfigsResource(TOPIC, name, None) for name in ("t", "absent")]
            described = await s.ask(
                DescribeConfigsRequest(configs), DescribeConfigsResponse, version
            )
            assert len(described.results[0].configs) > 20, version
            # Kafka leaves the text at its default there, which is not null.
            assert [result.error_message for result in described.results] == ["", ""], version
        for version in range(6):
            mine = await s.ask(InitProducerIdRequest(None, 60_000), InitProducerIdResponse, version)
            assert (mine.error_code, mine.producer_epoch) == (0, 0), version
        for version in range(3):
            change = AlterConfigsResource(TOPIC, "t", [AlterableConfig("retention.ms", "5000")])
            altered = await s.ask(AlterConfigsRequest([change]), AlterConfigsResponse, version)
            assert altered.responses[0].error_code == 0, version
        for version in range(2):
            step = Changed(TOPIC, "t", [Change("retention.ms", 0, "6000")])
            request = IncrementalAlterConfigsRequest([step])
            altered_too = await s.ask(request, IncrementalAlterConfigsResponse, version)
            assert altered_too.responses[0].error_code == 0, version

    calm(scenario)


def test_the_controller_listener_serves_its_apis() -> None:
    async def scenario(s: Session) -> None:
        request = CreateTopicsRequest([CreatableTopic("t", 1, 1)], 5000)
        made = await s.ask(request, CreateTopicsResponse, port=CONTROLLER_PORT)
        assert made.topics[0].error_code == 0
        assert await count(s, "t") == 1
        cluster = await s.ask(
            DescribeClusterRequest(endpoint_type=2), DescribeClusterResponse, port=CONTROLLER_PORT
        )
        assert [(b.broker_id, b.port) for b in cluster.brokers] == [(1, CONTROLLER_PORT)]
        refused = await s.ask(DescribeClusterRequest(endpoint_type=2), DescribeClusterResponse)
        assert refused.error_code != 0
        connection = await s.connection(CONTROLLER_PORT)
        assert not connection.supports(MetadataRequest)

    calm(scenario)


@pytest.mark.effect_of("num.partitions")
def test_create_topics_rules() -> None:
    async def scenario(s: Session) -> None:
        tried = await make(s, CreatableTopic("t", 3, 1), validate_only=True)
        assert (tried.error_code, tried.num_partitions) == (0, 3)
        assert await count(s, "t") == 0
        made = await make(s, CreatableTopic("t", -1, -1))
        assert (made.error_code, made.num_partitions, made.replication_factor) == (0, 2, 1)
        refusals = {
            ErrorCode.TOPIC_ALREADY_EXISTS: CreatableTopic("t", 1, 1),
            ErrorCode.INVALID_TOPIC_EXCEPTION: CreatableTopic("not/good", 1, 1),
            ErrorCode.INVALID_PARTITIONS: CreatableTopic("u", 0, 1),
            ErrorCode.INVALID_REPLICATION_FACTOR: CreatableTopic("u", 1, 2),
            ErrorCode.INVALID_CONFIG: CreatableTopic(
                "u", 1, 1, [], [CreatableTopicConfig("retention.ms", "never")]
            ),
        }
        for error, topic in refusals.items():
            refused = await make(s, topic)
            assert refused.error_code == error, ErrorCode(refused.error_code)
            assert refused.error_message
        twice = CreateTopicsRequest([CreatableTopic("w", 1, 1), CreatableTopic("w", 2, 1)], 5000)
        answer = await s.ask(twice, CreateTopicsResponse)
        assert {each.error_code for each in answer.topics} == {ErrorCode.INVALID_REQUEST}
        assert await count(s, "u") == await count(s, "w") == 0

    calm(scenario, {"num.partitions": "2"})


def test_create_partitions_rules() -> None:
    async def widen(s: Session, name: str, to: int, *, validate_only: bool = False) -> int:
        wanted = [CreatePartitionsTopic(name, to, None)]
        request = CreatePartitionsRequest(wanted, 5000, validate_only)
        return (await s.ask(request, CreatePartitionsResponse)).results[0].error_code

    async def scenario(s: Session) -> None:
        await s.create("t", 2)
        await s.produce("t", s.batch(b"a"))
        assert await widen(s, "t", 2) == ErrorCode.INVALID_PARTITIONS
        assert await widen(s, "t", 1) == ErrorCode.INVALID_PARTITIONS
        assert await widen(s, "no", 3) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert await widen(s, "t", 4, validate_only=True) == 0
        assert await count(s, "t") == 2
        assert await widen(s, "t", 4) == 0
        assert (await s.produce("t", s.batch(b"b"), index=3)).error_code == 0
        assert await s.values("t") == [b"a"]

    calm(scenario)


def test_a_deleted_topic_is_gone_for_those_who_wait_and_may_come_again() -> None:
    async def scenario(s: Session) -> None:
        first = await s.create("t")
        await s.produce("t", s.batch(b"old"))
        request = DeleteTopicsRequest(
            [DeleteTopicState(name=None, topic_id=first)], timeout_ms=5000
        )
        gone = (await s.ask(request, DeleteTopicsResponse)).responses[0]
        assert (gone.error_code, gone.name) == (0, "t")
        again = (await s.ask(request, DeleteTopicsResponse)).responses[0]
        assert again.error_code == ErrorCode.UNKNOWN_TOPIC_ID
        assert (await s.fetch("t")).error_code == ErrorCode.UNKNOWN_TOPIC_ID
        second = await s.create("t")
        assert second != first
        assert await s.values("t") == []
        stale = await s.produce("t", s.batch(b"x"), topic_id=first)
        assert stale.error_code == ErrorCode.UNKNOWN_TOPIC_ID
        assert (await s.produce("t", s.batch(b"new"))).base_offset == 0
        await s.restart("power")
        assert await s.values("t") == [b"new"]

    calm(scenario)


async def describe(s: Session, name: str) -> dict[str, tuple[str | None, int]]:
    """Config -> (value, source) of a topic."""
    request = DescribeConfigsRequest([DescribeConfigsResource(TOPIC, name, None)])
    result = (await s.ask(request, DescribeConfigsResponse)).results[0]
    assert result.error_code == 0
    return {entry.name: (entry.value, entry.config_source) for entry in result.configs}


async def alter(s: Session, kind: int, name: str, *changes: Change) -> int:
    request = IncrementalAlterConfigsRequest([Changed(kind, name, list(changes))])
    return (await s.ask(request, IncrementalAlterConfigsResponse)).responses[0].error_code


@pytest.mark.effect_of(
    "topic:retention.bytes", "topic:max.message.bytes", "topic:internal.segment.bytes"
)
def test_a_changed_config_acts_and_survives() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", internal_segment_bytes="200", file_delete_delay_ms="0")
        for number in range(6):
            await s.produce("t", s.batch(b"%d" % number + b"x" * 60))
        await s.sleep(3000)
        assert (await s.fetch("t")).log_start_offset == 0
        assert await alter(s, TOPIC, "t", Change("retention.bytes", 0, "300")) == 0
        await s.sleep(3000)
        found = await s.fetch("t", 5)
        assert 0 < found.log_start_offset <= 5
        assert (await describe(s, "t"))["retention.bytes"] == ("300", 1)
        await s.restart("kill")
        assert (await describe(s, "t"))["retention.bytes"] == ("300", 1)
        assert await alter(s, TOPIC, "t", Change("retention.bytes", 1, None)) == 0
        assert (await describe(s, "t"))["retention.bytes"] == ("-1", 5)
        assert await alter(s, TOPIC, "t", Change("max.message.bytes", 0, "80")) == 0
        large = await s.produce("t", s.batch(b"x" * 100))
        assert large.error_code == ErrorCode.MESSAGE_TOO_LARGE

    calm(
        scenario,
        {"log.retention.check.interval.ms": "500", "log.initial.task.delay.ms": "500"},
    )


@pytest.mark.effect_of("message.max.bytes", "runtime:message.max.bytes")
def test_configs_of_the_node_and_refusals() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        assert await alter(s, TOPIC, "no", Change("retention.ms", 0, "1")) != 0
        assert await alter(s, TOPIC, "t", Change("no.such", 0, "1")) == ErrorCode.INVALID_CONFIG
        assert (
            await alter(s, TOPIC, "t", Change("retention.ms", 0, "x")) == ErrorCode.INVALID_CONFIG
        )
        append = Change("cleanup.policy", 2, "compact")
        assert await alter(s, TOPIC, "t", append) == 0
        assert (await describe(s, "t"))["cleanup.policy"][0] == "delete,compact"
        assert await alter(s, BROKER, "", Change("message.max.bytes", 0, "90")) == 0
        assert (await describe(s, "t"))["max.message.bytes"] == ("90", 3)
        large = await s.produce("t", s.batch(b"x" * 100))
        assert large.error_code == ErrorCode.MESSAGE_TOO_LARGE

    calm(scenario)


def test_describe_topic_partitions_pages() -> None:
    async def scenario(s: Session) -> None:
        await s.create("a", 3)
        await s.create("b", 2)
        seen: list[tuple[str, int]] = []
        cursor: Cursor | None = None
        for _ in range(4):
            request = DescribeTopicPartitionsRequest(
                [TopicRequest("a"), TopicRequest("b")], 2, cursor
            )
            answer = await s.ask(request, DescribeTopicPartitionsResponse)
            seen += [(t.name or "", p.partition_index) for t in answer.topics for p in t.partitions]
            if answer.next_cursor is None:
                break
            cursor = Cursor(answer.next_cursor.topic_name, answer.next_cursor.partition_index)
        assert seen == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)]

    calm(scenario)


def test_producer_ids_are_never_given_twice() -> None:
    async def scenario(s: Session) -> None:
        seen = []
        for kind in ("kill", "power", "stop"):
            seen += [(await s.identity())["producer_id"] for _ in range(3)]
            await s.restart(kind)
        assert len(set(seen)) == len(seen)

    calm(scenario)
