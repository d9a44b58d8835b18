"""Which partitions live on this node: the metadata image on one side, the log directories on the other.

Replay of the metadata log is the only way in: a partition is opened, reconfigured, led or removed
because the image says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from barnabas.config import topics
from barnabas.config.broker import BrokerConfig
from barnabas.config.log_config import LogConfig
from barnabas.config.values import ConfigError
from barnabas.log.errors import LogDamaged, StorageError
from barnabas.log.log import Log
from barnabas.log.manager import LogManager
from barnabas.log.names import LOG_STARTS
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.configs import BROKER, TOPIC
from barnabas.metadata.image.partition import Partition
from barnabas.partition.replica import Replica
from barnabas.server.partitions import HostedPartition, Partitions
from barnabas.server.topic_counters import TopicTable
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
        self.partitions = Partitions(self._locate, self._load)
        self.counters = TopicTable()
        self._manager = manager
        self._image = MetadataImage.empty()
        self._retiring: dict[tuple[str, int], asyncio.Future[None]] = {}

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
        self._prepare(delta.topics)
        del old

    def _prepare(self, delta: TopicsDelta) -> None:
        """Make the directories of new partitions, so that their first use need not."""
        new = [
            ((change.base.name, index), topic_id)
            for topic_id, change in delta.changed.items()
            for index, partition in change.changed_partitions.items()
            if self.config.node_id in partition.replicas
            and index not in change.base.partitions
            and (change.base.name, index) not in self._retiring
        ]
        for start in range(0, len(new), PREPARE_AT_ONCE):
            self._manager.prepare(new[start : start + PREPARE_AT_ONCE])

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
            self._manager.producer_expiration_ms = self.config.get_int("producer.id.expiration.ms")
            names = {topic for topic, _ in self._manager.logs}
        else:
            names = {name for kind, name in changed if kind == TOPIC}
        # Logs that recovery or retention opened belong to no hosted partition yet.
        for (topic, index), opened in self._manager.logs.items():
            if topic in names:
                target = self.partitions.opened(topic, index) or opened
                target.update_config(self.log_config(topic))

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
        if home is not None and home.offline is not None:
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
        opened = await self._open(name, index, topic.id)
        if opened.topic_id is not None and opened.topic_id != topic.id:
            # Left by a topic of the same name whose deletion was cut off.
            log.warning("%s-%s on disk belongs to a deleted topic; it is set aside", name, index)
            await self._set_aside(name, index)
            opened = await self._open(name, index, topic.id)
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

    async def _open(self, name: str, index: int, topic_id: bytes) -> Log:
        future: asyncio.Future[Log] = asyncio.get_running_loop().create_future()

        def done(opened: Log | None, error: Exception | None) -> None:
            if future.done():
                return
            if opened is not None:
                future.set_result(opened)
            else:
                future.set_exception(error or StorageError())

        self._manager.create(name, index, self.log_config(name), topic_id, done)
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
            if not future.done():
                future.set_result(None)

        self._manager.delete(name, index, done)

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


def _lead(hosted: HostedPartition, partition: Partition) -> None:
    hosted.lead(
        partition.leader,
        partition.leader_epoch,
        partition.partition_epoch,
        partition.replicas,
        partition.isr,
    )
