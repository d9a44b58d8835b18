"""Which partitions live on this node: the metadata image on one side, the log directories on the other.

Replay of the metadata log is the only way in: a partition is opened, reconfigured, led or removed
because the image says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from barnabas.config import topics
from barnabas.config.broker import BrokerConfig
from barnabas.config.log_config import LogConfig
from barnabas.config.values import ConfigError
from barnabas.log.errors import LogDamaged, StorageError
from barnabas.log.log import Log
from barnabas.log.manager import LogManager
from barnabas.log.names import LOG_STARTS
from barnabas.log.writer import LogWriter
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.configs import BROKER, TOPIC
from barnabas.metadata.image.partition import Partition
from barnabas.partition.replica import Replica
from barnabas.server.partitions import HostedPartition, Partitions
from barnabas.server.placements import may_be_away
from barnabas.server.topic_counters import TopicTable
from barnabas.server.topics import made_when_used
from barnabas.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from barnabas.log.directory import LogDirectory
    from barnabas.metadata.delta import MetadataDelta
    from barnabas.metadata.image.topics import TopicsDelta

log = logging.getLogger("barnabas.server")

T = TypeVar("T")

#: Partitions made by one job of the executor: so many files are open at once.
PREPARE_AT_ONCE = 128


class Hosting:
    """Opens, reconfigures and removes partitions as the image changes."""

    def __init__(self, config: BrokerConfig, manager: LogManager) -> None:
        self.config = config
        #: Told when the node's own configuration is another one.
        self.on_config: Callable[[], None] = _nothing
        self.partitions = Partitions(self._locate, self._load)
        self.counters = TopicTable()
        self._manager = manager
        self._image = MetadataImage.empty()
        self._adopt()
        self._retiring: dict[tuple[str, int], asyncio.Future[None]] = {}
        self._made_after: dict[tuple[str, int], bytes] = {}
        """New partitions, with topic id, whose name is still that of a partition being retired."""

    @property
    def writer(self) -> LogWriter:
        """What takes appended records to disk."""
        return self._manager.writer

    def log_config(self, topic: str) -> LogConfig:
        """The effective configuration of a topic."""
        return topics.log_config(self.config, self._image.configs.of(TOPIC, topic))

    # -- the image -------------------------------------------------------------------------------

    def publish(self, old: MetadataImage, new: MetadataImage, delta: MetadataDelta) -> None:
        """A new image is committed: follow it."""
        self._image = new
        if delta.configs is not None:
            self._reconfigure(delta)
        if delta.topics is None:
            return
        for topic in delta.topics.deleted.values():
            for index in topic.partitions:
                self.partitions.drop(topic.name, index, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
                self._retire(topic.name, index)
            self.counters.forget(topic.name)
        for topic_id, change in delta.topics.changed.items():
            name = new.topics.by_id[topic_id].name
            for index, partition in change.changed_partitions.items():
                hosted = self.partitions.opened(name, index)
                if hosted is not None:
                    _lead(hosted, partition)
        if old.provenance.offset >= 0:  # else it is what was there when the node started
            self._prepare(delta.topics)

    def _prepare(self, delta: TopicsDelta) -> None:
        """Make the directories of new partitions, so that their first use need not."""
        new = []
        for topic_id, change in delta.changed.items():
            if made_when_used(change.base.name):
                continue
            for index, partition in change.changed_partitions.items():
                key = (change.base.name, index)
                if self.config.node_id not in partition.replicas or index in change.base.partitions:
                    continue
                if key in self._retiring:
                    self._made_after[key] = topic_id
                else:
                    new.append((key, topic_id, self._assigned(partition)))
        for start in range(0, len(new), PREPARE_AT_ONCE):
            self._manager.prepare(new[start : start + PREPARE_AT_ONCE])

    async def make_missing(self) -> None:
        """Make the replicas that are in no directory: a crash came between their creation and that
        of their files, or the directory they were in is used no more. Not while one is offline:
        they may be there."""
        if self._manager.any_offline:
            return
        new = []
        for topic in self._image.topics.by_id.values():
            if made_when_used(topic.name):
                continue
            for index, partition in topic.partitions.items():
                key = (topic.name, index)
                if self.config.node_id in partition.replicas and key not in self._manager.homes:
                    log.warning("%s-%s is in no log directory: it begins anew", *key)
                    new.append((key, topic.id, self._assigned(partition)))
        for start in range(0, len(new), PREPARE_AT_ONCE):
            made = asyncio.get_running_loop().create_future()
            done: Callable[[], None] = partial(made.set_result, None)
            self._manager.prepare(new[start : start + PREPARE_AT_ONCE], done)
            await made

    def _assigned(self, partition: Partition) -> LogDirectory | None:
        """The live directory that the metadata has for this node's replica, if it has one."""
        return self._manager.directory_of(partition.directory(self.config.node_id))

    def _reconfigure(self, delta: MetadataDelta) -> None:
        assert delta.configs is not None
        changed = delta.configs.changed
        if any(kind == BROKER for kind, _ in changed):
            configs = self._image.configs
            try:
                self.config = self.config.with_dynamic(
                    configs.of(BROKER, ""), configs.of(BROKER, str(self.config.node_id))
                )
            except ConfigError as error:
                log.error("dynamic configs contradict each other, the former ones stay: %s", error)
            self._adopt()
            self.on_config()
            names = {topic for topic, _ in self._manager.logs}
        else:
            names = {name for kind, name in changed if kind == TOPIC}
        # Logs that recovery or retention opened belong to no hosted partition yet.
        for (topic, index), opened in self._manager.logs.items():
            if topic in names:
                target = self.partitions.opened(topic, index) or opened
                target.update_config(self.log_config(topic))

    def has_files(self, topic: str, index: int) -> bool:
        """Whether the partition has been used on this node."""
        return (topic, index) in self._manager.homes

    def _adopt(self) -> None:
        """What the logs as a whole take from the node's own configuration."""
        self._manager.producer_expiration_ms = self.config.get_int("producer.id.expiration.ms")
        self._manager.cordoned = self.config.cordoned_log_dirs

    def strays(self) -> list[tuple[str, int]]:
        """Partitions on disk that the metadata does not know."""
        known = self._image.topics
        return [
            (topic, index)
            for topic, index in self._manager.homes
            if known.partition(topic, index) is None
        ]

    # -- partitions ------------------------------------------------------------------------------

    def _locate(self, topic: str, index: int) -> ErrorCode:
        partition = self._image.topics.partition(topic, index)
        if partition is None:
            return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        if self.config.node_id not in partition.replicas:
            return ErrorCode.NOT_LEADER_OR_FOLLOWER
        home = self._manager.homes.get((topic, index))
        if home is not None:
            return ErrorCode.NONE if home.offline is None else ErrorCode.KAFKA_STORAGE_ERROR
        key, manager = (topic, index), self._manager
        if key not in self._retiring and manager.any_offline:  # noqa: SIM102
            # It may be in the directory that is offline: an empty one must not take its place.
            if may_be_away(manager, self.config.node_id, key, partition):
                return ErrorCode.KAFKA_STORAGE_ERROR
        return ErrorCode.NONE

    async def _load(self, name: str, index: int) -> HostedPartition:
        """Open or create the log of a partition that belongs here. Raises `KafkaError`."""
        retiring = self._retiring.get((name, index))
        if retiring is not None:
            await retiring
        topic = self._image.topics.by_name.get(name)
        if topic is None:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        opened = await self._open(name, index)
        if opened.topic_id is not None and opened.topic_id != topic.id:
            # Left by a topic of the same name whose deletion was cut off.
            log.warning("%s-%s on disk belongs to a deleted topic; it is set aside", name, index)
            await self._set_aside(name, index)
            if self._manager.any_offline:
                raise StorageError(f"{name}-{index} may be in a log directory that is offline")
            opened = await self._open(name, index)
        partition = self._image.topics.partition(name, index)
        if partition is None or topic.id not in self._image.topics.by_id:
            self._retire(name, index)
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        # Recovery or retention may have opened it long ago, or while its configs changed.
        opened.update_config(self.log_config(name))
        replica = Replica(self.config.node_id, name, topic.id, index)
        replica.high_watermark = opened.high_watermark
        hosted = HostedPartition(
            replica,
            opened,
            self.counters.of(name),
            validate_all=self.config.validation == "full",
        )
        _lead(hosted, partition)
        return hosted

    async def _open(self, name: str, index: int) -> Log:
        topic = self._image.topics.by_name.get(name)
        if topic is None or index not in topic.partitions:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        future: asyncio.Future[Log] = asyncio.get_running_loop().create_future()

        def done(opened: Log | None, error: Exception | None) -> None:
            if future.done():
                return
            if opened is not None:
                future.set_result(opened)
            else:
                future.set_exception(error or StorageError())

        directory = self._assigned(topic.partitions[index])
        config = self.log_config(name)
        self._manager.create(name, index, config, topic.id, done, directory=directory)
        try:
            return await future
        except LogDamaged as damage:
            log.error("%s-%s can't be opened: %s", name, index, damage)
            raise StorageError(str(damage)) from damage

    @property
    def log_directories(self) -> Sequence[LogDirectory]:
        """Those of `log.dirs`, in their order, offline ones included."""
        return self._manager.directories

    def keep_log_starts(self, done: Callable[[], None]) -> None:
        """Checkpoint the log starts; `done` once that is durable, or its directory failed."""
        self._manager.checkpoints.write(LOG_STARTS, done)

    # -- removal ---------------------------------------------------------------------------------

    def _retire(self, name: str, index: int) -> None:
        """Delete the files of a partition, now by name and later for good."""
        key = (name, index)
        if key not in self._manager.homes:
            return
        future = self._retiring[key] = asyncio.get_running_loop().create_future()

        def done(error: Exception | None) -> None:
            if error is not None:
                log.error("can't delete %s-%s: %s", name, index, error)
            if self._retiring.get(key) is future:
                del self._retiring[key]
                self._make_anew(key)
            if not future.done():
                future.set_result(None)

        self._manager.delete(name, index, done)

    def _make_anew(self, key: tuple[str, int]) -> None:
        """The name of a retired partition is free: make the new one that waited for it, if any."""
        topic_id = self._made_after.pop(key, None)
        topic = None if topic_id is None else self._image.topics.by_id.get(topic_id)
        if topic is not None and key[1] in topic.partitions:
            directory = self._assigned(topic.partitions[key[1]])
            self._manager.prepare([(key, topic.id, directory)])

    async def _set_aside(self, name: str, index: int) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(StorageError(str(error)))

        self._manager.stray(name, index, done)
        await future

    async def set_strays_aside(self) -> None:
        """Rename what the metadata does not know, so that it is neither served nor lost."""
        for topic, index in self.strays():
            log.warning("%s-%s is in no metadata; it is set aside as -stray", topic, index)
            await self._set_aside(topic, index)

    async def recover_all(self) -> int:
        """Open every partition that was not stopped cleanly; returns how many."""
        unrecovered = self._manager.unrecovered()
        for topic, index in unrecovered:
            await self.partitions.open(topic, index)
        return len(unrecovered)

    def directory_failed(self, path: str) -> None:
        """A log directory is offline: its partitions answer KAFKA_STORAGE_ERROR from now on."""
        for hosted in list(self.partitions):
            home = self._manager.homes.get((hosted.topic, hosted.index))
            if home is not None and home.path == path:
                self.partitions.drop(hosted.topic, hosted.index, ErrorCode.KAFKA_STORAGE_ERROR)


def _nothing() -> None:
    return


def _lead(hosted: HostedPartition, partition: Partition) -> None:
    hosted.lead(
        partition.leader,
        partition.leader_epoch,
        partition.partition_epoch,
        partition.replicas,
        partition.isr,
    )
