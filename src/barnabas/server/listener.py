"""One open listener: what its connections share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING

from barnabas.ports import Clock
from barnabas.ports import Listener as Socket
from barnabas.server.acceptance import Acceptance
from barnabas.server.connection import Connection
from barnabas.server.dispatch import API_VERSIONS, Entry
from barnabas.server.limits import HEADER_CACHE_BYTES, SCRATCH_BYTES
from barnabas.wire.errors import ProtocolError
from barnabas.wire.headers import parse_request_header

if TYPE_CHECKING:
    from barnabas.security.principal import Principal
    from barnabas.server.connection_limits import ConnectionLimits
    from barnabas.server.memory_budget import MemoryBudget
    from barnabas.server.quotas import Quotas
    from barnabas.server.request_times import RequestRecorder

log = logging.getLogger("barnabas.server")

_LENGTH = Struct(">h")


class ListenerContext:
    """Dispatch table, limits and open connections of one listener."""

    def __init__(
        self,
        name: str,
        table: dict[tuple[int, int], Entry],
        unsupported_api_versions: Entry,
        *,
        controller: bool,
        principal: Principal,
        max_request_bytes: int,
        memory: MemoryBudget,
        limits: ConnectionLimits,
        call_soon: Callable[[Callable[[], None]], object],
        recorder: RequestRecorder,
        clock: Clock,
        quotas: Quotas,
    ) -> None:
        self.name = name
        self.controller = controller
        self.served_keys = tuple(dict.fromkeys(key for key, _ in table))
        self.table = table
        self.principal = principal
        self.max_request_bytes = max_request_bytes
        self.memory = memory
        #: Whether requests are read. Until then clients connect and wait.
        self.serving = False
        self.when_serving: list[Callable[[], None]] = []
        self.call_soon = call_soon
        self.record = recorder.record
        self.clock = clock
        self.now_ns = clock.monotonic_ns
        self.scratch = memoryview(bytearray(SCRATCH_BYTES))
        self.connections: dict[Connection, None] = {}
        #: Those that are not read because their clients have used up a quota.
        self.muted: dict[Connection, None] = {}
        self.socket: Socket | None = None
        #: Counts sweeps; connections note it when they hear from their client.
        self.tick = 0
        #: Connections so far, and those that were closed because they were silent.
        self.accepted = self.expired = 0
        self._limits = limits
        self._acceptance = Acceptance(name, limits, quotas, clock)
        self.quotas = quotas
        self._unsupported_api_versions = unsupported_api_versions

    def serve(self) -> None:
        """Read requests, those of clients that came early first."""
        self.serving = True
        early, self.when_serving = self.when_serving, []
        for begin in early:
            begin()

    def connect(self) -> Connection:
        """Protocol factory of the listening socket."""
        return Connection(self)

    def opened(self, connection: Connection) -> str | None:
        """A client connected; says why it cannot stay."""
        self.connections[connection] = None
        connection.outbox.meter = self.quotas.new_meter()
        self.accepted += 1
        refusal = self._limits.admit(self.name, connection.peer[0])
        return refusal or self._acceptance.arrived(connection)

    def lost(self, connection: Connection) -> None:
        """A client is gone."""
        self.connections.pop(connection, None)
        self._limits.leave(self.name, connection.peer[0])
        self._acceptance.left(connection)

    def unknown(self, api_key: int, api_version: int) -> Entry:
        """ApiVersions of any version is answered; everything else closes the connection."""
        if api_key == API_VERSIONS:
            return self._unsupported_api_versions
        raise ProtocolError(f"API {api_key} version {api_version} is not served on {self.name}")

    def parse_header(self, connection: Connection, frame: bytearray) -> int:
        """Read the client id of a request header and remember it; returns where the body starts."""
        header = parse_request_header(memoryview(frame)[4:])
        connection.client_id = header.client_id
        (length,) = _LENGTH.unpack_from(frame, 12)
        tail = bytes(frame[12 : 14 + max(length, 0)])
        connection.header_tail = tail if len(tail) <= HEADER_CACHE_BYTES else b""
        return 4 + header.end

    def sweep(self, idle_ticks: int) -> None:
        """Close connections that were silent for `idle_ticks` sweeps (never, if negative) and wait
        for nothing, and those that hold memory which others need."""
        self.tick += 1
        horizon = self.tick - idle_ticks
        if idle_ticks >= 0 and horizon > 0:
            for connection in [
                c for c in self.connections if c.active_tick < horizon and not c.busy
            ]:
                self.expired += 1
                connection.close()
        if self.memory.frames_wait or self.memory.answers_wait:
            for connection in list(self.connections):
                reason = connection.hinders
                if reason is not None:
                    connection.fail(reason)

    def close(self) -> None:
        """Stop accepting and close every connection."""
        if self.socket is not None:
            self.socket.close()
        for connection in list(self.connections):
            connection.close()
