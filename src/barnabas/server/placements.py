"""Which replica is in which log directory: what the metadata says, and what is on disk (KIP-858).

At the start directories that are not formatted are told apart (new ones, disks that are not mounted)
and partitions that are found twice are sorted out. From then on the controller is told where each
replica is, so that it knows what is gone when a directory fails.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence

from barnabas.log import names
from barnabas.log.checkpoints import TopicPartition, decode_partition_metadata, read_file
from barnabas.log.directory import BadDirectory, LogDirectory, Unformatted
from barnabas.log.errors import LogDamaged
from barnabas.log.manager import LogManager
from barnabas.metadata.features import MV_DIRECTORY_ASSIGNMENT
from barnabas.metadata.image import MetadataImage, Partition
from barnabas.metadata.image.partition import DIRECTORY_MIGRATING, DIRECTORY_UNASSIGNED
from barnabas.server.topics import made_when_used

log = logging.getLogger("barnabas.server")

Assignments = dict[bytes, list[tuple[bytes, int]]]
"""By directory id: (topic id, partition) of the replicas that are there."""

MAX_ASSIGNMENTS = 2250
"""Partitions of one report, as in Kafka."""


class Placements:
    """Sorts out the directories of a starting node, then tells the controller of each placement.

    `assign` brings a report to the controller and returns when it is committed.
    """

    def __init__(
        self,
        node_id: int,
        manager: LogManager,
        image: Callable[[], MetadataImage],
        assign: Callable[[Assignments], Awaitable[None]],
    ) -> None:
        self._node_id = node_id
        self._manager = manager
        self._image = image
        self._assign = assign
        self._due: dict[TopicPartition, None] = {}
        self._reporting = False

    # -- the start -------------------------------------------------------------------------------

    async def format_new(self, format_one: Callable[[LogDirectory], None]) -> None:
        """Take in directories that were empty, if they are new: no replica of this node is missing.

        Else one of them may be a disk that is not mounted, or an empty one in its place: they stay
        offline, lest the partitions begin anew there. `format_one` blocks.
        """
        manager = self._manager
        empty = [home for home in manager.directories if isinstance(home.offline, Unformatted)]
        missing = next(self._missing(), None) if empty else None
        for home in empty:
            if missing is None:

                def take_in(home: LogDirectory = home) -> None:
                    format_one(home)
                    manager.take_in(home)

                try:
                    await manager.executor.run(take_in)
                except OSError as error:
                    home.offline = error
                    continue
                log.info("log directory %s is new", home.path)
            else:
                home.offline = OSError(
                    f"it is empty, and {missing[0]}-{missing[1]} is in none of the others (is its "
                    "disk mounted?)"
                )

    def _missing(self) -> Iterator[TopicPartition]:
        """Replicas of this node that may be in a directory that is not here."""
        for topic in self._image().topics.by_id.values():
            for index, partition in topic.partitions.items():
                key = (topic.name, index)
                if self._node_id in partition.replicas and may_be_away(
                    self._manager, self._node_id, key, partition
                ):
                    yield key

    async def settle_doubles(self) -> None:
        """Of a partition that is in two directories keep what the metadata means: by topic id, else
        by the assigned directory. The other is set aside. Raises `BadDirectory` when both are meant.
        """
        manager = self._manager
        doubles, manager.doubles = manager.doubles, []
        for key, second in doubles:
            first = manager.homes[key]
            keep = await self._choose(key, first, second)
            drop = second if keep is first else first
            log.warning("%s-%s is also in %s; it is set aside there", *key, drop.path)
            await self._keep_one(key, keep, drop)

    async def _choose(
        self, key: TopicPartition, first: LogDirectory, second: LogDirectory
    ) -> LogDirectory:
        topic = self._image().topics.by_name.get(key[0])
        if topic is None or key[1] not in topic.partitions:
            return first  # both are strays
        paths = [home.partitions[key] for home in (first, second)]
        ids = await self._manager.executor.run(lambda: [_topic_id(first, p) for p in paths])
        meant = [home for home, id_ in zip((first, second), ids, strict=True) if id_ == topic.id]
        if len(meant) < 2:
            return meant[0] if meant else first
        assigned = topic.partitions[key[1]].directory(self._node_id)
        for home in meant:
            if home.meta is not None and home.meta.directory_id == assigned:
                return home
        raise BadDirectory(f"{key[0]}-{key[1]} is in {first.path} and in {second.path}.")

    async def _keep_one(self, key: TopicPartition, keep: LogDirectory, drop: LogDirectory) -> None:
        done = asyncio.get_running_loop().create_future()
        self._manager.keep_one(key, keep, drop, lambda _: done.set_result(None))
        await done

    # -- reports ---------------------------------------------------------------------------------

    def placed(self, keys: Sequence[TopicPartition]) -> bool:
        """Replicas got a directory; whether `report` has to be run for them."""
        self._due.update(dict.fromkeys(keys))
        return bool(keys) and not self._reporting

    async def report_all(self) -> None:
        """Tell of every replica whose directory is another than the metadata says."""
        self._due.update(dict.fromkeys(self._manager.homes))
        await self.report()

    async def report(self) -> None:
        """Tell of those that were placed since the last report. Raises `KafkaError`."""
        if self._reporting:
            return
        self._reporting = True
        try:
            while self._due:
                report = self._next_report()
                if report:
                    await self._assign(report)
        finally:
            self._reporting = False

    def _next_report(self) -> Assignments:
        image = self._image()
        report: Assignments = {}
        count = 0
        for key in list(self._due):
            if count >= MAX_ASSIGNMENTS:
                break
            del self._due[key]
            home = self._manager.homes.get(key)
            topic = image.topics.by_name.get(key[0])
            if home is None or home.meta is None or home.offline is not None or topic is None:
                continue
            partition = topic.partitions.get(key[1])
            directory = home.meta.directory_id
            told = None if partition is None else partition.directory(self._node_id)
            if directory is not None and told is not None and told != directory:
                report.setdefault(directory, []).append((topic.id, key[1]))
                count += 1
        return report if image.features.version >= MV_DIRECTORY_ASSIGNMENT else {}


def may_be_away(
    manager: LogManager, node_id: int, key: TopicPartition, partition: Partition
) -> bool:
    """Whether the files of a replica may be in a directory that is not here: in none that is, and
    not known to have none yet."""
    if key in manager.homes:
        return False
    directory = partition.directory(node_id)
    if manager.directory_of(directory) is not None:
        # Its directory is here, so it was never made; but Kafka says so before the end of a move.
        return manager.moves_in(key)
    unknown = directory in (DIRECTORY_UNASSIGNED, DIRECTORY_MIGRATING)
    return not (unknown and made_when_used(key[0]))


def _topic_id(home: LogDirectory, path: str) -> bytes | None:
    """What `partition.metadata` says. Blocks."""
    try:
        data = read_file(home.disk, f"{path}/{names.PARTITION_METADATA}")
        return None if data is None else decode_partition_metadata(data)
    except LogDamaged:
        return None
