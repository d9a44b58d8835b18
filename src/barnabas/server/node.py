"""A node: broker and controller in one process, from its directories to its listeners."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from barnabas.config import support
from barnabas.config.broker import BrokerConfig
from barnabas.config.values import ConfigError
from barnabas.log.checkpoints import TopicPartition
from barnabas.log.cleaning.cleaner import LogCleaner
from barnabas.log.directory import BadDirectory, LogDirectory, MetaProperties
from barnabas.log.files import DEFAULT_LIMIT
from barnabas.log.maintenance import Intervals, LogMaintenance
from barnabas.log.manager import LogManager
from barnabas.metadata.controller.decision import ControllerSettings
from barnabas.ports import Ports, Timer
from barnabas.raft.types import Endpoint as VoterEndpoint
from barnabas.replication.metadata_log import MetadataLog, MetadataLogSettings
from barnabas.replication.snapshotter import SnapshotSettings
from barnabas.security.authorizer import AllowAll, Authorizer
from barnabas.server.broker import Broker
from barnabas.server.compaction import follow_configs, make_cleaner
from barnabas.server.config_schema import NodeConfigSchema
from barnabas.server.directories import (
    Directories,
    bootstrap_of,
    format_directory,
    new_id,
    open_directories,
    previous_epoch,
)
from barnabas.server.disk_space import DiskSpace
from barnabas.server.health import Stage
from barnabas.server.hosting import Hosting
from barnabas.server.limits import SWEEP_INTERVAL_MS
from barnabas.server.listener import ListenerContext
from barnabas.server.listeners import Listeners
from barnabas.server.loop_watch import LoopWatch
from barnabas.server.partitions import HostedPartition
from barnabas.server.placements import Placements
from barnabas.server.quotas import Quotas
from barnabas.server.registration import Registration

if TYPE_CHECKING:
    from barnabas.server.monitor import Monitor

log = logging.getLogger("barnabas.server")

METADATA_DIRECTORY = "__cluster_metadata-0"
OFFLINE = (
    "log directory %s is offline: %s. Its partitions answer KAFKA_STORAGE_ERROR; nothing "
    "acknowledged is lost. Make room or replace the disk, then restart the node."
)


class Node:
    """One node over its ports; several can live in one process. `hostname` is how others reach a
    listener that is bound to every address of the machine; `max_open_files` bounds those of logs,
    `max_connections`, whatever is configured, those of clients; `cluster_id` is for directories that
    are formatted now."""

    def __init__(
        self,
        config: BrokerConfig,
        ports: Ports,
        *,
        authorizer: Authorizer | None = None,
        hostname: str = "localhost",
        max_open_files: int = DEFAULT_LIMIT,
        max_connections: int | None = None,
        cluster_id: str | None = None,
    ) -> None:
        self.config = config
        self._ports = ports
        self._authorizer = authorizer or AllowAll()
        self._hostname = hostname
        self._max_open_files = max_open_files
        self._wanted_cluster_id = cluster_id
        self._max_connections = max_connections
        self._listeners: Listeners | None = None
        self._directories: Directories | None = None
        self._maintenance: LogMaintenance | None = None
        self._cleaner: LogCleaner | None = None
        self._metadata: MetadataLog | None = None
        self._broker: Broker | None = None
        self._manager: LogManager
        self._registration: Registration
        self._sweeper: Timer | None = None
        self._space: DiskSpace | None = None
        self._stopping = False
        self._monitor: Monitor | None = None
        #: Where metrics and health are asked for, once that port is open.
        self.monitor_address: tuple[str, int] | None = None
        self.stage = Stage.STARTING
        self.watch = LoopWatch(ports.clock.monotonic_ns, ports.machine.loop_cpu_ns)
        #: Set when the node cannot go on (its metadata directory failed); says why.
        self.failed: asyncio.Future[str] | None = None

    @property
    def cluster_id(self) -> str:
        """The id of the cluster, 22 characters."""
        return self._directories.cluster_id if self._directories is not None else ""

    @property
    def address(self) -> tuple[str, int]:
        """Where clients reach the first broker listener."""
        for context in self.listeners:
            if not context.controller and context.socket is not None:
                return context.socket.address
        raise RuntimeError("the node is not started")

    @property
    def broker(self) -> Broker:
        """The services behind the handlers, once started."""
        if self._broker is None:
            raise RuntimeError("the node is not started")
        return self._broker

    # What the monitor looks at: there from before the first file is read.

    @property
    def serves(self) -> bool:
        """Whether there are services behind listeners."""
        return self._broker is not None

    @property
    def listeners(self) -> list[ListenerContext]:
        """The open listeners, those of the controller included."""
        return [] if self._listeners is None else self._listeners.opened

    @property
    def metadata(self) -> MetadataLog | None:
        """The metadata log, once it is read."""
        return self._metadata if self._broker is not None else None

    @property
    def manager(self) -> LogManager | None:
        """The logs."""
        return self._manager if self._maintenance is not None else None

    @property
    def cleaner(self) -> LogCleaner | None:
        """What compacts, where it is on."""
        return self._cleaner

    @property
    def log_directories(self) -> list[LogDirectory]:
        """The directories of log.dirs."""
        return [] if self._directories is None else self._directories.logs

    @property
    def broker_epoch(self) -> int:
        """Epoch of this process' registration, -1 before."""
        return self._registration.broker_epoch if self._broker is not None else -1

    # -- start -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """From the files on disk to open listeners and a registered, unfenced broker.

        Raises `BadDirectory`, `BlockingIOError` (another process uses a directory), `KafkaError`,
        `OSError`.
        """
        ports, config = self._ports, self.config
        self.failed = asyncio.get_running_loop().create_future()
        await self._open_monitor()
        await self._open_directories()
        manager, maintenance = self._make_manager()
        hosting = self._hosting = Hosting(config, manager)
        await ports.executor.run(lambda: manager.load(self._opened.logs))
        if self._opened.metadata.offline is not None:
            raise self._opened.metadata.offline
        metadata = self._metadata = self._make_metadata_log(manager)
        quotas = Quotas(config, ports.clock)
        metadata.subscribe(hosting.publish)
        metadata.subscribe(quotas.publish)
        settings = self._controller_settings(hosting)
        registration = self._registration = Registration(
            config, settings, metadata, ports.clock, ports.random.bytes(16), self._cordoned
        )
        placements = Placements(
            config.node_id, manager, lambda: metadata.image, registration.report_placements
        )
        await metadata.start()
        await self._sort_out(placements)
        refused = support.dynamic_refusals(hosting.config)
        if refused:
            raise ConfigError(*refused)
        await placements.settle_doubles()
        await hosting.set_strays_aside()
        self._broker = Broker(
            hosting,
            ports,
            metadata,
            settings,
            self._authorizer,
            quotas,
            on_storage_failure=self._read_failed,
        )
        listeners = self._listeners = Listeners(self._broker, ports.network, self._max_connections)
        hosting.on_config = self._config_changed
        await listeners.open()
        controllers = listeners.advertised(self._hostname, controller=True)
        self._broker.controller_endpoints = tuple(
            VoterEndpoint(e.name, e.host, e.port) for e in controllers
        )
        used = manager.live
        await registration.register(
            brokers=listeners.advertised(self._hostname, controller=False),
            controllers=controllers,
            directories=_ids_of(used),
            previous_epoch=previous_epoch(self._opened.logs),
        )
        await registration.report_offline(_ids_of(d for d in used if d.offline is not None))
        await hosting.make_missing()
        await placements.report_all()
        manager.on_made = lambda keys: self._placed(placements, keys)
        await registration.unfence()
        registration.follow(self._broker.spawn)
        listeners.serve()
        maintenance.start()
        self._begin_upkeep(manager, metadata)
        self.stage = Stage.RUNNING

    def _begin_upkeep(self, manager: LogManager, metadata: MetadataLog) -> None:
        """What a running node does of its own accord."""
        self.broker.coordinators.start()
        self._space = DiskSpace(self._opened.all, self._ports.clock, self._ports.executor)
        self._space.start()
        if self.config.get_bool("log.cleaner.enable"):
            self._cleaner = make_cleaner(
                manager, lambda: self._hosting.config, self._hosting.partitions, self.broker.spawn
            )
            metadata.subscribe(partial(follow_configs, self._cleaner))
            self._cleaner.start()
        self._sweep()

    async def _open_directories(self) -> None:
        config, ports, wanted = self.config, self._ports, self._wanted_cluster_id
        self._directories = await ports.executor.run(
            lambda: open_directories(config, ports.disk, ports.clock, ports.random, wanted)
        )
        if wanted not in (None, self.cluster_id):
            log.warning("the data belongs to cluster %s, not to %s", self.cluster_id, wanted)

    async def _open_monitor(self) -> None:
        address = self.config.metrics_listener
        if address is None:
            return
        from barnabas.server.monitor import Monitor

        self._monitor = Monitor(self, self._ports)
        self.monitor_address = await self._monitor.listen(*address)

    async def _sort_out(self, placements: Placements) -> None:
        """Directories that are new, missing or failed. Raises `BadDirectory` when none is left."""
        opened, ports, node_id = self._opened, self._ports, self.config.node_id
        await placements.format_new(
            lambda home: format_directory(
                home,
                MetaProperties(opened.cluster_id, node_id, new_id(ports.random.bytes)),
                ports.clock,
            )
        )
        for home in opened.logs:
            if home.offline is not None:
                log.error(OFFLINE, home.path, home.offline)
        if not self._manager.live:
            raise BadDirectory(f"every log directory is offline; {opened.logs[0].offline}")

    @property
    def _opened(self) -> Directories:
        assert self._directories is not None
        return self._directories

    def _make_manager(self) -> tuple[LogManager, LogMaintenance]:
        ports, config = self._ports, self.config
        manager = LogManager(
            ports.disk,
            ports.executor,
            ports.clock,
            ports.random,
            schedule=_soon,
            config_for=lambda topic: self._hosting.log_config(topic),
            on_offline=self._directory_failed,
            max_open_files=self._max_open_files,
            producer_expiration_ms=config.get_int("producer.id.expiration.ms"),
        )
        intervals = Intervals(
            retention_check=config.get_int("log.retention.check.interval.ms"),
            initial_delay=config.get_int("log.initial.task.delay.ms"),
            recovery_checkpoint=config.get_int("log.flush.offset.checkpoint.interval.ms"),
            log_start_checkpoint=config.get_int("log.flush.start.offset.checkpoint.interval.ms"),
            high_watermark_checkpoint=config.get_int(
                "replica.high.watermark.checkpoint.interval.ms"
            ),
            producer_expiration_check=config.get_int("producer.id.expiration.check.interval.ms"),
        )
        self._maintenance = LogMaintenance(manager, intervals)
        self._manager = manager
        return manager, self._maintenance

    def _make_metadata_log(self, manager: LogManager) -> MetadataLog:
        home = self._opened.metadata
        assert home.meta is not None
        assert home.meta.directory_id is not None
        settings = MetadataLogSettings.single(
            f"{home.path}/{METADATA_DIRECTORY}",
            self.config.node_id,
            home.meta.directory_id,
            self.cluster_id,
        )
        settings = replace(
            settings,
            bootstrap=bootstrap_of(home),
            default_min_isr=self.config.get_int("min.insync.replicas"),
            clean=home.clean,
            segment_bytes=self.config.get_int_or_none("internal.metadata.log.segment.bytes")
            or self.config.get_int("metadata.log.segment.bytes"),
            segment_ms=self.config.get_int("metadata.log.segment.ms"),
            snapshots=SnapshotSettings(
                self.config.get_int("metadata.log.max.record.bytes.between.snapshots"),
                self.config.get_int("metadata.log.max.snapshot.interval.ms"),
                self.config.get_int("metadata.max.retention.bytes"),
                self.config.get_int("metadata.max.retention.ms"),
            ),
        )
        return MetadataLog(
            settings,
            clock=self._ports.clock,
            random=self._ports.random,
            executor=self._ports.executor,
            pool=manager.pool,
            writer=manager.writer,
            on_failed=self._metadata_failed,
        )

    def _controller_settings(self, hosting: Hosting) -> ControllerSettings:
        config = self.config
        return ControllerSettings(
            config.node_id,
            self.cluster_id,
            NodeConfigSchema(lambda: hosting.config),
            self._ports.random.below,
            lambda: self._ports.random.bytes(16),
            num_partitions=config.get_int("num.partitions"),
            default_replication_factor=config.get_int("default.replication.factor"),
            delete_topic_enable=config.get_bool("delete.topic.enable"),
        )

    def _cordoned(self) -> list[bytes]:
        return _ids_of(d for d in self._opened.logs if d.path in self._manager.cordoned)

    def _config_changed(self) -> None:
        if self._listeners is not None and self.stage is Stage.RUNNING:
            self._listeners.changed()
            self.broker.spawn(self._registration.report_cordoned())

    # -- while running ---------------------------------------------------------------------------

    def _placed(self, placements: Placements, keys: Sequence[TopicPartition]) -> None:
        if placements.placed(keys) and self._broker is not None:
            self._broker.spawn(placements.report())

    def _sweep(self) -> None:
        broker = self.broker
        self.watch.swept(SWEEP_INTERVAL_MS)
        now_ms = self._ports.clock.monotonic_ms()
        broker.coarse_ms = now_ms + SWEEP_INTERVAL_MS
        broker.partitions.expire(now_ms)
        broker.coordinators.expire(now_ms)
        broker.recorder.sweep()
        idle_ms = self.config.get_int("connections.max.idle.ms")
        idle_ticks = max(1, idle_ms // SWEEP_INTERVAL_MS) if idle_ms >= 0 else -1
        broker.quotas.sweep()
        if self._listeners is not None:
            self._listeners.sweep(idle_ticks)
        self._sweeper = self._ports.clock.call_later(SWEEP_INTERVAL_MS, self._sweep)

    def _read_failed(self, hosted: HostedPartition, failure: Exception) -> None:
        if hosted.gone:
            return  # deleted meanwhile, or its directory failed, which was said
        log.error("can't read %s-%s: %s", hosted.topic, hosted.index, failure)
        home = self._manager.homes.get((hosted.topic, hosted.index))
        if isinstance(failure, OSError) and home is not None:
            self._manager.failed(home, failure)

    def _directory_failed(self, home: LogDirectory, error: OSError) -> None:
        self._hosting.directory_failed(home.path)
        if home.path == self._opened.metadata.path:
            if self._metadata is not None:
                self._metadata.fail(error)
        elif not self._manager.live:
            self._fail(f"every log directory is offline, the last one is {home.path}: {error}")
        else:
            log.error(OFFLINE, home.path, error)
            if self._broker is not None and self._registration.broker_epoch >= 0:
                self._broker.spawn(self._registration.report_offline(_ids_of([home])))

    def _metadata_failed(self, error: BaseException) -> None:
        self._fail(f"the metadata log in {self._opened.metadata.path} failed: {error}")

    def _fail(self, reason: str) -> None:
        if not self._stopping and self.failed is not None and not self.failed.done():
            log.critical("the node stops: %s", reason)
            self.failed.set_result(reason)

    # -- stop ------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """The clean stop: no new requests, everything durable, the clean-shutdown marker."""
        if self._stopping:
            return
        self._stopping = True
        self.stage = Stage.STOPPING
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._space is not None:
            self._space.stop()
        if self._listeners is not None:
            self._listeners.close()
        if self._broker is not None:
            await self._broker.stop()
        if self._metadata is not None and self._started(self._metadata):
            await self._metadata.stop()
        if self._maintenance is not None and self._directories is not None:
            await self._close_logs(self._maintenance)
            self._directories.unlock()
        if self._monitor is not None:
            self._monitor.close()

    @staticmethod
    def _started(metadata: MetadataLog) -> bool:
        return metadata.leader_id >= 0

    async def _close_logs(self, maintenance: LogMaintenance) -> None:
        if self._cleaner is not None:
            ended = asyncio.get_running_loop().create_future()
            self._cleaner.stop(lambda: ended.set_result(None))
            await ended
        closed = asyncio.get_running_loop().create_future()
        done: Callable[[], None] = lambda: closed.set_result(None)  # noqa: E731
        maintenance.stop(self.broker_epoch, done)
        await closed


def _soon(callback: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(callback)


def _ids_of(directories: Iterable[LogDirectory]) -> list[bytes]:
    metas = [directory.meta for directory in directories]
    return [meta.directory_id for meta in metas if meta is not None and meta.directory_id]
