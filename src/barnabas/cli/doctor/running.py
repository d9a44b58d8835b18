"""Looks at a running cluster for the doctor, through the protocol alone; judges what it sees."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from barnabas.cli.doctor.findings import Finding, error, note, ok, warning
from barnabas.cli.options import format_address
from barnabas.client.admin import Admin, ConfigEntry, ConfigSource, ResourceType
from barnabas.client.cluster import Cluster
from barnabas.client.metadata import NodeAddress, TopicState
from barnabas.client.storage import StoredIn, describe_log_dirs
from barnabas.host.survey import reach
from barnabas.server.disk_space import low_mark
from barnabas.wire.errors import KafkaError

_GIB = 1 << 30


class Seen(NamedTuple):
    """What a cluster says of itself; `unreachable`: address told to clients, and why not."""

    cluster_id: str
    controller: int
    brokers: Sequence[NodeAddress]
    unreachable: dict[str, str]
    topics: Sequence[TopicState]
    directories: Sequence[StoredIn]
    configs: dict[int, Sequence[ConfigEntry]]
    refused: Sequence[str]
    """What could not be asked."""
    reached: str
    """The address at which it answered."""


async def look_at_cluster(cluster: Cluster) -> Seen:
    """Ask for everything. Raises `ClientError`."""
    admin = Admin(cluster)
    seed = await cluster.any_connection()
    described = await admin.describe_cluster()
    refused: list[str] = []
    unreachable: dict[str, str] = {}
    for broker in described.brokers:
        problem = await asyncio.to_thread(reach, broker.host, broker.port)
        if problem:
            unreachable[format_address(broker.host, broker.port)] = problem
    configs: dict[int, Sequence[ConfigEntry]] = {}
    directories: Sequence[StoredIn] = ()
    if not unreachable:
        try:
            for broker in described.brokers:
                found = await admin.describe_configs(ResourceType.BROKER, str(broker.id))
                configs[broker.id] = found
        except KafkaError as failure:
            refused.append(f"configs: {failure}")
        try:
            directories = await describe_log_dirs(cluster, None)
        except KafkaError as failure:
            refused.append(f"log directories: {failure}")
    topics = await admin.topics()
    return Seen(
        described.cluster_id,
        described.controller,
        described.brokers,
        unreachable,
        topics,
        directories,
        configs,
        refused,
        format_address(seed.host, seed.port),
    )


def judge_cluster(seen: Seen) -> Iterator[Finding]:
    """Everything that a client can know."""
    count = len(seen.brokers)
    yield ok("cluster", f"{seen.cluster_id}, {count} broker{'s' if count > 1 else ''}")
    if seen.controller < 0:
        yield error("cluster", "No controller is known.", "Look into the logs of the nodes.")
    for broker in seen.brokers:
        address = format_address(broker.host, broker.port)
        problem = seen.unreachable.get(address)
        if problem is None:
            yield ok("listeners", f"broker {broker.id} is told as {address}, reachable from here")
        else:
            yield error(
                "listeners",
                f"Clients are told {address} for broker {broker.id}, which cannot be reached from "
                f"here: {problem}.",
                f"Start it with --advertise {seen.reached}, the address that did answer."
                if count == 1
                else f"Set advertised.listeners (--advertise) of broker {broker.id} to what clients "
                "can resolve and reach.",
            )
    yield from _topics(seen.topics)
    for directory in seen.directories:
        yield from _directory(directory)
    for number, entries in seen.configs.items():
        yield from _configs(number, entries)
    for text in seen.refused:
        yield note("cluster", f"could not be asked for {text}")


def _topics(topics: Sequence[TopicState]) -> Iterator[Finding]:
    partitions = [(t.name, p) for t in topics for p in t.partitions.values()]
    leaderless = [f"{name}-{p.partition}" for name, p in partitions if p.leader < 0]
    under = [f"{name}-{p.partition}" for name, p in partitions if len(p.isr) < len(p.replicas)]
    if leaderless:
        yield error(
            "partitions",
            f"{len(leaderless)} without a leader: {_some(leaderless)}.",
            "Start the brokers that hold them, or repair their log directories.",
        )
    if under:
        yield warning(
            "partitions",
            f"{len(under)} with a replica that is not in sync: {_some(under)}.",
            "Look whether a broker is down or behind.",
        )
    if not leaderless and not under:
        yield ok("partitions", f"{len(partitions)} in {len(topics)} topics, all led and in sync")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown}, …"


def _directory(directory: StoredIn) -> Iterator[Finding]:
    where = f"{directory.path} of broker {directory.broker}"
    if directory.error:
        yield error(
            "disk",
            f"{where} is offline ({directory.error.name}).",
            "Make room or replace the disk, then start the node again.",
        )
    elif directory.total > 0:
        free = f"{directory.usable / _GIB:.1f} GiB of {directory.total / _GIB:.1f} GiB free"
        if directory.usable < low_mark(directory.total):
            yield warning("disk", f"{where}: only {free}.", "Make room, or lower the retention.")
        else:
            yield ok("disk", f"{where}: {free}")


def _configs(broker: int, entries: Sequence[ConfigEntry]) -> Iterator[Finding]:
    values = {entry.name: entry.value for entry in entries}
    if values.get("unclean.leader.election.enable") == "true":
        yield warning(
            "configuration",
            f"Broker {broker} has unclean.leader.election.enable=true: a replica that lacks events "
            "may become leader.",
            "Set it to false unless losing events is better than waiting.",
        )
    if values.get("barnabas.ack.mode") == "page-cache":
        yield note(
            "configuration",
            f"broker {broker} acknowledges from the page cache: a power cut can take events",
        )
    dynamic = (ConfigSource.DYNAMIC_BROKER_CONFIG, ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG)
    changed = sorted(entry.name for entry in entries if entry.source in dynamic)
    if changed:
        yield note(
            "configuration",
            f"broker {broker} has configs that were set at run time and outdo its file: "
            f"{_some(changed)}",
        )
