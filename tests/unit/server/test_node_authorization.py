"""Who may nothing is told so by every API, and nothing happens."""

from __future__ import annotations

from barnabas.security.operations import Operation, ResourceType
from barnabas.security.principal import Principal
from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message
from barnabas.wire.messages import (
    alter_client_quotas_request as limit,
)
from barnabas.wire.messages import (
    alter_configs_request as alter,
)
from barnabas.wire.messages import (
    create_partitions_request as widen,
)
from barnabas.wire.messages import (
    create_topics_request as create,
)
from barnabas.wire.messages import (
    delete_topics_request as delete,
)
from barnabas.wire.messages import (
    describe_configs_request as describe,
)
from barnabas.wire.messages import (
    incremental_alter_configs_request as change,
)
from barnabas.wire.messages import (
    list_offsets_request as offsets,
)
from barnabas.wire.messages import (
    offset_for_leader_epoch_request as epochs,
)
from barnabas.wire.messages.alter_client_quotas_response import AlterClientQuotasResponse
from barnabas.wire.messages.alter_configs_response import AlterConfigsResponse
from barnabas.wire.messages.create_partitions_response import CreatePartitionsResponse
from barnabas.wire.messages.create_topics_response import CreateTopicsResponse
from barnabas.wire.messages.delete_records_request import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from barnabas.wire.messages.delete_records_response import DeleteRecordsResponse
from barnabas.wire.messages.delete_topics_response import DeleteTopicsResponse
from barnabas.wire.messages.describe_client_quotas_request import DescribeClientQuotasRequest
from barnabas.wire.messages.describe_client_quotas_response import DescribeClientQuotasResponse
from barnabas.wire.messages.describe_configs_response import DescribeConfigsResponse
from barnabas.wire.messages.describe_log_dirs_request import DescribeLogDirsRequest
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
from barnabas.wire.messages.describe_user_scram_credentials_request import (
    DescribeUserScramCredentialsRequest,
)
from barnabas.wire.messages.describe_user_scram_credentials_response import (
    DescribeUserScramCredentialsResponse,
)
from barnabas.wire.messages.incremental_alter_configs_response import (
    IncrementalAlterConfigsResponse,
)
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.list_offsets_response import ListOffsetsResponse
from barnabas.wire.messages.metadata_request import MetadataRequest, MetadataRequestTopic
from barnabas.wire.messages.metadata_response import MetadataResponse
from barnabas.wire.messages.offset_for_leader_epoch_response import OffsetForLeaderEpochResponse
from tests.unit.server.calm import Session, calm

DENIED = ErrorCode.TOPIC_AUTHORIZATION_FAILED


class Switch:
    """An authorizer that allows everything until it is turned off."""

    def __init__(self) -> None:
        self.on = True

    def authorize(
        self,
        _principal: Principal,
        _host: str,
        _operation: Operation,
        _resource_type: ResourceType,
        _resource_name: str,
    ) -> bool:
        """Everything, or nothing."""
        return self.on


def test_who_may_nothing_changes_and_learns_nothing() -> None:
    switch = Switch()

    async def scenario(s: Session) -> None:
        await s.create("t")
        await s.produce("t", s.batch(b"kept"))
        switch.on = False
        await _denied(s)
        switch.on = True
        assert await s.values("t") == [b"kept"]
        quotas = await s.ask(DescribeClientQuotasRequest(), DescribeClientQuotasResponse)
        assert quotas.entries == []
        answer = await s.ask(MetadataRequest(None), MetadataResponse)
        assert [(t.name, len(t.partitions)) for t in answer.topics] == [("t", 1)]

    async def _denied(s: Session) -> None:
        assert (await s.produce("t", s.batch(b"x"))).error_code == DENIED
        assert (await s.produce("t", s.batch(b"x"))).error_code == DENIED
        assert (await s.produce("no", s.batch(b"x"), version=12)).error_code == DENIED
        for version in (12, 18):
            found = await s.fetch("t", version=version)
            assert (found.error_code, bytes(found.records or b"")) == (DENIED, b"")
        for request, response, code in _requests():
            answer = await s.ask(request, response)
            assert _first_error(answer) == code, type(request).__name__
        everything = await s.ask(MetadataRequest(None), MetadataResponse)
        assert everything.topics == []

    calm(scenario, authorizer=switch)


