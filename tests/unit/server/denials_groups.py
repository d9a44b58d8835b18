"""Requests about groups, from somebody who may do nothing (see `denials`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages import (
    consumer_group_describe_request,
    consumer_group_heartbeat_request,
    delete_groups_request,
    describe_groups_request,
    find_coordinator_request,
    heartbeat_request,
    join_group_request,
    leave_group_request,
    list_groups_request,
    offset_commit_request,
    offset_delete_request,
    offset_fetch_request,
    sync_group_request,
)
from tests.unit.server.denials_kinds import Build, Denial, World

GROUP_DENIED: Final = ErrorCode.GROUP_AUTHORIZATION_FAILED
TXN_DENIED: Final = ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
NONE: Final = ErrorCode.NONE


def _offset_commit(world: World, version: int, _listener: str) -> Iterator[Denial]:
    part = offset_commit_request.OffsetCommitRequestPartition(0, 1)
    topic = offset_commit_request.OffsetCommitRequestTopic("t", world.topic_id, [part])
    if version < 10:
        topic.topic_id = bytes(16)
    request = offset_commit_request.OffsetCommitRequest("g", topics=[topic])
    yield Denial(request, (GROUP_DENIED,))


def _offset_fetch(_world: World, version: int, _listener: str) -> Iterator[Denial]:
    if version >= 8:
        group = offset_fetch_request.OffsetFetchRequestGroup("g")
        # The error of the whole is a field that these versions do not send.
        yield Denial(offset_fetch_request.OffsetFetchRequest(groups=[group]), (NONE, GROUP_DENIED))
        return
    topic = offset_fetch_request.OffsetFetchRequestTopic("t", [0])
    codes = (GROUP_DENIED,) if version >= 2 else (GROUP_DENIED, NONE)
    yield Denial(offset_fetch_request.OffsetFetchRequest("g", [topic]), codes)


def _find_coordinator(_world: World, version: int, _listener: str) -> Iterator[Denial]:
    kinds = ((0, GROUP_DENIED), (1, TXN_DENIED)) if version else ((0, GROUP_DENIED),)
    for kind, code in kinds:
        request = find_coordinator_request.FindCoordinatorRequest(key_type=kind)
        if version >= 4:
            request.coordinator_keys = ["g"]
            codes: tuple[int, ...] = (NONE, code)
        else:
            request.key = "g"
            codes = (code,)
        yield Denial(request, codes, str(kind))


def _join_group(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    protocol = join_group_request.JoinGroupRequestProtocol("range", b"")
    request = join_group_request.JoinGroupRequest(
        "g", 10_000, 10_000, "", None, "consumer", [protocol]
    )
    yield Denial(request, (GROUP_DENIED,))


def _heartbeat(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    yield Denial(heartbeat_request.HeartbeatRequest("g", 1, "m"), (GROUP_DENIED,))


def _leave_group(_world: World, version: int, _listener: str) -> Iterator[Denial]:
    request = leave_group_request.LeaveGroupRequest("g")
    if version >= 3:
        request.members = [leave_group_request.MemberIdentity("m")]
    else:
        request.member_id = "m"
    yield Denial(request, (GROUP_DENIED,))


def _sync_group(_world: World, version: int, _listener: str) -> Iterator[Denial]:
    request = sync_group_request.SyncGroupRequest("g", 1, "m")
    if version >= 5:
        request.protocol_type, request.protocol_name = "consumer", "range"
    yield Denial(request, (GROUP_DENIED,))


def _describe_groups(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    yield Denial(describe_groups_request.DescribeGroupsRequest(["g"]), (GROUP_DENIED,))


def _list_groups(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    yield Denial(list_groups_request.ListGroupsRequest(), (NONE,))


def _delete_groups(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    yield Denial(delete_groups_request.DeleteGroupsRequest(["g"]), (GROUP_DENIED,))


def _offset_delete(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    part = offset_delete_request.OffsetDeleteRequestPartition(0)
    topic = offset_delete_request.OffsetDeleteRequestTopic("t", [part])
    yield Denial(offset_delete_request.OffsetDeleteRequest("g", [topic]), (GROUP_DENIED,))


def _consumer_group_heartbeat(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    request = consumer_group_heartbeat_request.ConsumerGroupHeartbeatRequest(
        "g", "m", 0, rebalance_timeout_ms=1, subscribed_topic_names=["t"], topic_partitions=[]
    )
    yield Denial(request, (GROUP_DENIED,))


def _consumer_group_describe(_world: World, _version: int, _listener: str) -> Iterator[Denial]:
    request = consumer_group_describe_request.ConsumerGroupDescribeRequest(["g"])
    yield Denial(request, (GROUP_DENIED,))


GROUP_DENIALS: Final[dict[int, Build]] = {
    8: _offset_commit,
    9: _offset_fetch,
    10: _find_coordinator,
    11: _join_group,
    12: _heartbeat,
    13: _leave_group,
    14: _sync_group,
    15: _describe_groups,
    16: _list_groups,
    42: _delete_groups,
    47: _offset_delete,
    68: _consumer_group_heartbeat,
    69: _consumer_group_describe,
}
