"""What systemd is told."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from barnabas.host.notify import ServiceManager


async def told(channel: socket.socket) -> str:
    """The next message."""
    return (await asyncio.get_running_loop().sock_recv(channel, 1000)).decode()


@pytest.mark.parametrize("abstract", [False, True])
def test_ready_alive_and_stopping(tmp_path: Path, abstract: bool) -> None:
    path = str(tmp_path / "notify")

    async def main() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.bind(f"\0{path}" if abstract else path)
            environment = {
                "NOTIFY_SOCKET": f"@{path}" if abstract else path,
                "WATCHDOG_USEC": "1000",
            }
            manager = ServiceManager(environment, asyncio.get_running_loop())
            manager.ready()
            assert await told(channel) == "READY=1"
            for _ in range(3):
                assert await told(channel) == "WATCHDOG=1"
            manager.stopping()
            while (last := await told(channel)) == "WATCHDOG=1":
                pass
            assert last == "STOPPING=1"

    asyncio.run(main())


def test_without_a_service_manager_nothing_is_told() -> None:
    async def main() -> None:
        manager = ServiceManager({"WATCHDOG_USEC": "1000"}, asyncio.get_running_loop())
        manager.ready()
        manager.stopping()

    asyncio.run(main())


def test_a_service_manager_that_is_gone_is_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        environment = {"NOTIFY_SOCKET": str(tmp_path / "gone")}
        ServiceManager(environment, asyncio.get_running_loop()).ready()

    asyncio.run(main())
    assert "cannot tell READY=1" in caplog.text
