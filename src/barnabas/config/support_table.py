"""Which configs this node honours, and why the others have no effect on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORKS: Final = frozenset(
    {
        "add.partitions.to.txn.retry.backoff.max.ms",
        "add.partitions.to.txn.retry.backoff.ms",
        "advertised.listeners",
        "auto.create.topics.enable",
        "broker.id",
        "broker.rack",
        "compression.gzip.level",
        "compression.lz4.level",
        "compression.type",
        "compression.zstd.level",
        "connections.max.idle.ms",
        "controller.listener.names",
        "controller.quota.window.num",
        "controller.quota.window.size.seconds",
        "cordoned.log.dirs",
        "default.replication.factor",
        "delete.topic.enable",
        "fetch.max.bytes",
        "group.consumer.assignment.interval.ms",
        "group.consumer.assignors",
        "group.consumer.heartbeat.interval.ms",
        "group.consumer.max.assignment.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
        "group.consumer.max.session.timeout.ms",
        "group.consumer.max.size",
        "group.consumer.migration.policy",
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.min.session.timeout.ms",
        "group.consumer.regex.refresh.interval.ms",
        "group.consumer.session.timeout.ms",
        "group.coordinator.rebalance.protocols",
        "group.initial.rebalance.delay.ms",
        "group.max.session.timeout.ms",
        "group.max.size",
        "group.min.session.timeout.ms",
        "inter.broker.listener.name",
        "internal.metadata.log.segment.bytes",
        "listener.security.protocol.map",
        "listeners",
        "log.cleaner.backoff.ms",
        "log.cleaner.dedupe.buffer.size",
        "log.cleaner.delete.retention.ms",
        "log.cleaner.enable",
        "log.cleaner.io.buffer.load.factor",
        "log.cleaner.io.buffer.size",
        "log.cleaner.io.max.bytes.per.second",
        "log.cleaner.max.compaction.lag.ms",
        "log.cleaner.min.cleanable.ratio",
        "log.cleaner.min.compaction.lag.ms",
        "log.cleaner.threads",
        "log.cleanup.policy",
        "log.dir",
        "log.dirs",
        "log.flush.interval.messages",
        "log.flush.interval.ms",
        "log.flush.offset.checkpoint.interval.ms",
        "log.flush.scheduler.interval.ms",
        "log.flush.start.offset.checkpoint.interval.ms",
        "log.index.interval.bytes",
        "log.index.size.max.bytes",
        "log.initial.task.delay.ms",
        "log.message.timestamp.after.max.ms",
        "log.message.timestamp.before.max.ms",
        "log.message.timestamp.type",
        "log.retention.bytes",
        "log.retention.check.interval.ms",
        "log.retention.hours",
        "log.retention.minutes",
        "log.retention.ms",
        "log.roll.hours",
        "log.roll.jitter.hours",
        "log.roll.jitter.ms",
        "log.roll.ms",
        "log.segment.bytes",
        "log.segment.delete.delay.ms",
        "max.connection.creation.rate",
        "max.connections",
        "max.connections.per.ip",
        "max.connections.per.ip.overrides",
        "max.incremental.fetch.session.cache.slots",
        "max.request.partition.size.limit",
        "message.max.bytes",
        "metadata.log.dir",
        "metadata.log.max.record.bytes.between.snapshots",
        "metadata.log.max.snapshot.interval.ms",
        "metadata.log.segment.bytes",
        "metadata.log.segment.ms",
        "metadata.max.retention.bytes",
        "metadata.max.retention.ms",
        "node.id",
        "num.partitions",
        "offset.metadata.max.bytes",
        "offsets.retention.check.interval.ms",
        "offsets.retention.minutes",
        "offsets.topic.compression.codec",
        "offsets.topic.num.partitions",
        "offsets.topic.segment.bytes",
        "producer.id.expiration.check.interval.ms",
        "producer.id.expiration.ms",
        "queued.max.request.bytes",
        "quota.window.num",
        "quota.window.size.seconds",
        "replica.high.watermark.checkpoint.interval.ms",
        "socket.listen.backlog.size",
        "socket.request.max.bytes",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        "transaction.max.timeout.ms",
        "transaction.partition.verification.enable",
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        "transaction.state.log.min.isr",
        "transaction.state.log.num.partitions",
        "transaction.state.log.segment.bytes",
        "transactional.id.expiration.ms",
    }
)
"""Honoured in full."""

_ONE_LOOP = "a node is one event loop; there is no pool or queue of this kind to size."
_MOVES = "moves between log directories are not built yet."
_ALONE = "it matters only with more than one node."
_GROUPS = "groups of this kind are not built yet."
_TIERED = "it matters only with tiered storage, which is not built yet."
_SECURITY = "it matters only on TLS and SASL listeners, which are not built yet."
_METRICS = "metrics are counted from the start of the node; who scrapes them makes rates."
_KERNEL = "the kernel sizes socket buffers better than a fixed number."
_ONE_REPLICA = "no more is asked for than there are replicas, here one."
_INTERNAL = "internal to Apache Kafka."

# First match wins: an exact name, or a prefix that ends in a dot.
_QUIET: Final = (
    ("log.local.retention.bytes", _TIERED),
    ("log.local.retention.ms", _TIERED),
    ("log.dir.failure.timeout.ms", "broker and controller share a process."),
    ("remote.", _TIERED),
    ("follower.fetch.last.tiered.offset.enable", _TIERED),
    (
        "group.coordinator.append.linger.ms",
        "decisions of one turn of the loop share a write anyway.",
    ),
    ("group.coordinator.cached.buffer.max.bytes", "no buffer is kept from one batch to the next."),
    ("group.coordinator.background.threads", _ONE_LOOP),
    ("group.coordinator.threads", _ONE_LOOP),
    ("group.", _GROUPS),
    ("offsets.topic.replication.factor", _ONE_REPLICA),
    ("offsets.commit.timeout.ms", "a node that is its own quorum has nobody to wait for."),
    ("offsets.load.buffer.size", "offsets are read in pieces of 256 KiB."),
    ("share.", _GROUPS),
    ("transaction.state.log.load.buffer.size", "transactions are read in pieces of 256 KiB."),
    ("transaction.state.log.replication.factor", _ONE_REPLICA),
    ("transaction.two.phase.commit.enable", "the request that asks for it (KIP-939) is unstable."),
    ("replication.quota.window.", _ALONE),
    ("alter.log.dirs.replication.quota.window.", _MOVES),
    ("leader.replication.throttled.rate", _ALONE),
    ("follower.replication.throttled.rate", _ALONE),
    ("replica.alter.log.dirs.io.max.bytes.per.second", _MOVES),
    ("metadata.max.idle.interval.ms", "a quorum of one needs no record to show that it lives."),
    ("ssl.", _SECURITY),
    ("sasl.", _SECURITY),
    ("security.providers", _SECURITY),
    ("connections.max.reauth.ms", _SECURITY),
    ("connection.failed.authentication.delay.ms", _SECURITY),
    ("delegation.token.", "delegation tokens are not built yet."),
    ("metrics.", _METRICS),
    ("kafka.metrics.", _METRICS),
    ("telemetry.max.bytes", "metrics of clients are not collected yet."),
    ("socket.send.buffer.bytes", _KERNEL),
    ("socket.receive.buffer.bytes", _KERNEL),
    ("socket.connection.setup.", _ALONE),
    ("num.", _ONE_LOOP),
    ("background.threads", _ONE_LOOP),
    ("queued.", "each connection has a budget of its own for unanswered bytes."),
    ("fetch.purgatory.", _ONE_LOOP),
    ("producer.purgatory.", _ONE_LOOP),
    ("delete.records.purgatory.", _ONE_LOOP),
    ("replica.", _ALONE),
    (
        "controller.quorum.append.linger.ms",
        "what comes while the metadata log is synced shares the next sync.",
    ),
    ("controller.quorum.", _ALONE),
    ("controller.socket.timeout.ms", _ALONE),
    ("controller.performance.", _INTERNAL),
    ("min.insync.replicas", _ONE_REPLICA),
    ("auto.leader.rebalance.enable", _ALONE),
    ("leader.imbalance.", _ALONE),
    ("unclean.leader.election.", _ALONE),
    ("controlled.shutdown.enable", _ALONE),
    ("broker.", _ALONE),
    ("initial.broker.registration.timeout.ms", _ALONE),
    ("request.timeout.ms", _ALONE),
    ("early.start.listeners", "all listeners open together, when the node can answer."),
    ("server.max.startup.time.ms", "a start ends when the node is up or has failed."),
    ("internal.", _INTERNAL),
)

# Names of older releases that still stand in files, and the release that took them away.
_REMOVED: Final = (
    ("zookeeper.", "4.0"),
    ("password.encoder.", "4.0"),
    ("inter.broker.protocol.version", "4.0"),
    ("log.message.format.version", "4.0"),
    ("log.message.downconversion.enable", "4.0"),
    ("log.message.timestamp.difference.max.ms", "4.0"),
    ("control.plane.listener.name", "4.0"),
    ("broker.id.generation.enable", "4.0"),
    ("reserved.broker.max.id", "4.0"),
    ("controlled.shutdown.max.retries", "4.0"),
    ("controlled.shutdown.retry.backoff.ms", "4.0"),
    ("offsets.commit.required.acks", "4.0"),
    ("delegation.token.master.key", "4.0"),
    ("auto.include.jmx.reporter", "4.0"),
    ("group.coordinator.new.enable", "4.0"),
    ("eligible.leader.replicas.enable", "4.1"),
    ("group.share.enable", "4.3"),
)

# Names that parts of Kafka, or plug-ins that are refused by another name, read for themselves.
_PLUGIN: Final = (
    "super.users",
    "allow.everyone.if.no.acl.found",
    "config.providers.",
    "rsm.config.",
    "rlmm.config.",
    "listener.name.",
)


_TOPIC_ALONE = "of use only with more than one node."
_TOPIC_TIERED = "tiered storage is not built yet."

TOPIC: Final[Mapping[str, tuple[str, str]]] = {
    "follower.replication.throttled.replicas": ("no effect", _TOPIC_ALONE),
    "leader.replication.throttled.replicas": ("no effect", _TOPIC_ALONE),
    "local.retention.bytes": ("no effect", _TOPIC_TIERED),
    "local.retention.ms": ("no effect", _TOPIC_TIERED),
    "min.insync.replicas": ("no effect", _ONE_REPLICA),
    "preallocate": ("no effect", "segments are not preallocated."),
    "remote.log.copy.disable": ("no effect", _TOPIC_TIERED),
    "remote.log.delete.on.disable": ("no effect", _TOPIC_TIERED),
    "remote.storage.enable": ("refused", _TOPIC_TIERED),
    "unclean.leader.election.enable": ("no effect", _TOPIC_ALONE),
}
"""Topic configs that do not work, or not in full; every other one works."""


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or (pattern.endswith(".") and name.startswith(pattern))


def quiet_reason(name: str) -> str:
    """Why a known broker config that is not in `WORKS` has no effect.

    Raises:
        KeyError: no reason is written down.
    """
    for pattern, reason in _QUIET:
        if _matches(name, pattern):
            return reason
    raise KeyError(name)


def removed_in(name: str) -> str | None:
    """The Kafka release that removed the broker config `name`; None if none did."""
    return next((release for pattern, release in _REMOVED if _matches(name, pattern)), None)


def belongs_to_plugin(name: str) -> bool:
    """Whether another part than the broker's config reads `name`."""
    return any(_matches(name, pattern) for pattern in _PLUGIN)
