"""A metadata log on a simulated host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from barnabas.log.errors import StorageError
from barnabas.log.files import FilePool
from barnabas.log.writer import LogWriter
from barnabas.metadata.controller.decision import Decision
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.record_types import ConfigRecord
from barnabas.ports import Ports
from barnabas.replication.metadata_log import MetadataLog, MetadataLogSettings
from barnabas.testing.sim.world import SimWorld
from barnabas.wire.errors import ErrorCode, KafkaError

ROOT = "/data"
DIRECTORY = f"{ROOT}/__cluster_metadata-0"


class Running:
    """A metadata log with what a node would put around it."""

    def __init__(self, ports: Ports, **changes: Any) -> None:
        self.ports = ports
        self.failures: list[BaseException] = []
        pool = FilePool(ports.disk)
        loop = asyncio.get_running_loop()

        def schedule(job: Callable[[], None]) -> None:
            loop.call_soon(job)

        writer = LogWriter(
            pool,
            ports.executor,
            ports.clock,
            schedule=schedule,
            on_failure=lambda _, error: self.log.fail(error),
        )
        settings = MetadataLogSettings.single(DIRECTORY, 1, bytes([7] * 16), "cluster")
        self.log = MetadataLog(
            replace(settings, **changes),
            clock=ports.clock,
            random=ports.random,
            executor=ports.executor,
            pool=pool,
            writer=writer,
            on_failed=self.failures.append,
        )

    async def put(self, name: str, value: str | None = "v") -> str:
        """Set a config of a made-up topic; the reply names it."""

        def decide(image: MetadataImage) -> Decision[str]:
            del image
            return Decision([ConfigRecord(2, "t", name, value)], name)

        return await self.log.submit(decide)

    @property
    def values(self) -> dict[str, str]:
        """What was put and is committed."""
        return dict(self.log.image.configs.of(2, "t"))


async def started(ports: Ports, **changes: Any) -> Running:
    """A started metadata log."""
    ports.disk.make_dirs(ROOT)
    ports.disk.sync_dir("/")
    running = Running(ports, **changes)
    await running.log.start()
    return running


def run(test: Callable[[SimWorld], Any], *, seed: int = 1) -> None:
    """Run `test` in a calm world."""
    world = SimWorld(seed)
    world.run(test(world))


def refused(error: BaseException) -> ErrorCode:
    """The code of a Kafka error."""
    assert isinstance(error, KafkaError)
    return error.code


__all__ = ["DIRECTORY", "ROOT", "Running", "StorageError", "refused", "run", "started"]
