"""One request or more of every API that a node serves, from somebody who may do nothing.

Shared by the test of our node in a simulated world and by the one that asks a real Apache Kafka the
same, so that the error codes below are Kafka's and not what we think they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from barnabas.records.builder import build_batch
from barnabas.server.handlers import DECODED, RAW
from barnabas.wire.apis import API
from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message
from barnabas.wire.messages import (
    alter_client_quotas_request,
    alter_configs_request,
    alter_partition_reassignments_request,
    api_versions_request,
    create_partitions_request,
    create_topics_request,
    delete_records_request,
    delete_topics_request,
    describe_client_quotas_request,
    describe_cluster_request,
    describe_configs_request,
    describe_log_dirs_request,
    describe_producers_request,
    describe_quorum_request,
    describe_topic_partitions_request,
    describe_user_scram_credentials_request,
    elect_leaders_request,
    fetch_request,
    incremental_alter_configs_request,
    init_producer_id_request,
    list_config_resources_request,
    list_offsets_request,
    list_partition_reassignments_request,
    metadata_request,
    offset_for_leader_epoch_request,
    produce_request,
    unregister_broker_request,
    update_features_request,
)
from tests.unit.server.denials_groups import GROUP_DENIALS
from tests.unit.server.denials_kinds import Build, Denial, World
from tests.unit.server.denials_transactions import (
    TRANSACTION_DENIALS,
    TXN_DENIED,
    produce_in_transaction,
)

BROKER, CONTROLLER = "broker", "controller"
TOPIC_DENIED = ErrorCode.TOPIC_AUTHORIZATION_FAILED
CLUSTER_DENIED = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
NONE = ErrorCode.NONE
UNKNOWN_ID = bytes([7] * 16)


def codes_of(value: Any) -> tuple[int, ...]:
    """All error codes in an answer, those of inner structs where they stand."""
    if isinstance(value, list):
        return tuple(code for item in value for code in codes_of(item))
    if not isinstance(value, Message):
        return ()
    found: list[int] = []
    for field in value.FIELDS:
        inner = getattr(value, field.name)
        found += [inner] if field.name.endswith("error_code") else codes_of(inner)
    return tuple(int(code) for code in found)


def _produce(world: World, version: int, _listener: str) -> Iterator[Denial]:
    batch = bytes(build_batch([(None, b"denied", world.now_ms, ())]))
    wanted = [("t", world.topic_id), ("new", UNKNOWN_ID)]
    for name, topic_id in wanted:
        part = produce_request.PartitionProduceData(0, batch)
        topic = produce_request.TopicProduceData(name, topic_id, [part])
        unknown = version >= 13 and name == "new"
        code = ErrorCode.UNKNOWN_TOPIC_ID if unknown else TOPIC_DENIED
        yield Denial(produce_request.ProduceRequest(None, -1, 5000, [topic]), (code,), name)
    yield from produce_in_transaction(world)


def _fetch(world: World, version: int, listener: str) -> Iterator[Denial]:
    def request(name: str, topic_id: bytes) -> fetch_request.FetchRequest:
        part = fetch_request.FetchPartition(0, fetch_offset=0, partition_max_bytes=1 << 20)
        topic = fetch_request.FetchTopic(name, topic_id, [part])
        return fetch_request.FetchRequest(
            max_wait_ms=0, min_bytes=0, max_bytes=1 << 20, topics=[topic]
        )

    if listener == CONTROLLER:
        metadata = request("__cluster_metadata", bytes(15) + b"\x01")
        whole = CLUSTER_DENIED if version >= 7 else NONE
        inner = () if version >= 13 else (CLUSTER_DENIED,)
        yield Denial(metadata, (whole, *inner))
        return
    yield Denial(request("t", world.topic_id), (NONE, TOPIC_DENIED), "t")
    unknown = ErrorCode.UNKNOWN_TOPIC_ID if version >= 13 else TOPIC_DENIED
    yield Denial(request("new", UNKNOWN_ID), (NONE, unknown), "new")
    follower = request("t", world.topic_id)
    if version >= 15:
        follower.replica_state.replica_id = world.node_id
    else:
        follower.replica_id = world.node_id
    yield Denial(follower, (NONE, TOPIC_DENIED), "as a follower")


def _list_offsets(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    for name in ("t", "new"):
        part = list_offsets_request.ListOffsetsPartition(0, timestamp=-1)
        topic = list_offsets_request.ListOffsetsTopic(name, [part])
        yield Denial(list_offsets_request.ListOffsetsRequest(-1, 0, [topic]), (TOPIC_DENIED,), name)


def _metadata(world: World, version: int, _listener: str) -> Iterator[Denial]:
    Topic = metadata_request.MetadataRequestTopic
    for name in ("t", "new"):
        yield Denial(
            metadata_request.MetadataRequest([Topic(name=name)]), (TOPIC_DENIED, NONE), name
        )
    everything = metadata_request.MetadataRequest(None if version >= 1 else [])
    yield Denial(everything, (NONE,), "everything")
    if version >= 12:
        by_id = metadata_request.MetadataRequest([Topic(world.topic_id, None)])
        yield Denial(by_id, (TOPIC_DENIED, NONE), "by id")


def _api_versions(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    yield Denial(api_versions_request.ApiVersionsRequest("x", "1"), (NONE,))


def _create_topics(_world: World, version: int, _listener: str) -> Iterator[Denial]:
    inner = (TOPIC_DENIED, NONE)
    for name in ("t", "new"):
        topic = create_topics_request.CreatableTopic(name, 1, 1)
        for validate_only in (False, True):
            request = create_topics_request.CreateTopicsRequest([topic], 5000, validate_only)
            yield Denial(request, inner, f"{name}, {validate_only=}")
    del version


def _delete_topics(world: World, version: int, _listener: str) -> Iterator[Denial]:
    if version < 6:
        for name in ("t", "new"):
            old = delete_topics_request.DeleteTopicsRequest(topic_names=[name], timeout_ms=5000)
            yield Denial(old, (TOPIC_DENIED,), name)
        return
    State = delete_topics_request.DeleteTopicState
    for state, code in (
        (State("t"), TOPIC_DENIED),
        (State("new"), TOPIC_DENIED),
        (State(None, world.topic_id), TOPIC_DENIED),
        (State(None, UNKNOWN_ID), ErrorCode.UNKNOWN_TOPIC_ID),
    ):
        request = delete_topics_request.DeleteTopicsRequest([state], timeout_ms=5000)
        yield Denial(request, (code,), f"{state.name} {state.topic_id.hex()}")


def _init_producer_id(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    Request = init_producer_id_request.InitProducerIdRequest
    yield Denial(Request(None, 1000), (CLUSTER_DENIED,))
    yield Denial(Request("x", 1000), (TXN_DENIED,), "with a transactional id")


def _offset_for_leader_epoch(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    for name in ("t", "new"):
        part = offset_for_leader_epoch_request.OffsetForLeaderPartition(0, -1, 0)
        topic = offset_for_leader_epoch_request.OffsetForLeaderTopic(name, [part])
        yield Denial(
            offset_for_leader_epoch_request.OffsetForLeaderEpochRequest(-2, [topic]),
            (TOPIC_DENIED,),
            name,
        )


#: (resource type, name, error): topic, new topic, broker, default broker, logger, subscription, group.
_RESOURCES = (
    (2, "t", TOPIC_DENIED),
    (2, "new", TOPIC_DENIED),
    (4, "1", CLUSTER_DENIED),
    (4, "", CLUSTER_DENIED),
    (16, "s", CLUSTER_DENIED),
    (32, "g", ErrorCode.GROUP_AUTHORIZATION_FAILED),
)
_KEYS = {
    2: "retention.ms",
    4: "message.max.bytes",
    16: "interval.ms",
    32: "consumer.session.timeout.ms",
}


def _describe_configs(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    for kind, name, code in _RESOURCES:
        if (kind, name) == (4, ""):
            continue
        wanted = describe_configs_request.DescribeConfigsResource(kind, name, None)
        yield Denial(
            describe_configs_request.DescribeConfigsRequest([wanted]), (code,), f"{kind} {name}"
        )


def _alter_configs(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    for kind, name, code in _RESOURCES:
        value = alter_configs_request.AlterableConfig(_KEYS[kind], "50000")
        resource = alter_configs_request.AlterConfigsResource(kind, name, [value])
        yield Denial(
            alter_configs_request.AlterConfigsRequest([resource]), (code,), f"{kind} {name}"
        )


def _incremental_alter_configs(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    for kind, name, code in _RESOURCES:
        value = incremental_alter_configs_request.AlterableConfig(_KEYS[kind], 0, "50000")
        resource = incremental_alter_configs_request.AlterConfigsResource(kind, name, [value])
        request = incremental_alter_configs_request.IncrementalAlterConfigsRequest([resource])
        yield Denial(request, (code,), f"{kind} {name}")


def _create_partitions(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    for name in ("t", "new"):
        topic = create_partitions_request.CreatePartitionsTopic(name, 3, None)
        request = create_partitions_request.CreatePartitionsRequest([topic], 5000)
        yield Denial(request, (TOPIC_DENIED,), name)


def _elect_leaders(_world: World, version: int, _listener: str) -> Iterator[Denial]:
    top = CLUSTER_DENIED if version >= 1 else NONE
    wanted = [elect_leaders_request.TopicPartitions("t", [0])]
    yield Denial(
        elect_leaders_request.ElectLeadersRequest(topic_partitions=wanted), (top, CLUSTER_DENIED)
    )
    yield Denial(elect_leaders_request.ElectLeadersRequest(topic_partitions=None), (top,), "all")


def _alter_reassignments(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    m = alter_partition_reassignments_request
    wanted = [m.ReassignableTopic("t", [m.ReassignablePartition(0, [1])])]
    yield Denial(
        m.AlterPartitionReassignmentsRequest(topics=wanted), (CLUSTER_DENIED, CLUSTER_DENIED)
    )


def _list_reassignments(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    m = list_partition_reassignments_request
    yield Denial(m.ListPartitionReassignmentsRequest(), (CLUSTER_DENIED,), "all")
    wanted = [m.ListPartitionReassignmentsTopics("t", [0])]
    yield Denial(m.ListPartitionReassignmentsRequest(topics=wanted), (CLUSTER_DENIED,), "t")


def _describe_quorum(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    m = describe_quorum_request
    topic = m.TopicData("__cluster_metadata", [m.PartitionData(0)])
    yield Denial(m.DescribeQuorumRequest([topic]), (CLUSTER_DENIED,))


def _update_features(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    m = update_features_request
    for name in ("group.version", "kraft.version", "unknown"):
        request = m.UpdateFeaturesRequest(1000, [m.FeatureUpdateKey(name, 1)])
        yield Denial(request, (CLUSTER_DENIED,), name)


def _describe_cluster(_world: World, version: int, listener: str) -> Iterator[Denial]:
    m = describe_cluster_request
    if listener == BROKER:
        yield Denial(m.DescribeClusterRequest(True), (NONE,))
    elif version >= 1:
        yield Denial(m.DescribeClusterRequest(True, 2), (CLUSTER_DENIED,))


def _unregister_broker(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    for broker in (1, 9):
        request = unregister_broker_request.UnregisterBrokerRequest(broker)
        yield Denial(request, (CLUSTER_DENIED,), str(broker))


def _list_config_resources(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    yield Denial(list_config_resources_request.ListConfigResourcesRequest(), (CLUSTER_DENIED,))


def _describe_topic_partitions(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    m = describe_topic_partitions_request
    for name in ("t", "new"):
        wanted = [m.TopicRequest(name)]
        yield Denial(m.DescribeTopicPartitionsRequest(wanted, 100), (TOPIC_DENIED,), name)
    yield Denial(m.DescribeTopicPartitionsRequest([], 100), (), "everything")


def _delete_records(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    m = delete_records_request
    for name in ("t", "new"):
        topic = m.DeleteRecordsTopic(name, [m.DeleteRecordsPartition(0, 1)])
        yield Denial(m.DeleteRecordsRequest([topic], 5000), (TOPIC_DENIED,), name)


def _describe_log_dirs(_world: World, version: int, _listener: str) -> Iterator[Denial]:
    code = CLUSTER_DENIED if version >= 3 else NONE
    yield Denial(describe_log_dirs_request.DescribeLogDirsRequest(None), (code,))


def _describe_client_quotas(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    yield Denial(describe_client_quotas_request.DescribeClientQuotasRequest(), (CLUSTER_DENIED,))


def _alter_client_quotas(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    m = alter_client_quotas_request
    entry = m.EntryData([m.EntityData("user", "u")], [m.OpData("producer_byte_rate", 1.0)])
    yield Denial(m.AlterClientQuotasRequest([entry]), (CLUSTER_DENIED,))


def _describe_scram(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    m = describe_user_scram_credentials_request
    # Not null: Kafka, which denies it, stumbles over that and answers nothing.
    request = m.DescribeUserScramCredentialsRequest([m.UserName("u")])
    yield Denial(request, (CLUSTER_DENIED, CLUSTER_DENIED))


def _describe_producers(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    m = describe_producers_request
    for name in ("t", "new"):
        topic = m.TopicRequest(name, [0])
        yield Denial(m.DescribeProducersRequest([topic]), (TOPIC_DENIED,), name)


DENIALS: dict[int, Build] = {
    **GROUP_DENIALS,
    **TRANSACTION_DENIALS,
    0: _produce,
    1: _fetch,
    2: _list_offsets,
    3: _metadata,
    18: _api_versions,
    19: _create_topics,
    20: _delete_topics,
    21: _delete_records,
    22: _init_producer_id,
    23: _offset_for_leader_epoch,
    32: _describe_configs,
    33: _alter_configs,
    35: _describe_log_dirs,
    37: _create_partitions,
    43: _elect_leaders,
    44: _incremental_alter_configs,
    45: _alter_reassignments,
    46: _list_reassignments,
    48: _describe_client_quotas,
    49: _alter_client_quotas,
    50: _describe_scram,
    55: _describe_quorum,
    57: _update_features,
    60: _describe_cluster,
    61: _describe_producers,
    64: _unregister_broker,
    74: _list_config_resources,
    75: _describe_topic_partitions,
}
"""By API key. What a node serves and is not here fails the tests."""


def served() -> list[tuple[str, int, int]]:
    """(listener, API key, version) of everything that a node lists."""
    return [
        (listener, key, version)
        for key in sorted(RAW | DECODED)
        for listener, there in ((BROKER, API[key].on_broker), (CONTROLLER, API[key].on_controller))
        if there
        for version in range(API[key].min_version, API[key].max_version + 1)
    ]
