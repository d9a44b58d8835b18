"""The floor: a bare uvloop server that answers Produce and Fetch with the right bytes and does nothing.

    python -m benchmarks.floor PORT [FILE]

It looks at sizes, API keys and correlation ids only. With FILE, every round of requests is appended
to it and synced off the loop before its answers leave, as one group. What a node written in Python
reaches beside it is what the node's own work costs.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
from functools import partial
from typing import cast

import uvloop

from benchmarks import frames

HEAD = struct.Struct(">ihhi")
FETCH = 1
EVENT = frames.event_batch(1, 100)


class Floor:
    """What the connections share: the fetches that wait, and the file with its round of syncs."""

    def __init__(self, path: str | None) -> None:
        self.end = 0
        self.parked: list[tuple[Connection, int]] = []
        self.file = -1 if path is None else os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
        self.round: list[tuple[Connection, bytes]] = []
        self.batches: list[bytes] = []
        self.syncing = False

    def produced(self, connection: Connection, answers: bytes, batches: list[bytes]) -> None:
        """Answer a run of Produce requests: at once, or after the next sync."""
        self.end += len(batches)
        if self.file < 0:
            connection.transport.write(answers)
            self.wake()
            return
        self.round.append((connection, answers))
        self.batches += batches
        if not self.syncing:
            self.syncing = True
            asyncio.get_running_loop().call_soon(self.sync)

    def sync(self) -> None:
        """Write and sync what came since the last round, off the loop; then answer it."""
        loop = asyncio.get_running_loop()
        waiting, self.round = self.round, []
        data, self.batches = b"".join(self.batches), []

        def write() -> None:
            os.write(self.file, data)
            os.fdatasync(self.file)

        done = loop.run_in_executor(None, write)
        done.add_done_callback(partial(self.synced, waiting))

    def synced(self, waiting: list[tuple[Connection, bytes]], done: asyncio.Future[None]) -> None:
        """Answer a round, and begin the next one when something came meanwhile."""
        done.result()
        for connection, answers in waiting:
            connection.transport.write(answers)
        self.wake()
        self.syncing = bool(self.round)
        if self.syncing:
            self.sync()

    def wake(self) -> None:
        """Answer the fetches that wait."""
        parked, self.parked = self.parked, []
        for connection, correlation in parked:
            connection.transport.write(connection.fetched(correlation))


class Connection(asyncio.Protocol):
    """Splits frames; patches the correlation id into an answer that was encoded beforehand."""

    transport: asyncio.Transport

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.rest = b""
        self.answer = frames.produce_response(frames.FLOOR_TOPIC)
        self.offset = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def fetched(self, correlation: int) -> bytes:
        """The answer to a Fetch request: one event at the next offset."""
        batch = struct.pack(">q", self.offset) + EVENT[8:]
        self.offset += 1
        answer = frames.fetch_response(frames.FLOOR_TOPIC, batch)
        return answer[:4] + struct.pack(">i", correlation) + answer[8:]

    def data_received(self, data: bytes) -> None:
        data = self.rest + data if self.rest else data
        at, end, answers, batches = 0, len(data), [], []
        while end - at >= HEAD.size:
            size, key, _, correlation = HEAD.unpack_from(data, at)
            if end - at < size + 4:
                break
            if key == FETCH:
                self.floor.parked.append((self, correlation))
                if self.offset < self.floor.end:
                    self.floor.wake()
            else:
                answers.append(self.answer[:4] + struct.pack(">i", correlation) + self.answer[8:])
                batches.append(data[at + size + 4 - len(EVENT) : at + size + 4])
            at += size + 4
        self.rest = data[at:]
        if answers:
            self.floor.produced(self, b"".join(answers), batches)


async def serve(port: int, path: str | None) -> None:
    """Serve for ever."""
    floor = Floor(path)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(floor), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
