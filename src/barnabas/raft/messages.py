"""The quorum's requests and answers as Kafka's messages: always one topic with one partition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from barnabas.raft.types import (
    METADATA_PARTITION,
    METADATA_TOPIC,
    NO_NODE,
    Endpoint,
    OffsetAndEpoch,
    ReplicaKey,
)
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages import (
    begin_quorum_epoch_request,
    begin_quorum_epoch_response,
    end_quorum_epoch_request,
    end_quorum_epoch_response,
    vote_request,
    vote_response,
)


class LeaderView(NamedTuple):
    """Leader and epoch that an answer tells."""

    leader_id: int
    epoch: int
    endpoints: tuple[Endpoint, ...]


def partition_of(request: Any) -> Any:
    """The one partition of a quorum message, None unless it is exactly the metadata partition."""
    if len(request.topics) != 1 or len(request.topics[0].partitions) != 1:
        return None
    partition = request.topics[0].partitions[0]
    if request.topics[0].topic_name != METADATA_TOPIC:
        return None
    return partition if partition.partition_index == METADATA_PARTITION else None


def vote_ask(
    cluster_id: str,
    voter: ReplicaKey,
    own: ReplicaKey,
    epoch: int,
    last: OffsetAndEpoch,
    *,
    pre_vote: bool,
) -> vote_request.VoteRequest:
    """A Vote request; `last` is the end of the candidate's log."""
    partition = vote_request.PartitionData(
        partition_index=METADATA_PARTITION,
        replica_epoch=epoch,
        replica_id=own.id,
        replica_directory_id=own.directory_id,
        voter_directory_id=voter.directory_id,
        last_offset_epoch=last.epoch,
        last_offset=last.offset,
        pre_vote=pre_vote,
    )
    topic = vote_request.TopicData(topic_name=METADATA_TOPIC, partitions=[partition])
    return vote_request.VoteRequest(cluster_id=cluster_id, voter_id=voter.id, topics=[topic])


def vote_answer(
    error: ErrorCode, leader: LeaderView, version: int, *, granted: bool
) -> vote_response.VoteResponse:
    """The answer to a Vote request that concerned the metadata partition."""
    partition = vote_response.PartitionData(
        partition_index=METADATA_PARTITION,
        error_code=error,
        leader_id=leader.leader_id,
        leader_epoch=leader.epoch,
        vote_granted=granted,
    )
    topic = vote_response.TopicData(topic_name=METADATA_TOPIC, partitions=[partition])
    response = vote_response.VoteResponse(topics=[topic])
    if version >= 1:
        response.node_endpoints = [
            vote_response.NodeEndpoint(node_id=leader.leader_id, host=e.host, port=e.port)
            for e in leader.endpoints[:1]
        ]
    return response


def begin_ask(
    cluster_id: str, voter: ReplicaKey, leader_id: int, epoch: int, endpoints: Sequence[Endpoint]
) -> begin_quorum_epoch_request.BeginQuorumEpochRequest:
    """A leader's announcement."""
    partition = begin_quorum_epoch_request.PartitionData(
        partition_index=METADATA_PARTITION,
        voter_directory_id=voter.directory_id,
        leader_id=leader_id,
        leader_epoch=epoch,
    )
    topic = begin_quorum_epoch_request.TopicData(topic_name=METADATA_TOPIC, partitions=[partition])
    return begin_quorum_epoch_request.BeginQuorumEpochRequest(
        cluster_id=cluster_id,
        voter_id=voter.id,
        topics=[topic],
        leader_endpoints=[
            begin_quorum_epoch_request.LeaderEndpoint(name=e.listener, host=e.host, port=e.port)
            for e in endpoints
        ],
    )


def begin_answer(
    error: ErrorCode, leader: LeaderView, version: int
) -> begin_quorum_epoch_response.BeginQuorumEpochResponse:
    """The answer to BeginQuorumEpoch."""
    partition = begin_quorum_epoch_response.PartitionData(
        partition_index=METADATA_PARTITION,
        error_code=error,
        leader_id=leader.leader_id,
        leader_epoch=leader.epoch,
    )
    topic = begin_quorum_epoch_response.TopicData(topic_name=METADATA_TOPIC, partitions=[partition])
    response = begin_quorum_epoch_response.BeginQuorumEpochResponse(topics=[topic])
    if version >= 1:
        response.node_endpoints = [
            begin_quorum_epoch_response.NodeEndpoint(
                node_id=leader.leader_id, host=e.host, port=e.port
            )
            for e in leader.endpoints[:1]
        ]
    return response


def end_ask(
    cluster_id: str,
    leader_id: int,
    epoch: int,
    successors: Sequence[ReplicaKey],
    endpoints: Sequence[Endpoint],
) -> end_quorum_epoch_request.EndQuorumEpochRequest:
    """A leader's farewell; `successors` in order of preference."""
    partition = end_quorum_epoch_request.PartitionData(
        partition_index=METADATA_PARTITION,
        leader_id=leader_id,
        leader_epoch=epoch,
        preferred_successors=[key.id for key in successors],
        preferred_candidates=[
            end_quorum_epoch_request.ReplicaInfo(
                candidate_id=key.id, candidate_directory_id=key.directory_id
            )
            for key in successors
        ],
    )
    topic = end_quorum_epoch_request.TopicData(topic_name=METADATA_TOPIC, partitions=[partition])
    return end_quorum_epoch_request.EndQuorumEpochRequest(
        cluster_id=cluster_id,
        topics=[topic],
        leader_endpoints=[
            end_quorum_epoch_request.LeaderEndpoint(name=e.listener, host=e.host, port=e.port)
            for e in endpoints
        ],
    )


def end_answer(
    error: ErrorCode, leader: LeaderView, version: int
) -> end_quorum_epoch_response.EndQuorumEpochResponse:
    """The answer to EndQuorumEpoch."""
    partition = end_quorum_epoch_response.PartitionData(
        partition_index=METADATA_PARTITION,
        error_code=error,
        leader_id=leader.leader_id,
        leader_epoch=leader.epoch,
    )
    topic = end_quorum_epoch_response.TopicData(topic_name=METADATA_TOPIC, partitions=[partition])
    response = end_quorum_epoch_response.EndQuorumEpochResponse(topics=[topic])
    if version >= 1:
        response.node_endpoints = [
            end_quorum_epoch_response.NodeEndpoint(
                node_id=leader.leader_id, host=e.host, port=e.port
            )
            for e in leader.endpoints[:1]
        ]
    return response


def named_endpoints(endpoints: Sequence[Any]) -> tuple[Endpoint, ...]:
    """Endpoints of a leader as BeginQuorumEpoch and EndQuorumEpoch carry them."""
    return tuple(Endpoint(e.name, e.host, e.port) for e in endpoints)


def answered_leader(response: Any, partition: Any) -> LeaderView:
    """What a Vote, Begin or EndQuorumEpoch answer says about the leader."""
    endpoints = tuple(
        Endpoint("", node.host, node.port)
        for node in response.node_endpoints
        if node.node_id == partition.leader_id
    )
    known = partition.leader_id >= 0
    return LeaderView(partition.leader_id if known else NO_NODE, partition.leader_epoch, endpoints)
