"""Committed offsets against the plain history of what was written (G3, T5): commits, transactions,
deletions, expiry, crashes.

The model keeps the log as a list and works out from its beginning, each time, what must be there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from barnabas.coordinator.framing import decode_record
from barnabas.groups.context import RequestContext
from barnabas.groups.record_types import GROUP_RECORDS
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.offset_commit_request import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from barnabas.wire.messages.offset_delete_request import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)
from barnabas.wire.messages.offset_fetch_request import (
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from barnabas.wire.messages.txn_offset_commit_request import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from tests.property.coordinators.late_desk import LateDesk

GROUPS, TOPICS, PARTITIONS, PRODUCERS = ("g", "h"), ("t", "u"), (0, 1), (5, 6, 7)
IDS = {"t": bytes([1] * 16), "u": bytes(16)}
"""Of `u` nobody knows the id."""
CHECK_MS, RETENTION_MS = 600_000, 3_000_000
Place: TypeAlias = tuple[str, str, int]


@dataclass(frozen=True)
class Commit:
    """An offset was written for a place; `producer` is -1 outside of transactions."""

    place: Place
    offset: int
    producer: int
    at_ms: int
    expire_ms: int = -1
    topic_id: bytes = bytes(16)


@dataclass(frozen=True)
class Tombstone:
    """An offset was deleted."""

    place: Place


@dataclass(frozen=True)
class GroupGone:
    """A group was deleted."""

    group: str


@dataclass(frozen=True)
class Marker:
    """A transaction ended."""

    producer: int
    commit: bool


Entry: TypeAlias = Commit | Tombstone | GroupGone | Marker


@dataclass
class Fold:
    """What a log means."""

    committed: dict[Place, tuple[int, Commit]] = field(default_factory=dict)
    """With the number of the entry."""
    pending: dict[tuple[int, Place], tuple[int, Commit]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)

    def add(self, number: int, entry: Entry) -> None:
        """The next entry."""
        match entry:
            case Commit(place, producer=-1):
                self.committed[place] = (number, entry)
                self.groups.add(place[0])
            case Commit(place, producer=producer):
                self.pending[producer, place] = (number, entry)
                self.groups.add(place[0])
            case Tombstone(place):
                self.committed.pop(place, None)
                self.pending = {at: each for at, each in self.pending.items() if at[1] != place}
            case GroupGone(group):
                self.groups.discard(group)
            case Marker(producer, commit):
                for at in [each for each in self.pending if each[0] == producer]:
                    found = self.pending.pop(at)
                    if commit and found[0] > self.committed.get(at[1], (-1,))[0]:
                        self.committed[at[1]] = found

    def unstable(self, place: Place) -> bool:
        """Whether a transaction holds an offset for it."""
        return any(at == place for _, at in self.pending)

    def places(self, group: str) -> set[Place]:
        """All of a group."""
        found = set(self.committed) | {at for _, at in self.pending}
        return {place for place in found if place[0] == group}


class MarkedDesk(LateDesk):
    """Its log also holds markers: entries without a value, whose origin says whose they are."""

    def __init__(self, **settings: int) -> None:
        self.markers: list[tuple[int, Marker, int]] = []
        """With the numbers of records before it, and of batches with it."""
        super().__init__(**settings)

    def crash(self, batches: int) -> None:
        """Markers are batches, too."""
        kept = max(self.committed, min(batches, len(self.ends)))
        self.markers = [each for each in self.markers if each[2] <= kept]
        super().crash(batches)

    def marker(self, marker: Marker) -> None:
        """A transaction coordinator writes it."""
        self.ends.append(len(self.log))
        self.markers.append((len(self.log), marker, len(self.ends)))
        self.shard.replay_marker(marker.producer, 0, commit=marker.commit)

    def reload(self) -> None:
        """Records and markers in their order."""
        self.timers.clear()
        self.shard = self._new()
        for at in range(len(self.log) + 1):
            for _, marker, _ in [each for each in self.markers if each[0] == at]:
                self.shard.replay_marker(marker.producer, 0, commit=marker.commit)
            if at < len(self.log):
                key, value, origin = self.log[at]
                record = decode_record(GROUP_RECORDS, key, value)
                assert record is not None
                self.shard.replay(record, origin)
        self._do(self.shard.activate(self.now))


class Offsets(RuleBasedStateMachine):
    """One shard and whoever commits to it."""

    @initialize()
    def begin(self) -> None:
        """An empty shard."""
        self.desk = MarkedDesk(offsets_check_ms=CHECK_MS, offsets_retention_ms=RETENTION_MS)
        self.batches: list[tuple[Entry, ...]] = []
        self.offset = 0

    def fold(self) -> Fold:
        """What the whole log means."""
        found, number = Fold(), 0
        for batch in self.batches:
            for entry in batch:
                found.add(number, entry)
                number += 1
        return found

    def _answer(self) -> object:
        (_, said) = self.desk.decided.pop()
        assert not self.desk.decided
        return said

    @rule(
        group=strategies.sampled_from(GROUPS),
        topic=strategies.sampled_from(TOPICS),
        partitions=strategies.sets(strategies.sampled_from(PARTITIONS), min_size=1),
        retention_ms=strategies.sampled_from((-1, -1, 700_000)),
    )
    def commit(self, group: str, topic: str, partitions: set[int], retention_ms: int) -> None:
        """OffsetCommit of somebody who is no member."""
        parts = []
        entries = []
        now = self.desk.now.wall
        for partition in sorted(partitions):
            self.offset += 1
            parts.append(OffsetCommitRequestPartition(partition, self.offset))
            # The old form of the record has no topic id.
            expire_ms, topic_id = (
                (-1, IDS[topic]) if retention_ms < 0 else (now + retention_ms, bytes(16))
            )
            place = (group, topic, partition)
            entries.append(Commit(place, self.offset, -1, now, expire_ms, topic_id))
        request = OffsetCommitRequest(
            group,
            -1,
            "",
            None,
            retention_ms,
            [OffsetCommitRequestTopic(topic, IDS[topic], parts)],
        )
        context = RequestContext("c", "/h", 2 if retention_ms >= 0 else 9)
        self.desk.ask(
            lambda paper: self.desk.shard.commit_offsets(context, request, paper, self.desk.now)
        )
        self._answer()
        self.batches.append(tuple(entries))

    @rule(
        group=strategies.sampled_from(GROUPS),
        topic=strategies.sampled_from(TOPICS),
        partition=strategies.sampled_from(PARTITIONS),
        producer=strategies.sampled_from(PRODUCERS),
    )
    def commit_in_transaction(self, group: str, topic: str, partition: int, producer: int) -> None:
        """TxnOffsetCommit."""
        self.offset += 1
        part = TxnOffsetCommitRequestPartition(partition, self.offset, -1, "")
        request = TxnOffsetCommitRequest(
            "tid", group, producer, 0, -1, "", None, [TxnOffsetCommitRequestTopic(topic, [part])]
        )
        self.desk.ask(
            lambda paper: self.desk.shard.commit_in_transaction(request, paper, self.desk.now)
        )
        self._answer()
        place = (group, topic, partition)
        self.batches.append((Commit(place, self.offset, producer, self.desk.now.wall),))

    @rule(producer=strategies.sampled_from(PRODUCERS), commit=strategies.booleans())
    def end_transaction(self, producer: int, commit: bool) -> None:
        """The marker comes."""
        marker = Marker(producer, commit)
        self.desk.marker(marker)
        self.batches.append((marker,))

    @rule(group=strategies.sampled_from(GROUPS), topic=strategies.sampled_from(TOPICS))
    def delete_offsets(self, group: str, topic: str) -> None:
        """OffsetDelete."""
        parts = [OffsetDeleteRequestPartition(each) for each in PARTITIONS]
        request = OffsetDeleteRequest(group, [OffsetDeleteRequestTopic(topic, parts)])
        self.desk.ask(lambda paper: self.desk.shard.delete_offsets(request, paper))
        said = self._answer()
        fold = self.fold()
        known = group in fold.groups
        assert said.error_code == (0 if known else ErrorCode.GROUP_ID_NOT_FOUND)  # type: ignore[attr-defined]
        places = sorted(place for place in fold.places(group) if place[1] == topic)
        self._tombstones(places)

    def _tombstones(self, places: list[Place], *gone: Entry) -> None:
        if places or gone:
            self.batches.append((*(Tombstone(place) for place in places), *gone))

    @rule(group=strategies.sampled_from(GROUPS))
    def delete_group(self, group: str) -> None:
        """DeleteGroups."""
        self.desk.ask(lambda paper: self.desk.shard.delete_group(group, paper, self.desk.now))
        self._answer()
        fold = self.fold()
        if group in fold.groups:
            self._tombstones(sorted(fold.places(group)), GroupGone(group))

    @rule(topic=strategies.sampled_from(TOPICS))
    def topic_is_deleted(self, topic: str) -> None:
        """Whatever has its id, or none."""
        fold = self.fold()
        places = {
            place
            for place, (_, commit) in fold.committed.items()
            if place[1] == topic and commit.topic_id in (IDS["t"], bytes(16))
        }
        # A place goes as a whole, with what is pending there.
        places |= {place for _, place in fold.pending if place[1] == topic}
        for effects in self.desk.shard.topics_deleted([(topic, IDS["t"])]):
            self.desk._do(effects)
        self._tombstones(sorted(places))

    @rule(checks=strategies.integers(1, 6))
    def time_passes(self, checks: int) -> None:
        """Offsets expire, and groups with them: one batch for each look."""
        for _ in range(checks):
            self.desk.advance(CHECK_MS)
            now, fold = self.desk.now.wall, self.fold()
            entries: list[Entry] = []
            for group in sorted(fold.groups):
                gone = [
                    place
                    for place, (_, commit) in fold.committed.items()
                    if place[0] == group and not fold.unstable(place) and _expired(commit, now)
                ]
                entries += [Tombstone(place) for place in gone]
                if not fold.places(group) - set(gone):
                    entries.append(GroupGone(group))
            if entries:
                self.batches.append(tuple(entries))

    @rule(batches=strategies.integers(0, 3))
    def log_is_synced(self, batches: int) -> None:
        """The high watermark moves."""
        self.desk.commit(self.desk.committed + batches)

    @rule(batches=strategies.integers(0, 3))
    def crash(self, batches: int) -> None:
        """Another process reads the log; the last batches may be lost, what was promised is not."""
        kept = min(self.desk.committed + batches, len(self.desk.ends))
        self.desk.crash(kept)
        del self.batches[kept:]

    @invariant()
    def everything_is_what_the_log_says(self) -> None:
        """Fetched with and without `require_stable`; and nothing is left behind."""
        if not hasattr(self, "desk"):
            return
        assert len(self.batches) == len(self.desk.ends)
        fold = self.fold()
        state = self.desk.shard.state
        assert set(state.groups) == fold.groups
        assert len(state.offsets) == len(fold.committed)
        for group in GROUPS:
            assert set(state.offsets.places(group)) == fold.places(group)
            assert state.offsets.holds_pending(group) == any(
                place[0] == group for _, place in fold.pending
            )
            for stable in (False, True):
                self._compare(fold, group, stable)

    def _compare(self, fold: Fold, group: str, stable: bool) -> None:
        asked = [
            OffsetFetchRequestTopics(topic, partition_indexes=list(PARTITIONS)) for topic in TOPICS
        ]
        answer = self.desk.shard.fetch_offsets(
            OffsetFetchRequestGroup(group, topics=asked), require_stable=stable
        )
        for topic in answer.topics:
            for part in topic.partitions:
                place = (group, topic.name, part.partition_index)
                if stable and fold.unstable(place):
                    expected = (-1, ErrorCode.UNSTABLE_OFFSET_COMMIT)
                else:
                    found = fold.committed.get(place)
                    expected = (-1 if found is None else found[1].offset, ErrorCode.NONE)
                assert (part.committed_offset, part.error_code) == expected


def _expired(commit: Commit, now: int) -> bool:
    if commit.expire_ms >= 0:
        return now >= commit.expire_ms
    return now - commit.at_ms >= RETENTION_MS


def test_random_lives() -> None:
    run_state_machine_as_test(Offsets, settings=settings(max_examples=60, stateful_step_count=30))


@pytest.mark.soak
def test_many_lives() -> None:
    run_state_machine_as_test(
        Offsets, settings=settings(max_examples=3_000, stateful_step_count=60)
    )
