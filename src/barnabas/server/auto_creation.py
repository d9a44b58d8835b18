"""Topics that are made because a client asked for them (`auto.create.topics.enable`)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from barnabas.metadata.controller.topics import create_topics
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.create_topics_request import CreatableTopic, CreateTopicsRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from barnabas.server.broker import Broker
    from barnabas.server.quotas import Mutations
    from barnabas.server.request import Request

log = logging.getLogger("barnabas.server")

#: So long a request waits for topics that are made for it; afterwards its client comes back, as it
#: has to with Kafka, which lets nobody wait.
WAIT_MS: Final = 1_000


class AutoCreation:
    """Makes topics, each once however many ask for it."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._under_way: dict[str, asyncio.Future[None]] = {}

    async def create(self, names: Sequence[str], request: Request) -> None:
        """Make topics within the quota of whoever asked for them. Returns when they are there or
        refused, or after `WAIT_MS`; they are made nevertheless."""
        broker, loop = self._broker, asyncio.get_running_loop()
        wanted = [name for name in names if name not in self._under_way]
        if wanted:
            self._under_way.update(dict.fromkeys(wanted, loop.create_future()))
            broker.spawn(self._create(wanted, broker.mutations(request, strict_from=0)))
        enough: asyncio.Future[None] = loop.create_future()
        left = dict.fromkeys(self._under_way[name] for name in names)

        def end() -> None:
            if not enough.done():
                enough.set_result(None)

        def made(one: asyncio.Future[None]) -> None:
            left.pop(one, None)
            if not left:
                end()

        for each in list(left):
            each.add_done_callback(made)
        timer = broker.clock.call_later(WAIT_MS, end)
        try:
            await enough
        finally:
            timer.cancel()
            for each in left:
                each.remove_done_callback(made)

    async def _create(self, names: list[str], mutations: Mutations) -> None:
        broker = self._broker
        request = CreateTopicsRequest(
            topics=[CreatableTopic(name, -1, -1) for name in names], validate_only=False
        )
        try:
            response = await broker.submit(
                lambda image: create_topics(image, broker.settings, request, charge=mutations.take)
            )
            for topic in response.topics:
                if topic.error_code not in (ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS):
                    log.warning("can't create topic %s: %s", topic.name, topic.error_message)
        except KafkaError as error:
            log.warning("can't create topics %s: %s", ", ".join(names), error)
        finally:
            for done in dict.fromkeys(self._under_way.pop(name) for name in names):
                if not done.done():
                    done.set_result(None)
