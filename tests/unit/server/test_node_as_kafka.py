"""Odd requests are answered as Apache Kafka answers them.

Each of these was found by tests/interop/differential, which asks a real one the same.
"""

from __future__ import annotations

from typing import Any

import pytest

from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.add_partitions_to_txn_request import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)
from barnabas.wire.messages.add_partitions_to_txn_response import AddPartitionsToTxnResponse
from barnabas.wire.messages.alter_configs_request import (
    AlterableConfig,
    AlterConfigsRequest,
    AlterConfigsResource,
)
from barnabas.wire.messages.alter_configs_response import AlterConfigsResponse
from barnabas.wire.messages.create_partitions_request import (
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from barnabas.wire.messages.create_partitions_response import CreatePartitionsResponse
from barnabas.wire.messages.delete_groups_request import DeleteGroupsRequest
from barnabas.wire.messages.delete_groups_response import DeleteGroupsResponse
from barnabas.wire.messages.describe_cluster_request import DescribeClusterRequest
from barnabas.wire.messages.describe_cluster_response import DescribeClusterResponse
from barnabas.wire.messages.describe_groups_request import DescribeGroupsRequest
from barnabas.wire.messages.describe_groups_response import DescribeGroupsResponse
from barnabas.wire.messages.describe_topic_partitions_request import (
    DescribeTopicPartitionsRequest,
    TopicRequest,
)
from barnabas.wire.messages.describe_topic_partitions_response import (
    DescribeTopicPartitionsResponse,
)
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.fetch_response import FetchResponse, PartitionData
from barnabas.wire.messages.find_coordinator_request import FindCoordinatorRequest
from barnabas.wire.messages.find_coordinator_response import FindCoordinatorResponse
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.join_group_request import JoinGroupRequest, JoinGroupRequestProtocol
from barnabas.wire.messages.join_group_response import JoinGroupResponse
from barnabas.wire.messages.list_offsets_request import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from barnabas.wire.messages.list_offsets_response import ListOffsetsResponse
from barnabas.wire.messages.metadata_request import MetadataRequest, MetadataRequestTopic
from barnabas.wire.messages.metadata_response import MetadataResponse
from barnabas.wire.messages.txn_offset_commit_request import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from barnabas.wire.messages.txn_offset_commit_response import TxnOffsetCommitResponse
from barnabas.wire.messages.write_txn_markers_request import (
    WritableTxnMarker,
    WritableTxnMarkerTopic,
    WriteTxnMarkersRequest,
)
from barnabas.wire.messages.write_txn_markers_response import WriteTxnMarkersResponse
from tests.unit.server.calm import BIG, Session, calm

LEADER = 1
"""The node's id."""


def fetch(s: Session, *, epoch: int = -1, size: int = BIG, **more: Any) -> FetchRequest:
    part = FetchPartition(0, epoch, 0, partition_max_bytes=size)
    topics = [FetchTopic("t", more.pop("topic_id", s.ids["t"]), [part])]
    settings = {"max_wait_ms": 0, "min_bytes": 0, "max_bytes": BIG, "session_epoch": -1}
    return FetchRequest(**{"topics": topics, **settings, **more})


async def fetched(s: Session, version: int, **more: Any) -> PartitionData:
    answer = await s.ask(fetch(s, **more), FetchResponse, version)
    assert answer.error_code == 0
    return answer.responses[0].partitions[0]


async def filled(s: Session) -> None:
    await s.create("t")
    await s.produce("t", s.batch(b"a", b"b"))


@pytest.mark.parametrize("wrong", [{"isolation_level": 7}, {"session_id": 2**31 - 1}])
def test_a_fetch_that_makes_no_sense_is_refused_as_a_whole(wrong: dict[str, int]) -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        for version in (12, 18):
            answer = await s.ask(fetch(s, **wrong), FetchResponse, version)
            assert answer.error_code == ErrorCode.UNKNOWN_SERVER_ERROR
            assert answer.session_id == wrong.get("session_id", 0)
            codes = [p.error_code for t in answer.responses for p in t.partitions]
            assert codes == ([ErrorCode.UNKNOWN_SERVER_ERROR] if version == 12 else [])

    calm(scenario)


def test_a_fetch_of_less_than_no_bytes() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        for sizes in ({"size": -1}, {"max_bytes": -1}):
            found = await fetched(s, 18, **sizes)
            assert found.error_code == ErrorCode.UNKNOWN_SERVER_ERROR
            assert found.high_watermark == -1
        await s.create("empty")
        found = await fetched(s, 18, size=-1, topic_id=s.ids["empty"])
        assert found.error_code == 0

    calm(scenario)


def test_a_leader_epoch_below_zero_is_none() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        assert (await fetched(s, 18, epoch=-7)).error_code == 0

    calm(scenario)


def test_the_leader_is_no_follower_of_itself() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        found = await fetched(s, 12, replica_id=LEADER)
        assert found.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
        assert found.current_leader.leader_id == -1  # hints begin with version 16
        found = await fetched(s, 12, replica_id=LEADER, epoch=0)
        assert found.error_code == ErrorCode.UNKNOWN_LEADER_EPOCH

    calm(scenario)


def test_what_is_not_read_has_no_aborted_transactions() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        nobody = await fetched(s, 18, topic_id=bytes(16))
        assert nobody.error_code == ErrorCode.UNKNOWN_TOPIC_ID
        assert nobody.aborted_transactions == []
        assert (await fetched(s, 18)).aborted_transactions is None

    calm(scenario)


def test_a_session_may_begin_without_partitions() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        answer = await s.ask(fetch(s, session_epoch=0, topics=[]), FetchResponse)
        assert answer.session_id > 0

    calm(scenario)


def test_list_offsets_names_each_partition_once() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        part = ListOffsetsPartition(0, timestamp=-1)
        topics = [ListOffsetsTopic("t", [part]), ListOffsetsTopic("t", [part])]
        answer = await s.ask(ListOffsetsRequest(-1, 0, topics), ListOffsetsResponse, 9)
        codes = [[p.error_code for p in t.partitions] for t in answer.topics]
        assert codes == [[ErrorCode.INVALID_REQUEST]]
        nothing = ListOffsetsRequest(-1, 0, [ListOffsetsTopic("t", [])])
        assert (await s.ask(nothing, ListOffsetsResponse, 9)).topics == []
        answer = await s.ask(ListOffsetsRequest(-1, 7, topics[:1]), ListOffsetsResponse, 9)
        assert answer.topics[0].partitions[0].error_code == ErrorCode.UNKNOWN_SERVER_ERROR

    calm(scenario)


def test_metadata_of_a_topic_without_name_and_id() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        topics = [MetadataRequestTopic(name=None), MetadataRequestTopic(name="t")]
        answer = await s.ask(MetadataRequest(topics), MetadataResponse, 13)
        assert answer.error_code == ErrorCode.UNKNOWN_SERVER_ERROR
        assert [(t.name, t.error_code) for t in answer.topics] == [("", -1), ("t", -1)]
        assert answer.brokers == []

    calm(scenario)


def test_texts_of_find_coordinator() -> None:
    async def scenario(s: Session) -> None:
        async def found(version: int, kind: int) -> FindCoordinatorResponse:
            request = FindCoordinatorRequest("g", kind, [])
            if version >= 4:
                request = FindCoordinatorRequest("", kind, ["g"])
            return await s.ask(request, FindCoordinatorResponse, version)

        assert (await found(3, 0)).error_message == "NONE"
        assert (await found(3, 9)).error_message == "INVALID_REQUEST"
        assert (await found(6, 0)).coordinators[0].error_message == ""
        assert (await found(6, 9)).coordinators[0].error_message

    calm(scenario)


def test_describe_cluster_does_not_repeat_a_kind_that_it_refuses() -> None:
    async def scenario(s: Session) -> None:
        for kind, error in (
            (2, ErrorCode.MISMATCHED_ENDPOINT_TYPE),
            (9, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE),
        ):
            request = DescribeClusterRequest(endpoint_type=kind)
            answer = await s.ask(request, DescribeClusterResponse, 2)
            assert (answer.error_code, answer.endpoint_type) == (error, 1)

    calm(scenario)


def test_one_nameless_topic_spoils_describe_topic_partitions() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        request = DescribeTopicPartitionsRequest([TopicRequest("t"), TopicRequest("")], 10)
        answer = await s.ask(request, DescribeTopicPartitionsResponse)
        assert [t.error_code for t in answer.topics] == [ErrorCode.UNKNOWN_SERVER_ERROR] * 2

    calm(scenario)


def test_names_are_checked_before_configs_are_replaced() -> None:
    async def scenario(s: Session) -> None:
        for name, error in (
            ("", ErrorCode.INVALID_REQUEST),
            ("bad name!", ErrorCode.INVALID_TOPIC_EXCEPTION),
            ("absent", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ):
            one = AlterConfigsResource(2, name, [AlterableConfig("retention.ms", "1000")])
            answer = await s.ask(AlterConfigsRequest([one]), AlterConfigsResponse)
            assert answer.responses[0].error_code == error

    calm(scenario)


def test_partitions_of_a_topic_that_is_not_there_need_no_words() -> None:
    async def scenario(s: Session) -> None:
        request = CreatePartitionsRequest([CreatePartitionsTopic("absent", 3, None)], 5000)
        answer = await s.ask(request, CreatePartitionsResponse)
        result = answer.results[0]
        assert result.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert result.error_message is None

    calm(scenario)


def test_the_group_without_a_name_is_one_like_others() -> None:
    async def scenario(s: Session) -> None:
        await s.ask(FindCoordinatorRequest("", 0, ["g"]), FindCoordinatorResponse, 6)
        described = await s.ask(DescribeGroupsRequest([""]), DescribeGroupsResponse, 5)
        assert (described.groups[0].error_code, described.groups[0].group_state) == (0, "Dead")
        deleted = await s.ask(DeleteGroupsRequest([""]), DeleteGroupsResponse)
        assert deleted.results[0].error_code == ErrorCode.GROUP_ID_NOT_FOUND

    calm(scenario)


def test_a_protocol_without_a_name_is_null() -> None:
    async def scenario(s: Session) -> None:
        await s.ask(FindCoordinatorRequest("", 0, ["g"]), FindCoordinatorResponse, 6)
        protocols = [JoinGroupRequestProtocol("", b"")]
        for version, name in ((3, ""), (9, None)):
            request = JoinGroupRequest(f"g{version}", 10_000, 10_000, "", None, "x", protocols)
            if version == 9:
                request.group_instance_id = "one"
            answer = await s.ask(request, JoinGroupResponse, version)
            assert (answer.error_code, answer.protocol_name) == (0, name)

    calm(scenario)


def test_what_a_refused_batch_is_told_of_the_log() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        spoilt = bytearray(s.batch(b"x"))
        spoilt[-1] ^= 1
        refused = await s.produce("t", bytes(spoilt))
        assert refused.error_code == ErrorCode.CORRUPT_MESSAGE
        assert (refused.log_start_offset, refused.error_message) == (-1, None)
        spoilt[16] = 3
        refused = await s.produce("t", bytes(spoilt))
        assert refused.error_code == ErrorCode.CORRUPT_MESSAGE
        assert refused.error_message
        moved = bytearray(s.batch(b"x"))
        moved[7] = 5
        refused = await s.produce("t", bytes(moved))
        assert refused.error_code == ErrorCode.INVALID_RECORD
        assert refused.log_start_offset == 0
        twice = await s.produce("t", s.batch(b"x") * 2)
        assert (twice.error_code, twice.log_start_offset) == (ErrorCode.INVALID_RECORD, -1)
        unasked = await s.produce("t", s.batch(b"x", transactional=True))
        assert unasked.error_code == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        assert (unasked.log_start_offset, unasked.error_message) == (-1, None)

    calm(scenario)


def test_markers_that_nobody_sends() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)

        async def written(*markers: WritableTxnMarker) -> list[list[int]]:
            answer = await s.ask(WriteTxnMarkersRequest([*markers]), WriteTxnMarkersResponse, 2)
            return [
                [part.error_code for topic in each.topics for part in topic.partitions]
                for each in answer.markers
            ]

        def marker(producer: int = 5, epoch: int = 0, coordinator: int = 0) -> WritableTxnMarker:
            topic = WritableTxnMarkerTopic("t", [0])
            return WritableTxnMarker(producer, epoch, True, [topic], coordinator)

        assert await written(marker(producer=-1)) == [[ErrorCode.UNKNOWN_SERVER_ERROR]]
        assert await written(marker(epoch=-1)) == [[ErrorCode.UNKNOWN_SERVER_ERROR]]
        assert await written(marker(epoch=-2)) == [[ErrorCode.INVALID_PRODUCER_EPOCH]]
        fenced = [[ErrorCode.TRANSACTION_COORDINATOR_FENCED]]
        assert await written(marker(coordinator=-2)) == fenced
        empty = marker()
        empty.topics = []
        assert await written(marker(), marker(), empty) == [[0]]

    calm(scenario)


def test_who_verifies_is_told_of_each_partition_once() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", 2)
        await s.ask(FindCoordinatorRequest("", 1, ["x"]), FindCoordinatorResponse, 6)
        owner = await s.ask(InitProducerIdRequest("x", 60_000), InitProducerIdResponse, 4)
        assert owner.error_code == 0
        topic, nothing = AddPartitionsToTxnTopic("t", [0, 0]), AddPartitionsToTxnTopic("u", [])
        one = AddPartitionsToTxnTransaction(
            "x", owner.producer_id, owner.producer_epoch, True, [topic, topic, nothing]
        )
        request = AddPartitionsToTxnRequest([one])
        answer = await s.ask(request, AddPartitionsToTxnResponse, 5)
        results = answer.results_by_transaction[0].topic_results
        assert [(t.name, len(t.results_by_partition)) for t in results] == [("t", 1)]

    calm(scenario)


def test_offsets_of_a_transaction_need_a_group() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        topic = TxnOffsetCommitRequestTopic("t", [TxnOffsetCommitRequestPartition(0, 1)])
        request = TxnOffsetCommitRequest("x", "", 1, 0, topics=[topic])
        answer = await s.ask(request, TxnOffsetCommitResponse, 3)
        assert answer.topics[0].partitions[0].error_code == ErrorCode.INVALID_GROUP_ID

    calm(scenario)


def test_nobody_is_a_member_where_there_is_no_coordinator() -> None:
    async def scenario(s: Session) -> None:
        request = JoinGroupRequest("g", 10_000, 10_000, "me", None, "consumer", [])
        answer = await s.ask(request, JoinGroupResponse, 5)
        assert (answer.error_code, answer.member_id) == (ErrorCode.NOT_COORDINATOR, "")

    calm(scenario)
