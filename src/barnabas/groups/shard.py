"""`GroupShard`: the groups and offsets of one partition of __consumer_offsets, as a state machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from barnabas.coordinator.effects import Effects, Now, Origin, Rows, Ticket, TimerKey
from barnabas.coordinator.framing import AnyRecord
from barnabas.groups import administration
from barnabas.groups.classic import membership, rebalance
from barnabas.groups.classic.group import ClassicGroup, State
from barnabas.groups.classic.join import check_session, join_group
from barnabas.groups.classic.rebalance import refuse_join
from barnabas.groups.classic.records import adopt_generation, group_of
from barnabas.groups.classic.sync import sync_group
from barnabas.groups.classic.timers import JoinTimer, SessionTimer, SyncTimer
from barnabas.groups.consumer import classic_members
from barnabas.groups.consumer.describe import describe_consumer_group
from barnabas.groups.consumer.group import ConsumerGroup, Resolved
from barnabas.groups.consumer.heartbeat import consumer_heartbeat
from barnabas.groups.consumer.leaving import time_is_over
from barnabas.groups.consumer.ready import MemberOfGroup
from barnabas.groups.consumer.replay import replay_consumer, replay_ready
from barnabas.groups.consumer.steps import restart_all
from barnabas.groups.consumer.subscriptions import regexes_resolved
from barnabas.groups.consumer.timers import ConsumerTimer
from barnabas.groups.consumer.topics import Topics
from barnabas.groups.context import RequestContext
from barnabas.groups.counters import GroupCounters
from barnabas.groups.offsets import commit, fetch
from barnabas.groups.offsets.bulk import BulkOffsets
from barnabas.groups.offsets.expiry import TOMBSTONES_AT_ONCE, Progress, expire
from barnabas.groups.offsets.table import Committed, Place
from barnabas.groups.records.consumer_group_metadata_key import ConsumerGroupMetadataKey
from barnabas.groups.records.group_metadata_key import GroupMetadataKey
from barnabas.groups.records.group_metadata_value import GroupMetadataValue
from barnabas.groups.records.offset_commit_key import OffsetCommitKey
from barnabas.groups.records.offset_commit_value import OffsetCommitValue
from barnabas.groups.settings import GroupSettings
from barnabas.groups.state import GroupsState, Resolution
from barnabas.wire.messages.consumer_group_describe_response import (
    DescribedGroup as DescribedConsumerGroup,
)
from barnabas.wire.messages.consumer_group_heartbeat_request import ConsumerGroupHeartbeatRequest
from barnabas.wire.messages.describe_groups_response import DescribedGroup
from barnabas.wire.messages.heartbeat_request import HeartbeatRequest
from barnabas.wire.messages.join_group_request import JoinGroupRequest
from barnabas.wire.messages.leave_group_request import LeaveGroupRequest
from barnabas.wire.messages.list_groups_response import ListedGroup
from barnabas.wire.messages.offset_commit_request import OffsetCommitRequest
from barnabas.wire.messages.offset_delete_request import OffsetDeleteRequest
from barnabas.wire.messages.offset_fetch_request import OffsetFetchRequestGroup
from barnabas.wire.messages.offset_fetch_response import OffsetFetchResponseGroup
from barnabas.wire.messages.sync_group_request import SyncGroupRequest
from barnabas.wire.messages.txn_offset_commit_request import TxnOffsetCommitRequest
from barnabas.wire.uuids import ZERO

EXPIRY: Final = "expiry"
"""The timer of the look for expired offsets."""

FENCE_AGAIN_MS: Final = 500
"""When a member is fenced whose end the log did not take (Kafka's)."""


class GroupShard:
    """See `coordinator.effects.Shard` for the contract."""

    def __init__(
        self,
        settings: GroupSettings,
        new_id: Callable[[], str],
        topics: Topics | None = None,
        configs: Callable[[str], Mapping[str, int]] | None = None,
        counters: GroupCounters | None = None,
    ) -> None:
        self.state = GroupsState(settings, new_id, topics, configs)
        self._counters = counters or GroupCounters()
        self._active = False
        self._bulk: BulkOffsets | None = BulkOffsets(self.state)
        """Until all is loaded."""
        self._expired = Progress()
        """How far the look under way has come."""

    # -- members ---------------------------------------------------------------------------------

    def join_group(
        self, context: RequestContext, request: JoinGroupRequest, ticket: Ticket, now: Now
    ) -> Effects:
        """JoinGroup."""
        group = self.state.consumer(request.group_id)
        if group is not None and group.members:
            error = check_session(self.state, request)
            if error:
                return Effects().reply(ticket, refuse_join(error, request.member_id))
            return classic_members.join(self.state, group, context, request, ticket, now)
        return join_group(self.state, context, request, ticket, now)

    def sync_group(self, request: SyncGroupRequest, ticket: Ticket, now: Now) -> Effects:
        """SyncGroup."""
        group = self.state.consumer(request.group_id)
        if group is not None:
            return classic_members.sync(self.state, group, request, ticket, now)
        return sync_group(self.state, request, ticket, now)

    def heartbeat(self, request: HeartbeatRequest, ticket: Ticket, now: Now) -> Effects:
        """Heartbeat."""
        group = self.state.consumer(request.group_id)
        if group is not None:
            return classic_members.heartbeat(group, request, ticket, now)
        return membership.heartbeat(self.state, request, ticket, now)

    def leave_group(self, request: LeaveGroupRequest, ticket: Ticket, now: Now) -> Effects:
        """LeaveGroup, in the form of version 3: a list of members."""
        group = self.state.consumer(request.group_id)
        if group is not None:
            return classic_members.leave_group(self.state, group, request, ticket, now)
        return membership.leave_group(self.state, request, ticket, now)

    def consumer_group_heartbeat(
        self,
        context: RequestContext,
        request: ConsumerGroupHeartbeatRequest,
        ticket: Ticket,
        now: Now,
    ) -> Effects:
        """ConsumerGroupHeartbeat."""
        return consumer_heartbeat(self.state, context, request, ticket, now)

    def take_resolutions(self) -> list[Resolution]:
        """What decisions since the last call have asked for; `regexes_resolved` is the answer."""
        taken, self.state.resolutions = self.state.resolutions, []
        return taken

    def regexes_resolved(self, group_id: str, found: Mapping[str, Resolved], now: Now) -> Effects:
        """The topics of a group's regular expressions are known."""
        return regexes_resolved(self.state, group_id, found, now)

    # -- offsets ---------------------------------------------------------------------------------

    def commit_offsets(
        self, context: RequestContext, request: OffsetCommitRequest, ticket: Ticket, now: Now
    ) -> Effects:
        """OffsetCommit."""
        return commit.commit_offsets(self.state, context, request, ticket, now)

    def commit_in_transaction(
        self, request: TxnOffsetCommitRequest, ticket: Ticket, now: Now
    ) -> Effects:
        """TxnOffsetCommit."""
        return commit.commit_in_transaction(self.state, request, ticket, now)

    def fetch_offsets(
        self, request: OffsetFetchRequestGroup, *, require_stable: bool
    ) -> OffsetFetchResponseGroup:
        """OffsetFetch of one group; the caller lets the answer wait for what is appended."""
        return fetch.fetch_offsets(self.state, request, require_stable=require_stable)

    def delete_offsets(self, request: OffsetDeleteRequest, ticket: Ticket) -> Effects:
        """OffsetDelete."""
        effects = commit.delete_offsets(self.state, request, ticket)
        self._counters.offset_deletions += tombstones(effects)
        return effects

    # -- administration --------------------------------------------------------------------------

    def list_groups(self, states: list[str], types: list[str]) -> list[ListedGroup]:
        """ListGroups."""
        return administration.list_groups(self.state, states, types)

    def describe(self, group_id: str, version: int) -> DescribedGroup:
        """DescribeGroups, one group."""
        return administration.describe(self.state, group_id, version)

    def describe_consumer_group(self, group_id: str) -> DescribedConsumerGroup:
        """ConsumerGroupDescribe, one group."""
        return describe_consumer_group(self.state, group_id)

    def delete_group(self, group_id: str, ticket: Ticket, now: Now) -> Effects:
        """DeleteGroups, one group."""
        effects = administration.delete_group(self.state, group_id, ticket, now)
        self._counters.offset_deletions += tombstones(effects)
        return effects

    def topics_changed(self, names: Iterable[str], *, created: bool) -> None:
        """Topics were created, deleted, or got partitions: groups notice with their next beat."""
        changed = set(names)
        if created:
            self.state.last_new_topics = self.state.topics.version
        self.state.hashes.forget(changed)
        for group in self.state.groups.values():
            if isinstance(group, ConsumerGroup) and not (
                changed.isdisjoint(group.names) and changed.isdisjoint(group.by_regex)
            ):
                group.metadata_changed()

    def topics_deleted(self, topics: Iterable[tuple[str, bytes]]) -> list[Effects]:
        """Offsets of topics (name, id) that are gone: tombstones, as several batches."""
        places: dict[Place, None] = {}
        for name, topic_id in topics:
            places.update(dict.fromkeys(self.state.offsets.of_topic(name, topic_id, ZERO)))
        effects: list[Effects] = []
        for at, place in enumerate(places):
            if at % TOMBSTONES_AT_ONCE == 0:
                effects.append(Effects())
                effects[-1].divisible = True
            effects[-1].write(OffsetCommitKey(*place), None)
        return effects

    # -- the log ---------------------------------------------------------------------------------

    def replay(self, record: AnyRecord, origin: Origin) -> None:
        """Take over what the log says."""
        if isinstance(record, MemberOfGroup):
            replay_ready(self.state, record)
            return
        key, value = record.key, record.value
        if value is None and self._bulk is not None:
            self._bulk.forget()
        if isinstance(key, OffsetCommitKey):
            assert value is None or isinstance(value, OffsetCommitValue)
            self._replay_offset(key, value, origin)
        elif isinstance(key, GroupMetadataKey):
            assert value is None or isinstance(value, GroupMetadataValue)
            self._replay_group(key.group, value)
        else:
            replay_consumer(self.state, record)
            if self._active and isinstance(key, ConsumerGroupMetadataKey) and value is not None:
                self._counters.consumer_rebalances += 1

    def replay_rows(self, rows: Rows, start: int) -> int:
        """See `coordinator.effects.BulkShard`."""
        return start if self._bulk is None else self._bulk.take(rows, start)

    def replay_commit(self, place: Place, committed: Committed) -> None:
        """As `replay` of a commit outside of a transaction, of a group that is there."""
        self._counters.offset_commits += self._active
        self.state.offsets.put(place, committed)

    def _replay_offset(
        self, key: OffsetCommitKey, value: OffsetCommitValue | None, origin: Origin
    ) -> None:
        state = self.state
        place = (key.group, key.topic, key.partition)
        if value is None:
            state.offsets.remove(place)
            return
        if key.group not in state.groups:
            # It has never had members: somebody only keeps offsets under this name.
            state.groups[key.group] = ClassicGroup(key.group, origin.timestamp)
        committed = Committed(value, origin.offset)
        self._counters.offset_commits += self._active
        if origin.producer_id < 0:
            state.offsets.put(place, committed)
        else:
            state.offsets.put_pending(origin.producer_id, place, committed)

    def _replay_group(self, group_id: str, value: GroupMetadataValue | None) -> None:
        groups = self.state.groups
        group = self.state.classic(group_id)
        if value is None:
            if group is not None:
                del groups[group_id]
            return
        if self._active and group is not None:
            completing = group.state is State.COMPLETING
            adopt_generation(group, value)
            self._counters.completed_rebalances += completing and group.state is State.STABLE
        else:
            groups[group_id] = self.state.take_downgraded(value) or group_of(group_id, value)

    def replay_marker(self, producer_id: int, producer_epoch: int, *, commit: bool) -> None:
        """The offsets of a transaction count, or are forgotten."""
        del producer_epoch
        self.state.offsets.end_transaction(producer_id, commit=commit)

    def activate(self, now: Now) -> Effects:
        """All sessions begin anew; groups that are too large now have to shrink."""
        self._active = True
        self._bulk = None
        effects = Effects()
        effects.set_timer(EXPIRY, now.monotonic + self.state.settings.offsets_check_ms)
        for group in list(self.state.groups.values()):
            if isinstance(group, ConsumerGroup):
                restart_all(self.state, group, effects, now)
                continue
            for member in group.members.values():
                rebalance.restart_session(effects, group, member, now)
            if len(group.members) > self.state.settings.max_size:
                rebalance.prepare(self.state, group, effects, now)
        return effects

    def timer(self, key: TimerKey, now: Now) -> Effects:
        """A session, a phase of a rebalance, or the look for expired offsets."""
        if key == EXPIRY:
            return self._expire(now)
        effects = Effects()
        if isinstance(key, ConsumerTimer):
            time_is_over(self.state, key, effects, now)
            effects.refused = lambda _: _again(key, now)
            return effects
        assert isinstance(key, JoinTimer | SyncTimer | SessionTimer)
        group = self.state.classic(key.group_id)
        if group is None:
            return effects
        match key:
            case JoinTimer():
                rebalance.join_phase_over(self.state, group, effects, now)
            case SyncTimer():
                rebalance.sync_phase_over(self.state, group, effects, now)
            case SessionTimer():
                membership.session_over(self.state, group, key.member_id, effects, now)
        return effects

    def _expire(self, now: Now) -> Effects:
        effects, further = expire(self.state, now, self._expired)
        self._expired = further or Progress()
        self._counters.offset_expirations += tombstones(effects)
        # A little at a time, so that a million offsets do not hold the loop.
        wait = 1 if further else self.state.settings.offsets_check_ms
        effects.set_timer(EXPIRY, now.monotonic + wait)
        effects.refused = lambda _: self._expire_later(now)
        return effects

    def _expire_later(self, now: Now) -> Effects:
        """The log takes no tombstones at the moment: look again at the next time."""
        self._expired = Progress()
        effects = Effects()
        effects.set_timer(EXPIRY, now.monotonic + self.state.settings.offsets_check_ms)
        return effects

    def unload(self) -> list[Ticket]:
        """Everybody who waits for a rebalance."""
        self._active = False
        return [
            ticket
            for group in self.state.groups.values()
            if isinstance(group, ClassicGroup)
            for ticket in rebalance.waiting(group)
        ]


def _again(key: ConsumerTimer, now: Now) -> Effects:
    effects = Effects()
    effects.set_timer(key, now.monotonic + FENCE_AGAIN_MS)
    return effects


def tombstones(effects: Effects) -> int:
    """How many offsets these effects delete."""
    return sum(isinstance(each.key, OffsetCommitKey) for each in effects.records)
