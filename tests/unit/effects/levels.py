"""One config at each of the places where it can be set, and what is seen of it there.

A topic config that works is seen three times: set on the topic, set in the node's file by the
broker config behind it, and set while the node runs and the topic is in use, for all brokers and
for this one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from barnabas.config.definitions import BROKER
from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from barnabas.wire.messages.incremental_alter_configs_response import (
    IncrementalAlterConfigsResponse,
)
from tests.unit.server.calm import Session, calm

Seen = TypeVar("Seen")
TOPIC_RESOURCE, BROKER_RESOURCE = 2, 4
RUN_TIME = {"all brokers": "", "this broker": "1"}
"""Levels at which a node's config changes while it runs, with the names of their resources."""


async def alter_node(s: Session, changes: Mapping[str, str | None], *, broker: str = "") -> None:
    """Set (None: delete) dynamic configs of all brokers, or of one."""
    await _alter(s, BROKER_RESOURCE, broker, changes)


async def alter_topic(s: Session, topic: str, changes: Mapping[str, str | None]) -> None:
    """Set (None: delete) configs of a topic."""
    await _alter(s, TOPIC_RESOURCE, topic, changes)


async def _alter(s: Session, kind: int, name: str, changes: Mapping[str, str | None]) -> None:
    configs = [
        AlterableConfig(config, 0 if value is not None else 1, value)
        for config, value in changes.items()
    ]
    request = IncrementalAlterConfigsRequest([AlterConfigsResource(kind, name, configs)])
    answer = (await s.ask(request, IncrementalAlterConfigsResponse)).responses[0]
    assert answer.error_code == 0, answer.error_message


def seen_at_every_level(
    observe: Callable[[Session], Awaitable[Seen]],
    topic_config: str,
    broker_config: str,
    value: str,
    *,
    node: Mapping[str, str] | None = None,
    topic: Mapping[str, str] | None = None,
) -> tuple[Seen, Seen]:
    """What `observe` sees on topic `t` without the config and with it, the same at every level.

    `node` and `topic` are set besides, at every level and without the config.
    """
    fixed_topic = {name.replace(".", "_"): text for name, text in (topic or {}).items()}
    seen: dict[str, Seen] = {}

    def run(level: str) -> None:
        async def scenario(s: Session) -> None:
            own = {topic_config.replace(".", "_"): value} if level == "topic" else {}
            await s.create("t", 1, **fixed_topic, **own)
            await s.produce("t", s.batch(b"before"))
            if level in RUN_TIME:  # the log is open and works by the old value
                await alter_node(s, {broker_config: value}, broker=RUN_TIME[level])
            seen[level] = await observe(s)

        file = {broker_config: value} if level == "file" else {}
        calm(scenario, {**(node or {}), **file})

    levels = ["topic", "file", *(RUN_TIME if BROKER[broker_config].dynamic == "C" else ())]
    for level in ("default", *levels):
        run(level)
    changed = seen["topic"]
    assert {level: seen[level] for level in levels} == dict.fromkeys(levels, changed)
    return seen["default"], changed
