"""The way into the dead letter topic."""

from __future__ import annotations

from barnabas.client.cluster import Cluster
from barnabas.client.config import ProducerConfig
from barnabas.client.consumer.records import Event
from barnabas.client.consumer.running import Setup
from barnabas.client.processing.dead_letters import dead_letter_headers
from barnabas.client.sender import Sender
from barnabas.ports import Ports

MAX_RECORD_BYTES = 100 * 1024 * 1024
"""With the reason a dead letter is larger than the record was; its topic says what is too large."""


class Burial:
    """A producer of dead letters: idempotent, acks=all."""

    def __init__(self, ports: Ports, setup: Setup, topic: str) -> None:
        self._cluster = Cluster(ports, tuple(setup.addresses), setup.client)
        self._topic = topic
        self._group_id = setup.config.group_id
        self._sender: Sender | None = None

    async def open(self) -> None:
        """Connect, and look the topic up, so that it is known now that it is there. Raises
        `CannotConnect`, `KafkaError`."""
        await self._cluster.__aenter__()
        config = ProducerConfig(
            max_request_size=MAX_RECORD_BYTES, max_block_ms=self._cluster.config.api_timeout_ms
        )
        self._sender = Sender(self._cluster, config)
        await self._sender.prepare(self._topic)

    async def bury(self, event: Event, error: BaseException, attempts: int) -> None:
        """Return when every in-sync replica has it. Raises `ClientError`, `KafkaError`.

        The key stays, so that dead letters of a key keep their order. The time is that of the
        burial (the record's own is a header): retention begins with it.
        """
        assert self._sender is not None
        delivery = await self._sender.send(
            self._topic,
            event.value,
            key=event.key,
            headers=dead_letter_headers(event, error, attempts, self._group_id),
        )
        await delivery

    async def close(self) -> None:
        """Disconnect."""
        try:
            if self._sender is not None:
                await self._sender.close(flush=False)
        finally:
            await self._cluster.close()
