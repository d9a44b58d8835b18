"""Telling systemd how the service is doing (sd_notify(3), Type=notify)."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping
from typing import Final

log = logging.getLogger("barnabas.host")

ADDRESS: Final = "NOTIFY_SOCKET"
WATCHDOG: Final = "WATCHDOG_USEC"


class ServiceManager:
    """The other side of NOTIFY_SOCKET; without one nothing is told."""

    def __init__(self, environment: Mapping[str, str], loop: asyncio.AbstractEventLoop) -> None:
        address = environment.get(ADDRESS, "")
        # A leading @ stands for the zero byte of an abstract address.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        period_us = environment.get(WATCHDOG, "")
        self._period_s = int(period_us) / 2e6 if period_us.isdecimal() else 0.0
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def ready(self) -> None:
        """The service answers. From now on the watchdog hears that the loop turns."""
        self._tell("READY=1")
        if self._address and self._period_s:
            self._turn()

    def stopping(self) -> None:
        """The service stops."""
        if self._timer is not None:
            self._timer.cancel()
        self._tell("STOPPING=1")

    def _turn(self) -> None:
        self._tell("WATCHDOG=1")
        self._timer = self._loop.call_later(self._period_s, self._turn)

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.setblocking(False)
                channel.sendto(text.encode(), self._address)
        except OSError as error:
            log.warning("cannot tell %s to the service manager: %s", text, error)
