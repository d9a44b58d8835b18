"""The record types of __consumer_offsets, by number (9 and 18 were never released)."""

from __future__ import annotations

from typing import Final

from barnabas.coordinator.framing import RecordTypes
from barnabas.groups.records.consumer_group_current_member_assignment_key import (
    ConsumerGroupCurrentMemberAssignmentKey,
)
from barnabas.groups.records.consumer_group_current_member_assignment_value import (
    ConsumerGroupCurrentMemberAssignmentValue,
)
from barnabas.groups.records.consumer_group_member_metadata_key import (
    ConsumerGroupMemberMetadataKey,
)
from barnabas.groups.records.consumer_group_member_metadata_value import (
    ConsumerGroupMemberMetadataValue,
)
from barnabas.groups.records.consumer_group_metadata_key import ConsumerGroupMetadataKey
from barnabas.groups.records.consumer_group_metadata_value import ConsumerGroupMetadataValue
from barnabas.groups.records.consumer_group_partition_metadata_key import (
    ConsumerGroupPartitionMetadataKey,
)
from barnabas.groups.records.consumer_group_partition_metadata_value import (
    ConsumerGroupPartitionMetadataValue,
)
from barnabas.groups.records.consumer_group_regular_expression_key import (
    ConsumerGroupRegularExpressionKey,
)
from barnabas.groups.records.consumer_group_regular_expression_value import (
    ConsumerGroupRegularExpressionValue,
)
from barnabas.groups.records.consumer_group_target_assignment_member_key import (
    ConsumerGroupTargetAssignmentMemberKey,
)
from barnabas.groups.records.consumer_group_target_assignment_member_value import (
    ConsumerGroupTargetAssignmentMemberValue,
)
from barnabas.groups.records.consumer_group_target_assignment_metadata_key import (
    ConsumerGroupTargetAssignmentMetadataKey,
)
from barnabas.groups.records.consumer_group_target_assignment_metadata_value import (
    ConsumerGroupTargetAssignmentMetadataValue,
)
from barnabas.groups.records.group_metadata_key import GroupMetadataKey
from barnabas.groups.records.group_metadata_value import GroupMetadataValue
from barnabas.groups.records.legacy_offset_commit_key import LegacyOffsetCommitKey
from barnabas.groups.records.legacy_offset_commit_value import LegacyOffsetCommitValue
from barnabas.groups.records.offset_commit_key import OffsetCommitKey
from barnabas.groups.records.offset_commit_value import OffsetCommitValue
from barnabas.groups.records.share_group_current_member_assignment_key import (
    ShareGroupCurrentMemberAssignmentKey,
)
from barnabas.groups.records.share_group_current_member_assignment_value import (
    ShareGroupCurrentMemberAssignmentValue,
)
from barnabas.groups.records.share_group_member_metadata_key import ShareGroupMemberMetadataKey
from barnabas.groups.records.share_group_member_metadata_value import ShareGroupMemberMetadataValue
from barnabas.groups.records.share_group_metadata_key import ShareGroupMetadataKey
from barnabas.groups.records.share_group_metadata_value import ShareGroupMetadataValue
from barnabas.groups.records.share_group_state_partition_metadata_key import (
    ShareGroupStatePartitionMetadataKey,
)
from barnabas.groups.records.share_group_state_partition_metadata_value import (
    ShareGroupStatePartitionMetadataValue,
)
from barnabas.groups.records.share_group_target_assignment_member_key import (
    ShareGroupTargetAssignmentMemberKey,
)
from barnabas.groups.records.share_group_target_assignment_member_value import (
    ShareGroupTargetAssignmentMemberValue,
)
from barnabas.groups.records.share_group_target_assignment_metadata_key import (
    ShareGroupTargetAssignmentMetadataKey,
)
from barnabas.groups.records.share_group_target_assignment_metadata_value import (
    ShareGroupTargetAssignmentMetadataValue,
)
from barnabas.groups.records.streams_group_current_member_assignment_key import (
    StreamsGroupCurrentMemberAssignmentKey,
)
from barnabas.groups.records.streams_group_current_member_assignment_value import (
    StreamsGroupCurrentMemberAssignmentValue,
)
from barnabas.groups.records.streams_group_member_metadata_key import StreamsGroupMemberMetadataKey
from barnabas.groups.records.streams_group_member_metadata_value import (
    StreamsGroupMemberMetadataValue,
)
from barnabas.groups.records.streams_group_metadata_key import StreamsGroupMetadataKey
from barnabas.groups.records.streams_group_metadata_value import StreamsGroupMetadataValue
from barnabas.groups.records.streams_group_target_assignment_member_key import (
    StreamsGroupTargetAssignmentMemberKey,
)
from barnabas.groups.records.streams_group_target_assignment_member_value import (
    StreamsGroupTargetAssignmentMemberValue,
)
from barnabas.groups.records.streams_group_target_assignment_metadata_key import (
    StreamsGroupTargetAssignmentMetadataKey,
)
from barnabas.groups.records.streams_group_target_assignment_metadata_value import (
    StreamsGroupTargetAssignmentMetadataValue,
)
from barnabas.groups.records.streams_group_topology_key import StreamsGroupTopologyKey
from barnabas.groups.records.streams_group_topology_value import StreamsGroupTopologyValue

GROUP_RECORDS: Final[RecordTypes] = {
    0: (LegacyOffsetCommitKey, LegacyOffsetCommitValue),
    1: (OffsetCommitKey, OffsetCommitValue),
    2: (GroupMetadataKey, GroupMetadataValue),
    3: (ConsumerGroupMetadataKey, ConsumerGroupMetadataValue),
    4: (ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue),
    5: (ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue),
    6: (ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue),
    7: (ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue),
    8: (ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue),
    10: (ShareGroupMemberMetadataKey, ShareGroupMemberMetadataValue),
    11: (ShareGroupMetadataKey, ShareGroupMetadataValue),
    12: (ShareGroupTargetAssignmentMetadataKey, ShareGroupTargetAssignmentMetadataValue),
    13: (ShareGroupTargetAssignmentMemberKey, ShareGroupTargetAssignmentMemberValue),
    14: (ShareGroupCurrentMemberAssignmentKey, ShareGroupCurrentMemberAssignmentValue),
    15: (ShareGroupStatePartitionMetadataKey, ShareGroupStatePartitionMetadataValue),
    16: (ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue),
    17: (StreamsGroupMetadataKey, StreamsGroupMetadataValue),
    19: (StreamsGroupMemberMetadataKey, StreamsGroupMemberMetadataValue),
    20: (StreamsGroupTargetAssignmentMetadataKey, StreamsGroupTargetAssignmentMetadataValue),
    21: (StreamsGroupTargetAssignmentMemberKey, StreamsGroupTargetAssignmentMemberValue),
    22: (StreamsGroupCurrentMemberAssignmentKey, StreamsGroupCurrentMemberAssignmentValue),
    23: (StreamsGroupTopologyKey, StreamsGroupTopologyValue),
}
