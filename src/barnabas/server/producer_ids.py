"""Producer ids in blocks from the controller (AllocateProducerIds, KIP-730)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from barnabas.wire.errors import ErrorCode, KafkaError

log = logging.getLogger("barnabas.server")


class ProducerIdAllocator:
    """Hands out ids of the current block; fetches the next one when it is used up."""

    def __init__(self, allocate: Callable[[], Awaitable[tuple[int, int]]]) -> None:
        self._allocate = allocate
        self._next = 0
        self._end = 0
        self._lock = asyncio.Lock()

    async def ready(self) -> None:
        """Have an id at hand for `take`. Raises `KafkaError` when no block can be had."""
        if self._next >= self._end:
            async with self._lock:
                if self._next >= self._end:
                    start, count = await self._allocate()
                    self._next, self._end = start, start + count

    async def next(self) -> int:
        """An id never given out before. Raises `KafkaError` when no block can be had."""
        await self.ready()
        return self.take()

    @property
    def at_hand(self) -> bool:
        """Whether `take` can give one."""
        return self._next < self._end

    async def fetch(self) -> None:
        """As `ready`, for whom nobody waits: a failure is logged."""
        try:
            await self.ready()
        except KafkaError as error:
            log.warning("no producer ids can be had at the moment: %s", error.code.name)

    def take(self) -> int:
        """The same without waiting. Raises `KafkaError` COORDINATOR_LOAD_IN_PROGRESS, upon which
        clients come again, when none is at hand."""
        if self._next >= self._end:
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        self._next += 1
        return self._next - 1
