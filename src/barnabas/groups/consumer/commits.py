"""Whether a member of a consumer group may commit or read offsets (KIP-848, KIP-1251)."""

from __future__ import annotations

from collections.abc import Iterable

from barnabas.groups.consumer.group import ConsumerGroup
from barnabas.wire.errors import ErrorCode

MEMBER_EPOCHS_FROM = 9
"""The first version of OffsetCommit and OffsetFetch that knows member epochs."""


def check_commit(
    group: ConsumerGroup,
    member_id: str,
    instance_id: str | None,
    epoch: int,
    partitions: Iterable[tuple[bytes | None, int]],
    *,
    version: int,
    transactional: bool,
) -> ErrorCode:
    """Whether a member may commit for these partitions (topic id, number) in this epoch.

    One of an earlier epoch may for partitions that it has had since then. A topic id of None is
    that of a topic that is not there.
    """
    if epoch < 0 and not group.members:
        return ErrorCode.NONE
    if transactional and epoch == -1 and not member_id and instance_id is None:
        return ErrorCode.NONE
    member = group.member(member_id)
    if member is None:
        return ErrorCode.UNKNOWN_MEMBER_ID
    if not transactional and member.classic is None and version < MEMBER_EPOCHS_FROM:
        return ErrorCode.UNSUPPORTED_VERSION
    if epoch == member.epoch:
        return ErrorCode.NONE
    if epoch < member.epoch and all(
        topic is not None and _held_by(member.held_since(topic, number), epoch)
        for topic, number in partitions
    ):
        return ErrorCode.NONE
    stale = member.classic is None and not transactional
    return ErrorCode.STALE_MEMBER_EPOCH if stale else ErrorCode.ILLEGAL_GENERATION


def _held_by(since: int | None, epoch: int) -> bool:
    return since is not None and since <= epoch


def check_fetch(group: ConsumerGroup, member_id: str | None, epoch: int) -> ErrorCode:
    """Whether somebody may read the offsets: anybody who names no member, or one in its epoch."""
    if member_id is None and epoch < 0:
        return ErrorCode.NONE
    member = group.member(member_id or "")
    if member is None:
        return ErrorCode.UNKNOWN_MEMBER_ID
    if epoch == member.epoch:
        return ErrorCode.NONE
    stale = member.classic is None
    return ErrorCode.STALE_MEMBER_EPOCH if stale else ErrorCode.ILLEGAL_GENERATION
