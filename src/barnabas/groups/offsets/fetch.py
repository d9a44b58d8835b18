"""OffsetFetch for one group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.groups.consumer.commits import check_fetch
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.offset_fetch_response import (
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
)
from barnabas.wire.uuids import ZERO

if TYPE_CHECKING:
    from barnabas.groups.offsets.table import Committed
    from barnabas.groups.state import GroupsState
    from barnabas.wire.messages.offset_fetch_request import OffsetFetchRequestGroup

NONE = -1


def fetch_offsets(
    state: GroupsState, request: OffsetFetchRequestGroup, *, require_stable: bool
) -> OffsetFetchResponseGroup:
    """What the group has committed for the topics asked for, or for all (topics null).

    `require_stable` (KIP-447): a partition for which a transaction holds an offset is refused.
    """
    group_id = request.group_id
    group = state.consumer(group_id)
    if group is not None:
        error = check_fetch(group, request.member_id, request.member_epoch)
        if error:
            return refuse_fetch(request, error)
    if request.topics is None:
        known = state.offsets.of_group(group_id)
        asked = [(name, ZERO, sorted(parts)) for name, parts in known.items()]
    else:
        asked = [(t.name, t.topic_id, t.partition_indexes) for t in request.topics]
    topics = []
    for name, topic_id, indexes in asked:
        found = state.offsets.of_group(group_id).get(name, {})
        partitions = []
        for index in indexes:
            if require_stable and state.offsets.unstable(group_id, name, index):
                partitions.append(_nothing(index, ErrorCode.UNSTABLE_OFFSET_COMMIT))
                continue
            committed = found.get(index)
            if committed is None or _other_topic(committed, topic_id):
                partitions.append(_nothing(index, ErrorCode.NONE))
                continue
            partitions.append(
                OffsetFetchResponsePartitions(
                    index, committed.offset, committed.leader_epoch, committed.metadata
                )
            )
        topics.append(OffsetFetchResponseTopics(name, topic_id, partitions))
    return OffsetFetchResponseGroup(group_id, topics)


def refuse_fetch(request: OffsetFetchRequestGroup, error: ErrorCode) -> OffsetFetchResponseGroup:
    """The whole group gets the error."""
    return OffsetFetchResponseGroup(request.group_id, error_code=error)


def _other_topic(committed: Committed, topic_id: bytes) -> bool:
    """Whether it was committed for another topic of that name."""
    return ZERO not in (committed.topic_id, topic_id) and committed.topic_id != topic_id


def _nothing(index: int, error: ErrorCode) -> OffsetFetchResponsePartitions:
    return OffsetFetchResponsePartitions(index, NONE, NONE, "", error)
