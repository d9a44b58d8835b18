"""How a leader answers the fetches of followers and observers (KIP-595, KIP-630, KIP-1166)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.raft.effects import FetchVerdict, HighWatermark
from barnabas.raft.events import FetchAsked, SnapshotFetched
from barnabas.raft.roles import Leader
from barnabas.raft.types import LogView, OffsetAndEpoch
from barnabas.wire.errors import ErrorCode

if TYPE_CHECKING:
    from barnabas.raft.node import QuorumNode

BOOTSTRAP_SNAPSHOT = OffsetAndEpoch(0, 0)
"""Written by the format command of a dynamic quorum; never served to others."""


def leader_error(node: QuorumNode, epoch: int) -> ErrorCode:
    """Why a request that only leaders answer cannot be; NONE when it can."""
    if epoch < node.epoch:
        return ErrorCode.FENCED_LEADER_EPOCH
    if epoch > node.epoch:
        return ErrorCode.UNKNOWN_LEADER_EPOCH
    return ErrorCode.NONE if isinstance(node.role, Leader) else ErrorCode.NOT_LEADER_OR_FOLLOWER


def fetch_asked(node: QuorumNode, event: FetchAsked) -> None:
    """Judge a fetch and note how far the replica is: it has everything below its fetch offset."""
    if not 0 <= event.last_fetched_epoch <= event.leader_epoch or event.fetch_offset < 0:
        node.effects.append(_refusal(node, event.token, ErrorCode.INVALID_REQUEST))
        return
    error = leader_error(node, event.leader_epoch)
    role = node.role
    if error is not ErrorCode.NONE or not isinstance(role, Leader):
        node.effects.append(_refusal(node, event.token, error))
        return
    if event.replica.id == node.own.id:
        # Kafka fails here; nobody else may count as this leader.
        node.effects.append(_refusal(node, event.token, ErrorCode.UNKNOWN_SERVER_ERROR))
        return
    verdict = where(node.log, event.fetch_offset, event.last_fetched_epoch)
    if verdict.readable and event.replica.id >= 0:
        moved = role.state.fetched(
            event.replica, event.fetch_offset, role.state.own_end_offset, event.now_ms
        )
        if moved:
            node.effects.append(HighWatermark(role.state.high_watermark))
        if role.state.majority_fetched(event.replica.id):
            node.restart_check_quorum()
    view = node.leader_view()
    node.effects.append(
        verdict._replace(
            high_watermark=role.state.high_watermark,
            leader_id=view.leader_id,
            leader_epoch=view.epoch,
            leader_endpoints=view.endpoints,
            token=event.token,
        )
    )


def snapshot_fetched(node: QuorumNode, event: SnapshotFetched) -> None:
    """A voter that loads a snapshot cannot fetch meanwhile; it lives all the same."""
    if isinstance(node.role, Leader) and node.role.state.majority_fetched(event.replica.id):
        node.restart_check_quorum()


def where(log: LogView, offset: int, last_fetched_epoch: int) -> FetchVerdict:
    """Compare a replica's end with this log: readable, diverging, or in need of a snapshot."""
    latest = log.latest_snapshot
    if offset == 0 and latest is not None and latest != BOOTSTRAP_SNAPSHOT:
        # One snapshot is cheaper than all the log behind it.
        return FetchVerdict(snapshot=latest)
    if log.start_offset == 0 and offset == 0:
        return FetchVerdict()
    earliest = log.earliest_snapshot
    if earliest is not None and (
        offset < log.start_offset
        or (offset == log.start_offset and last_fetched_epoch != earliest.epoch)
        or last_fetched_epoch < earliest.epoch
    ):
        return FetchVerdict(snapshot=latest)
    end = log.end_offset_for_epoch(last_fetched_epoch)
    if end.epoch != last_fetched_epoch or end.offset < offset:
        return FetchVerdict(diverging=end)
    return FetchVerdict()


def _refusal(node: QuorumNode, token: int, error: ErrorCode) -> FetchVerdict:
    view = node.leader_view()
    return FetchVerdict(
        error=error,
        leader_id=view.leader_id,
        leader_epoch=view.epoch,
        leader_endpoints=view.endpoints,
        token=token,
    )
