"""The partitions that this node holds: a replica's decisions bound to its log, and those who wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Final, Protocol

from barnabas.records.compression import Codec
from barnabas.records.validate import KEEP_CODEC, ProduceRules
from barnabas.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from barnabas.config.log_config import LogConfig
    from barnabas.log.log import Log
    from barnabas.partition.replica import Replica
    from barnabas.server.fetch_sessions import PartitionKey
    from barnabas.server.topic_counters import TopicCounters


#: compression.type -> (codec, the LogConfig field with its level).
_CODECS: Final[dict[str, tuple[int, str | None]]] = {
    "producer": (KEEP_CODEC, None),
    "uncompressed": (Codec.NONE, None),
    "gzip": (Codec.GZIP, "compression_gzip_level"),
    "snappy": (Codec.SNAPPY, None),
    "lz4": (Codec.LZ4, "compression_lz4_level"),
    "zstd": (Codec.ZSTD, "compression_zstd_level"),
}


class Watcher(Protocol):
    """Somebody who reads a partition and wants to know of its changes."""

    def notify(self, key: PartitionKey) -> None:
        """Readable end, log start or leadership changed, or the partition is gone."""


class Waiter(Protocol):
    """An acknowledgement that waits for an offset."""

    #: Monotonic time after which it is answered REQUEST_TIMED_OUT.
    deadline_ms: int

    def reached(self, hosted: HostedPartition, error: ErrorCode) -> None:
        """The offset is safe (NONE), or will not be (an error)."""


class HostedPartition:
    """One partition's replica on this node."""

    __slots__ = (
        "_acks",
        "_validate_all",
        "_watchers",
        "_written_acks",
        "counters",
        "gone",
        "index",
        "log",
        "produced_as",
        "replica",
        "rules",
        "syncs_each",
        "topic",
        "topic_id",
    )

    def __init__(
        self, replica: Replica, log: Log, counters: TopicCounters, *, validate_all: bool
    ) -> None:
        self.replica = replica
        self.counters = counters
        self.topic = replica.topic
        self.topic_id = replica.topic_id
        self.index = replica.partition
        self.log = log
        #: Error for whoever still holds this object after the partition was deleted or its
        #: directory failed; NONE while it is served.
        self.gone = ErrorCode.NONE
        self._acks: deque[tuple[int, Waiter]] = deque()
        self._written_acks: deque[tuple[int, Waiter]] = deque()
        self._watchers: dict[tuple[int, PartitionKey], Watcher] = {}
        self._validate_all = validate_all
        self.rules = produce_rules(log.config, validate_all=validate_all)
        #: flush.messages=1: Kafka syncs before it answers, acks=1 too.
        self.syncs_each = log.config.flush_messages <= 1
        #: Its keys in `Partitions.produced_by_id` and `produced_by_name`.
        self.produced_as: tuple[bytes, ...] = ()
        log.on_progress = self.progress

    @property
    def config(self) -> LogConfig:
        """The effective topic configuration."""
        return self.log.config

    @property
    def last_stable_offset(self) -> int:
        """End of what read_committed consumers may see. Not below the log start: the records of an
        open transaction may have been deleted."""
        high_watermark = self.replica.high_watermark
        stable = self.replica.last_stable_offset(
            self.log.producers.first_unstable_offset(high_watermark)
        )
        return max(stable, min(self.log.log_start_offset, high_watermark))

    def error(self, *, leader: bool = True) -> ErrorCode:
        """Why a request cannot be served here now; NONE when it can."""
        if self.gone:
            return self.gone
        if leader and not self.replica.is_leader:
            return ErrorCode.NOT_LEADER_OR_FOLLOWER
        return ErrorCode.NONE

    def update_config(self, config: LogConfig) -> None:
        """Adopt changed topic configs, from the next batch on."""
        self.log.update_config(config)
        self.rules = produce_rules(config, validate_all=self._validate_all)
        self.syncs_each = config.flush_messages <= 1

    def lead(
        self,
        leader: int,
        leader_epoch: int,
        partition_epoch: int,
        replicas: tuple[int, ...],
        isr: tuple[int, ...],
    ) -> None:
        """Adopt what the metadata log says about the partition."""
        log, replica = self.log, self.replica
        was_leader = replica.is_leader
        if replica.apply(leader, leader_epoch, partition_epoch, replicas, isr, log.end_offset):
            log.begin_epoch(leader_epoch, log.end_offset)
        if was_leader and not replica.is_leader:
            self.fail_waiting(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        self.progress()
        self.changed()

    # -- waiting ---------------------------------------------------------------------------------

    def wait_committed(self, offset: int, waiter: Waiter) -> None:
        """Tell `waiter` when the high watermark has reached `offset` (acks=all)."""
        self._acks.append((offset, waiter))

    def wait_written(self, offset: int, waiter: Waiter) -> None:
        """Tell `waiter` when everything below `offset` is in the log's files (acks=1)."""
        self._written_acks.append((offset, waiter))

    def watch(self, watcher: Watcher, key: PartitionKey) -> None:
        """Tell `watcher` of every change until `unwatch`."""
        self._watchers[(id(watcher), key)] = watcher

    def unwatch(self, watcher: Watcher, key: PartitionKey) -> None:
        """Stop telling `watcher`."""
        self._watchers.pop((id(watcher), key), None)

    def progress(self) -> None:
        """The log's written or durable end moved: answer and wake whom that concerns."""
        log = self.log
        waiting = self._written_acks
        if waiting:
            written = log.written_offset
            while waiting and waiting[0][0] <= written:
                waiting.popleft()[1].reached(self, ErrorCode.NONE)
        config = log.config
        safe = log.durable_offset if config.ack_mode == "synced" else log.written_offset
        if self.replica.advance(safe, config.min_insync_replicas):
            log.high_watermark = self.replica.high_watermark
            self._committed()

    def _committed(self) -> None:
        high_watermark = self.replica.high_watermark
        waiting = self._acks
        while waiting and waiting[0][0] <= high_watermark:
            waiting.popleft()[1].reached(self, ErrorCode.NONE)
        if self._watchers:
            self.changed()

    def changed(self) -> None:
        """Tell everybody who reads here to look again."""
        for (_, key), watcher in list(self._watchers.items()):
            watcher.notify(key)

    def expire(self, now_ms: int) -> None:
        """Answer acknowledgements whose time is over; their data stays in the log."""
        for waiting in (self._acks, self._written_acks):
            if waiting and any(waiter.deadline_ms <= now_ms for _, waiter in waiting):
                keep = [entry for entry in waiting if entry[1].deadline_ms > now_ms]
                late = [entry for entry in waiting if entry[1].deadline_ms <= now_ms]
                waiting.clear()
                waiting.extend(keep)
                for _, waiter in late:
                    waiter.reached(self, ErrorCode.REQUEST_TIMED_OUT)

    def stop(self, error: ErrorCode) -> None:
        """The partition is deleted, led elsewhere or its directory failed: all who wait learn it."""
        self.gone = error
        self.fail_waiting(error)
        self.changed()
        self._watchers.clear()

    def fail_waiting(self, error: ErrorCode) -> None:
        """Answer every waiting acknowledgement with `error`."""
        for waiting in (self._acks, self._written_acks):
            entries = list(waiting)
            waiting.clear()
            for _, waiter in entries:
                waiter.reached(self, error)

    @property
    def waiting(self) -> bool:
        """Whether acknowledgements wait here."""
        return bool(self._acks or self._written_acks)


def produce_rules(config: LogConfig, *, validate_all: bool) -> ProduceRules:
    """What a topic's configs mean for a produced batch."""
    codec, level = _CODECS[config.compression_type]
    return ProduceRules(
        max_bytes=config.max_message_bytes,
        segment_bytes=config.segment_bytes,
        append_time=config.timestamp_type == "LogAppendTime",
        before_ms=config.timestamp_before_max_ms,
        after_ms=config.timestamp_after_max_ms,
        codec=codec,
        level=None if level is None else getattr(config, level),
        compacted="compact" in config.cleanup_policy,
        full=validate_all,
    )


Found = HostedPartition | ErrorCode | None
"""The partition; the error a client gets for it; or `None`: it is here and has to be opened."""


class Partitions:
    """All open partitions of this node, by topic name. Others are opened on first use.

    `locate` says whether a partition belongs here (NONE) or which error a client gets; `load` opens
    its log, or raises `KafkaError`.
    """

    def __init__(
        self,
        locate: Callable[[str, int], ErrorCode],
        load: Callable[[str, int], Awaitable[HostedPartition]],
    ) -> None:
        self._locate = locate
        self._load = load
        self._hosted: dict[tuple[str, int], HostedPartition] = {}
        self._opening: dict[tuple[str, int], asyncio.Future[None]] = {}
        self._broken: dict[tuple[str, int], ErrorCode] = {}
        #: Dropped while they were being opened: how that ends says nothing of what comes after.
        self._dropped: set[tuple[str, int]] = set()
        #: Served partitions by the bytes that name them in a Produce (`handlers.produce`).
        self.produced_by_id: dict[bytes, HostedPartition] = {}
        self.produced_by_name: dict[bytes, HostedPartition] = {}

    def __iter__(self) -> Iterator[HostedPartition]:
        return iter(list(self._hosted.values()))

    def __len__(self) -> int:
        return len(self._hosted)

    def opened(self, topic: str, index: int) -> HostedPartition | None:
        """The partition if it is open already."""
        return self._hosted.get((topic, index))

    def get(self, topic: str, index: int) -> Found:
        """The partition without waiting."""
        hosted = self._hosted.get((topic, index))
        if hosted is not None:
            return hosted
        return self._locate(topic, index) or self._broken.get((topic, index))

    async def open(self, topic: str, index: int) -> HostedPartition | ErrorCode:
        """The partition, opened if need be."""
        key = (topic, index)
        while (opening := self._opening.get(key)) is not None:
            await asyncio.shield(opening)
        found = self.get(topic, index)
        if found is not None:
            return found
        opening = self._opening[key] = asyncio.get_running_loop().create_future()
        try:
            hosted = await self._load(topic, index)
        except KafkaError as error:
            # Not tried again with every request: until a restart, or until it is created anew.
            if key not in self._dropped:
                self._broken[key] = error.code
            return error.code
        else:
            self._hosted[key] = hosted
            return hosted
        finally:
            del self._opening[key]
            self._dropped.discard(key)
            opening.set_result(None)

    def drop(self, topic: str, index: int, error: ErrorCode) -> None:
        """Stop serving a partition; `error` is what its waiting clients get."""
        key = (topic, index)
        self._broken.pop(key, None)
        if key in self._opening:
            self._dropped.add(key)
        hosted = self._hosted.pop(key, None)
        if hosted is not None:
            for head in hosted.produced_as:
                for known in (self.produced_by_id, self.produced_by_name):
                    if known.get(head) is hosted:
                        del known[head]
            hosted.stop(error)

    def remember_produced(self, hosted: HostedPartition, head: bytes, *, by_id: bool) -> None:
        """`head` in a Produce means this partition until it is dropped."""
        if self._hosted.get((hosted.topic, hosted.index)) is hosted:
            known = self.produced_by_id if by_id else self.produced_by_name
            known[head] = hosted
            if head not in hosted.produced_as:
                hosted.produced_as += (head,)

    def expire(self, now_ms: int) -> None:
        """Answer acknowledgements that ran out of time."""
        for hosted in self._hosted.values():
            if hosted.waiting:
                hosted.expire(now_ms)
