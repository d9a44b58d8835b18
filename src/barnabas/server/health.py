"""Whether a node is ready to serve, in words."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from barnabas.server.node import Node


class Stage(IntEnum):
    """Where a node is in its life, in Kafka's numbers."""

    STARTING = 1
    RUNNING = 3
    STOPPING = 7


class Check(NamedTuple):
    """One condition."""

    name: str
    ok: bool
    text: str


def readiness(node: Node) -> list[Check]:
    """The conditions of readiness.

    A failed log directory is told but does not make a node unready while another one works: the
    partitions there are served on, and a node that is taken out of service serves none.
    """
    checks = [
        Check("stage", node.stage is Stage.RUNNING, node.stage.name.lower()),
        *_registered(node),
        *_metadata(node),
        *_directories(node),
    ]
    if node.failed is not None and node.failed.done():
        checks.append(Check("failure", False, node.failed.result()))
    return checks


def page(checks: list[Check]) -> bytes:
    """The conditions as text, a line each."""
    lines = [f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.text}\n" for check in checks]
    return "".join(lines).encode()


def _registered(node: Node) -> list[Check]:
    metadata = node.metadata
    broker = None if metadata is None else metadata.image.cluster.brokers.get(node.config.node_id)
    if broker is None or broker.epoch != node.broker_epoch:
        return [Check("registered", False, "the broker is not registered yet")]
    fenced = "fenced: it may lead nothing" if broker.fenced else "unfenced"
    return [
        Check("registered", True, f"broker {broker.id}, epoch {broker.epoch}"),
        Check("fencing", not broker.fenced, fenced),
    ]


def _metadata(node: Node) -> list[Check]:
    metadata = node.metadata
    if metadata is None or metadata.leader_id < 0:
        return [Check("metadata", False, "no leader of the quorum is known")]
    behind = metadata.high_watermark - 1 - metadata.image.provenance.offset
    place = f"applied up to offset {metadata.image.provenance.offset}"
    if behind > 0:
        return [Check("metadata", False, f"{place}, {behind} records behind")]
    return [Check("metadata", True, f"{place}, all that is committed")]


def _directories(node: Node) -> list[Check]:
    directories = node.log_directories
    online = [home for home in directories if home.offline is None]
    checks = [
        Check("log directory", bool(online), f"{home.path} is offline: {home.offline}")
        for home in directories
        if home.offline is not None
    ]
    text = f"{len(online)} of {len(directories)} online"
    return [*checks, Check("log directories", bool(online), text)]
