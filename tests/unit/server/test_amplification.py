"""A small request makes no large answer: what is named a thousand times is told once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message
from barnabas.wire.messages.consumer_group_describe_request import ConsumerGroupDescribeRequest
from barnabas.wire.messages.consumer_group_describe_response import ConsumerGroupDescribeResponse
from barnabas.wire.messages.create_topics_request import CreatableTopic, CreateTopicsRequest
from barnabas.wire.messages.create_topics_response import CreateTopicsResponse
from barnabas.wire.messages.describe_configs_request import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
)
from barnabas.wire.messages.describe_configs_response import DescribeConfigsResponse
from barnabas.wire.messages.describe_groups_request import DescribeGroupsRequest
from barnabas.wire.messages.describe_groups_response import DescribeGroupsResponse
from barnabas.wire.messages.describe_log_dirs_request import (
    DescribableLogDirTopic,
    DescribeLogDirsRequest,
)
from barnabas.wire.messages.describe_log_dirs_response import DescribeLogDirsResponse
from barnabas.wire.messages.describe_producers_request import DescribeProducersRequest
from barnabas.wire.messages.describe_producers_request import TopicRequest as ProducersOf
from barnabas.wire.messages.describe_producers_response import DescribeProducersResponse
from barnabas.wire.messages.describe_topic_partitions_request import (
    DescribeTopicPartitionsRequest,
    TopicRequest,
)
from barnabas.wire.messages.describe_topic_partitions_response import (
    DescribeTopicPartitionsResponse,
)
from barnabas.wire.messages.describe_transactions_request import DescribeTransactionsRequest
from barnabas.wire.messages.describe_transactions_response import DescribeTransactionsResponse
from barnabas.wire.messages.metadata_request import MetadataRequest, MetadataRequestTopic
from barnabas.wire.messages.metadata_response import MetadataResponse
from barnabas.wire.messages.offset_fetch_request import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
)
from barnabas.wire.messages.offset_fetch_response import OffsetFetchResponse
from tests.unit.server.calm import Session, calm

TIMES = 1000


def configs(kind: int, name: str) -> DescribeConfigsRequest:
    """All configs of one resource, again and again."""
    everything: tuple[list[str] | None, ...] = (None, [])
    resources = [
        DescribeConfigsResource(kind, name, keys) for keys in everything for _ in range(TIMES // 2)
    ]
    return DescribeConfigsRequest(resources, include_synonyms=True, include_documentation=True)


Told = Callable[[Any], list[Any]]


@pytest.mark.parametrize(
    ("request_", "response", "told"),
    [
        (configs(2, "t"), DescribeConfigsResponse, lambda r: r.results),
        (configs(4, "1"), DescribeConfigsResponse, lambda r: r.results),
        (configs(4, ""), DescribeConfigsResponse, lambda r: r.results),
        (configs(8, "1"), DescribeConfigsResponse, lambda r: r.results),
        (DescribeGroupsRequest(["g"] * TIMES), DescribeGroupsResponse, lambda r: r.groups),
        (
            ConsumerGroupDescribeRequest(["g"] * TIMES),
            ConsumerGroupDescribeResponse,
            lambda r: r.groups,
        ),
        (
            DescribeTransactionsRequest(["x"] * TIMES),
            DescribeTransactionsResponse,
            lambda r: r.transaction_states,
        ),
        (
            OffsetFetchRequest(groups=[OffsetFetchRequestGroup("g", topics=None)] * TIMES),
            OffsetFetchResponse,
            lambda r: r.groups,
        ),
        (
            DescribeProducersRequest([ProducersOf("t", [0, 0])] * TIMES),
            DescribeProducersResponse,
            lambda r: [part for topic in r.topics for part in topic.partitions],
        ),
        (
            MetadataRequest([MetadataRequestTopic(name="t")] * TIMES),
            MetadataResponse,
            lambda r: r.topics,
        ),
        (
            DescribeTopicPartitionsRequest([TopicRequest("t")] * TIMES),
            DescribeTopicPartitionsResponse,
            lambda r: r.topics,
        ),
        (
            DescribeLogDirsRequest([DescribableLogDirTopic("t", [0])] * TIMES),
            DescribeLogDirsResponse,
            lambda r: [part for each in r.results for topic in each.topics for part in topic.partitions],
        ),
    ],
    ids=lambda value: value.NAME if isinstance(value, Message) else "",
)  # fmt: skip
def test_what_is_named_often_is_told_once(
    request_: Message, response: type[Message], told: Told
) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        assert (await s.produce("t", s.batch(b"a"))).error_code == 0
        answer = await s.ask(request_, response)
        assert len(told(answer)) == 1

    calm(scenario)


def test_resources_and_keys_that_differ_are_all_described() -> None:
    async def scenario(s: Session) -> None:
        for number in range(40):
            await s.create(f"t{number}")
        names = [f"t{number}" for number in range(40)]
        keys = ["retention.ms", "cleanup.policy"]
        resources = [
            DescribeConfigsResource(2, name, [key]) for name in names for key in (*keys, *keys)
        ]
        answer = await s.ask(DescribeConfigsRequest(resources), DescribeConfigsResponse)
        found = [(r.resource_name, [c.name for c in r.configs]) for r in answer.results]
        assert found == [(name, [key]) for name in names for key in keys]

    calm(scenario)


def test_a_request_for_too_many_topics_is_refused_without_working_out_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(s: Session) -> None:
        assert s.node.node is not None
        settings = s.node.node.broker.settings
        drawn = 0

        def new_uuid() -> bytes:
            nonlocal drawn
            drawn += 1
            return drawn.to_bytes(16, "big")

        monkeypatch.setattr(s.node.node.broker, "settings", replace(settings, new_uuid=new_uuid))
        topics = [CreatableTopic(f"t{number}", 1, 1) for number in range(9000)]
        answer = await s.ask(CreateTopicsRequest(topics, 5000), CreateTopicsResponse)
        assert {t.error_code for t in answer.topics} == {ErrorCode.POLICY_VIOLATION}
        assert len(answer.topics) == 9000
        assert drawn == 5001

    calm(scenario)
