"""`barnabas format`: directories as Kafka's storage tool leaves them, before the first start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from barnabas.config.broker import BrokerConfig
from barnabas.log.directory import BadDirectory, LogDirectory, MetaProperties
from barnabas.log.names import LOG
from barnabas.metadata.bootstrap import bootstrap_records
from barnabas.metadata.features import KRAFT_VERSION, METADATA_VERSION, supported_features
from barnabas.metadata.snapshot import write_snapshot
from barnabas.ports import Clock, Disk, Random
from barnabas.records.control import ControlType
from barnabas.replication.metadata_files import BOOTSTRAP_SNAPSHOT, write_snapshot_file
from barnabas.server.directories import (
    METADATA_DIRECTORY,
    format_directory,
    metadata_log_files,
    new_id,
)
from barnabas.wire import uuids
from barnabas.wire.message import Message
from barnabas.wire.messages.kraft_version_record import KRaftVersionRecord
from barnabas.wire.messages.voters_record import (
    Endpoint,
    KRaftVersionFeature,
    Voter,
    VotersRecord,
)


class Plan(NamedTuple):
    """What the directories shall hold. `voters` of a dynamic quorum, None for a static one.

    `cluster_id` None: that of the directories that are formatted already, else a new one.
    """

    cluster_id: str | None
    levels: Mapping[str, int]
    voters: VotersRecord | None


class Formatted(NamedTuple):
    """What became of one directory: formatted now, or `before`."""

    path: str
    metadata: bool
    before: bool


def standalone(config: BrokerConfig, random: Random) -> VotersRecord:
    """This node as the only voter, at its first controller listener, with a new directory id."""
    name = config.controller_listener_names[0]
    told = (config.advertised_listeners or ()) + config.listeners
    listener = next(endpoint for endpoint in told if endpoint.name == name)
    host = listener.host or "localhost"
    return VotersRecord(
        voters=[_voter(config.node_id, new_id(random.bytes), name, host, listener.port)]
    )


def parse_voters(text: str, listener: str) -> VotersRecord:
    """Voters from `ID@HOST:PORT:DIRECTORY[,...]`, IPv6 hosts in brackets. Raises ValueError."""
    voters = [_parse(part.strip(), listener) for part in text.split(",") if part.strip()]
    if not voters or len({voter.voter_id for voter in voters}) < len(voters):
        raise ValueError(f"{text!r} names no voter, or one twice")
    return VotersRecord(voters=voters)


def _parse(text: str, listener: str) -> Voter:
    node, at, rest = text.partition("@")
    address, _, directory = rest.rpartition(":")
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (at and host and _number(node, 2**31 - 1) and _number(port, 65_535)):
        raise ValueError(f"{text!r} is no voter: it takes ID@HOST:PORT:DIRECTORY")
    return _voter(int(node), uuids.from_text(directory), listener, host, int(port))


def _number(text: str, high: int) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= high


def _voter(node_id: int, directory_id: bytes, listener: str, host: str, port: int) -> Voter:
    levels = supported_features()[KRAFT_VERSION]
    return Voter(
        node_id,
        directory_id,
        [Endpoint(listener, host, port)],
        KRaftVersionFeature(levels.min, levels.max),
    )


def format_node(
    config: BrokerConfig,
    plan: Plan,
    disk: Disk,
    clock: Clock,
    random: Random,
    *,
    ignore_formatted: bool = False,
    on_formatted: Callable[[Formatted], None],
) -> str:
    """Format the directories of a node that are not; tells of each, in order of their paths, and
    returns the cluster's id.

    All are locked and looked at before the first is written. Blocks. Raises `BadDirectory` when
    one is formatted already (unless `ignore_formatted`) or belongs to somebody else,
    `BlockingIOError` when a process uses one, `OSError`.
    """
    paths = sorted({*config.log_dirs, config.metadata_log_dir})
    directories = [LogDirectory(disk, path) for path in paths]
    try:
        for directory in directories:
            directory.lock()
            meta = directory.read_meta()
            if meta is not None and plan.cluster_id is None:
                plan = plan._replace(cluster_id=meta.cluster_id)
        cluster_id = plan.cluster_id or uuids.to_text(new_id(random.bytes))
        for directory in directories:
            _look(directory, config, cluster_id, ignore_formatted)
        for directory in directories:
            holds_metadata = directory.path == config.metadata_log_dir
            before = directory.meta is not None
            if not before:
                given = MetaProperties(cluster_id, config.node_id, new_id(random.bytes))
                _format(
                    directory,
                    given,
                    plan if holds_metadata else plan._replace(voters=None),
                    clock,
                    random,
                )
            on_formatted(Formatted(directory.path, holds_metadata, before))
        return cluster_id
    finally:
        for directory in directories:
            directory.unlock()


def _look(
    directory: LogDirectory, config: BrokerConfig, cluster_id: str, ignore_formatted: bool
) -> None:
    meta = directory.meta
    if meta is None:
        # A snapshot alone is what an interrupted formatting leaves.
        if any(name.endswith(LOG) for name in metadata_log_files(directory)):
            raise BadDirectory(f"{directory.path} has lost its meta.properties; it holds metadata.")
        return
    if (meta.cluster_id, meta.node_id) != (cluster_id, config.node_id):
        raise BadDirectory(
            f"{directory.path} belongs to node {meta.node_id} of cluster {meta.cluster_id}."
        )
    if not ignore_formatted:
        raise BadDirectory(f"{directory.path} is formatted already.")


def _format(
    directory: LogDirectory, meta: MetaProperties, plan: Plan, clock: Clock, random: Random
) -> None:
    if plan.voters is not None:
        for voter in plan.voters.voters:
            if voter.voter_id == meta.node_id:
                meta = meta._replace(directory_id=voter.voter_directory_id)
        # Before meta.properties, which says that all is there.
        _write_voters(directory, plan, plan.voters, clock, random)
    format_directory(directory, meta, clock, bootstrap=_bootstrap(plan))


def _bootstrap(plan: Plan) -> Sequence[Message]:
    """kraft.version has no record of its own among these: it is a control record."""
    return bootstrap_records({n: v for n, v in plan.levels.items() if n != KRAFT_VERSION})


def _write_voters(
    directory: LogDirectory, plan: Plan, voters: VotersRecord, clock: Clock, random: Random
) -> None:
    disk, path = directory.disk, f"{directory.path}/{METADATA_DIRECTORY}"
    disk.make_dirs(path)
    disk.sync_dir(directory.path)
    now = clock.wall_ms()
    version = KRaftVersionRecord(kraft_version=plan.levels[KRAFT_VERSION])
    batches = write_snapshot(
        (),
        epoch=BOOTSTRAP_SNAPSHOT.epoch,
        metadata_version=plan.levels[METADATA_VERSION],
        last_contained_timestamp_ms=now,
        now_ms=now,
        control=[(ControlType.KRAFT_VERSION, version), (ControlType.KRAFT_VOTERS, voters)],
    )
    write_snapshot_file(disk, path, BOOTSTRAP_SNAPSHOT, batches, new_id(random.bytes).hex())