def _requests() -> list[tuple[Message, type[Message], ErrorCode]]:
    part = offsets.ListOffsetsPartition(0, timestamp=-1)
    epoch = epochs.OffsetForLeaderPartition(0, -1, 0)
    old = alter.AlterConfigsResource(2, "t", [alter.AlterableConfig("retention.ms", "1")])
    new = change.AlterConfigsResource(2, "t", [change.AlterableConfig("retention.ms", 0, "1")])
    node = change.AlterConfigsResource(4, "", [change.AlterableConfig("message.max.bytes", 0, "9")])
    cluster = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
    quota = limit.EntryData(
        [limit.EntityData("user", "u")], [limit.OpData("producer_byte_rate", 1)]
    )
    return [
        (MetadataRequest([MetadataRequestTopic(name="t")]), MetadataResponse, DENIED),
        (MetadataRequest([MetadataRequestTopic(name="new")]), MetadataResponse, DENIED),
        (
            offsets.ListOffsetsRequest(-1, 0, [offsets.ListOffsetsTopic("t", [part])]),
            ListOffsetsResponse,
            DENIED,
        ),
        (
            epochs.OffsetForLeaderEpochRequest(-1, [epochs.OffsetForLeaderTopic("t", [epoch])]),
            OffsetForLeaderEpochResponse,
            DENIED,
        ),
        (
            create.CreateTopicsRequest([create.CreatableTopic("new", 1, 1)], 5000),
            CreateTopicsResponse,
            DENIED,
        ),
        (
            delete.DeleteTopicsRequest([delete.DeleteTopicState(name="t")], timeout_ms=5000),
            DeleteTopicsResponse,
            DENIED,
        ),
        (
            widen.CreatePartitionsRequest([widen.CreatePartitionsTopic("t", 3, None)], 5000),
            CreatePartitionsResponse,
            DENIED,
        ),
        (
            describe.DescribeConfigsRequest([describe.DescribeConfigsResource(2, "t", None)]),
            DescribeConfigsResponse,
            DENIED,
        ),
        (alter.AlterConfigsRequest([old]), AlterConfigsResponse, DENIED),
        (change.IncrementalAlterConfigsRequest([new]), IncrementalAlterConfigsResponse, DENIED),
        (change.IncrementalAlterConfigsRequest([node]), IncrementalAlterConfigsResponse, cluster),
        (
            DeleteRecordsRequest([DeleteRecordsTopic("t", [DeleteRecordsPartition(0, 1)])], 5000),
            DeleteRecordsResponse,
            DENIED,
        ),
        (DescribeProducersRequest([ProducersOf("t", [0])]), DescribeProducersResponse, DENIED),
        (DescribeLogDirsRequest(None), DescribeLogDirsResponse, cluster),
        (InitProducerIdRequest(None, 1000), InitProducerIdResponse, cluster),
        (DescribeClientQuotasRequest(), DescribeClientQuotasResponse, cluster),
        (limit.AlterClientQuotasRequest([quota]), AlterClientQuotasResponse, cluster),
        (
            DescribeUserScramCredentialsRequest(None),
            DescribeUserScramCredentialsResponse,
            cluster,
        ),
        (
            DescribeTopicPartitionsRequest([TopicRequest("t")], 100),
            DescribeTopicPartitionsResponse,
            DENIED,
        ),
    ]


def _first_error(answer: Message) -> int:
    """The error code of the answer, or of the first thing in it."""
    for name in ("topics", "responses", "results", "partitions", "entries"):
        inner = getattr(answer, name, None)
        if inner:
            return _first_error(inner[0])
    code: int = answer.error_code  # type: ignore[attr-defined]
    return code
