"""The log cleaner of a node: its settings from the configs, its news into the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from barnabas.config.broker import BrokerConfig
from barnabas.log.checkpoints import TopicPartition
from barnabas.log.cleaning.cleaner import CleanerSettings, LogCleaner, Report
from barnabas.log.manager import LogManager
from barnabas.metadata.image.configs import BROKER

if TYPE_CHECKING:
    from barnabas.metadata.delta import MetadataDelta
    from barnabas.metadata.image import MetadataImage
    from barnabas.server.partitions import Partitions

log = logging.getLogger("barnabas.server")


def make_cleaner(
    manager: LogManager,
    config: Callable[[], BrokerConfig],
    partitions: Partitions,
    spawn: Callable[[Coroutine[Any, Any, None]], None],
) -> LogCleaner:
    """A cleaner that asks for the configs of now whenever it looks."""

    async def opened(topic: str, index: int, then: Callable[[], None]) -> None:
        await partitions.open(topic, index)
        then()

    return LogCleaner(
        manager,
        lambda: cleaner_settings(config()),
        open_partition=lambda topic, index, then: spawn(opened(topic, index, then)),
        on_cleaned=_cleaned,
        on_uncleanable=_uncleanable,
    )


def cleaner_settings(config: BrokerConfig) -> CleanerSettings:
    """What `log.cleaner.*` says."""
    return CleanerSettings(
        threads=config.get_int("log.cleaner.threads"),
        dedupe_buffer_bytes=config.get_int("log.cleaner.dedupe.buffer.size"),
        load_factor=config.get_float("log.cleaner.io.buffer.load.factor"),
        io_buffer_bytes=config.get_int("log.cleaner.io.buffer.size"),
        bytes_per_second=config.get_float("log.cleaner.io.max.bytes.per.second"),
        backoff_ms=config.get_int("log.cleaner.backoff.ms"),
    )


def follow_configs(
    cleaner: LogCleaner, _old: MetadataImage, _new: MetadataImage, delta: MetadataDelta
) -> None:
    """A publisher that comes after `Hosting`, which reads the configs."""
    if delta.configs is not None and any(kind == BROKER for kind, _ in delta.configs.changed):
        cleaner.reconfigured()


def _cleaned(report: Report) -> None:
    (topic, index), summary = report.key, report.summary
    log.info(
        "compacted %s-%s: offsets %d to %d were dirty, %d bytes of %d are left",
        topic,
        index,
        report.first_dirty,
        summary.end_offset,
        summary.bytes_written,
        summary.bytes_read,
    )
    if summary.batches_kept_broken:
        log.warning(
            "%s-%s has %d batches whose records cannot be read; compaction keeps them as they are",
            topic,
            index,
            summary.batches_kept_broken,
        )


def _uncleanable(key: TopicPartition, error: BaseException) -> None:
    log.error(
        "%s-%s can't be compacted: %s. It is left alone until the node starts again; no record "
        "is lost, but it grows.",
        *key,
        error,
    )
