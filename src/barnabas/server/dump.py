"""What a node says of itself in a dump: bounded, without waiting, in any stage of its life."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nlargest
from typing import TYPE_CHECKING, Final

from barnabas.ports import Executor
from barnabas.server.listener import ListenerContext

if TYPE_CHECKING:
    from barnabas.log.manager import LogManager
    from barnabas.server.node import Node

#: Connections of a listener and logs of the node that get a line of their own.
CONNECTIONS_MAX: Final = 50
LOGS_MAX: Final = 50

Line = tuple[str, dict[str, object]]


def describe(node: Node, executor: Executor) -> Iterator[Line]:
    """Stage, executor, listeners with the busiest connections, logs with the most unsynced data."""
    yield (
        "node",
        {
            "stage": node.stage.name.lower(),
            "loop_idle": round(node.watch.idle, 3),
            "executor_jobs": executor.unfinished,
        },
    )
    if node.metadata is not None:
        metadata = node.metadata
        yield (
            "metadata log",
            {
                "leader": metadata.leader_id,
                "epoch": metadata.leader_epoch,
                "end_offset": metadata.end_offset,
                "high_watermark": metadata.high_watermark,
            },
        )
    if node.serves:
        memory = node.broker.memory
        yield "memory of connections", {"frames": memory.used, "unsent": memory.unsent}
        yield "fetch sessions", {"count": len(node.broker.sessions)}
    for listener in node.listeners:
        yield from _listener(listener)
    if node.manager is not None:
        yield from _logs(node.manager)


def _listener(listener: ListenerContext) -> Iterator[Line]:
    yield (
        "listener",
        {
            "listener": listener.name,
            "connections": len(listener.connections),
            "accepted": listener.accepted,
        },
    )
    busiest = nlargest(
        CONNECTIONS_MAX,
        listener.connections,
        key=lambda each: (len(each.pending), len(each.backlog), each.active_tick),
    )
    for connection in busiest:
        yield (
            "connection",
            {
                "client": "{}:{}".format(*connection.peer[:2]),
                "client_id": connection.client_id,
                "waiting": [request.api_key for request in list(connection.pending)[:20]],
                "queued": len(connection.backlog),
            },
        )


def _logs(manager: LogManager) -> Iterator[Line]:
    yield (
        "logs",
        {
            "open": len(manager.logs),
            "on_disk": len(manager.homes),
            "open_files": len(manager.pool),
            "to_recover": len(manager.unrecovered()),
            "writer_idle": manager.writer.idle,
        },
    )
    for home in manager.directories:
        yield "log directory", {"path": home.path, "offline": str(home.offline or "")}
    unsynced = [log for log in manager.logs.values() if log.end_offset > log.durable_offset]
    behind = nlargest(LOGS_MAX, unsynced, key=lambda log: log.end_offset - log.durable_offset)
    for log in behind:
        yield (
            "unsynced log",
            {
                "topic": log.topic,
                "partition": log.partition,
                "end_offset": log.end_offset,
                "written_offset": log.written_offset,
                "durable_offset": log.durable_offset,
            },
        )
