"""The real server process that the hostile tests attack, and the honest client that watches it."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from barnabas.records.builder import build_batch
from barnabas.wire import codec
from barnabas.wire.apis import API
from barnabas.wire.message import Message
from barnabas.wire.messages.create_topics_request import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from barnabas.wire.messages.create_topics_response import CreateTopicsResponse
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import PartitionProduceResponse, ProduceResponse
from tests.interop.kafka import HOST, BarnabasProcess

MEBIBYTE = 1 << 20
GROWTH_MAX = 32 * MEBIBYTE
"""What an attack may add to the node's resident memory at its worst moment."""

WAIT_SECONDS = 20.0
PROBE_ID = 0x7EEDBEEF
PROBE = struct.pack(">ihhih", 10, 18, 0, PROBE_ID, -1)
NAMED_VERSION = 12
"""The last version of Produce and Fetch that names topics instead of giving their ids."""


def frame(
    key: int, version: int, body: bytes, *, correlation: int = 1, client: bytes = b"h"
) -> bytes:
    """A request with its size in front."""
    head = struct.pack(f">hhih{len(client)}s", key, version, correlation, len(client), client)
    if key in API and version >= API[key].flexible:
        head += b"\0"
    return struct.pack(">i", len(head) + len(body)) + head + body


def request(message: Message, version: int, *, correlation: int = 1, client: bytes = b"h") -> bytes:
    """A well-formed request."""
    body = codec.encode(message, version)
    return frame(message.API_KEY, version, body, correlation=correlation, client=client)


class Client:
    """One connection."""

    def __init__(self, address: tuple[str, int], *, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(WAIT_SECONDS)
        self.socket.connect(address)
        self._rest = b""

    def send(self, data: bytes) -> None:
        """Send as much as the node takes; that it closes on the way is for the reader to notice."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def receive(self) -> bytes | None:
        """The next response without its size, or None when the node has closed the connection."""
        head = self._exactly(4)
        return None if head is None else self._exactly(int.from_bytes(head, "big"))

    def _exactly(self, size: int) -> bytes | None:
        while len(self._rest) < size:
            try:
                more = self.socket.recv(MEBIBYTE)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self._rest += more
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def ask(self, message: Message, version: int, *, client: bytes = b"h") -> Message:
        """Send a request and decode its answer."""
        self.send(request(message, version, client=client))
        answer = self.receive()
        assert answer is not None, f"{message.NAME} v{version} was not answered"
        api = API[message.API_KEY]
        start = 4 + api.response_header_version(version)
        return codec.decode(api.response, version, memoryview(answer), start)

    def outcome(self, data: bytes) -> list[bytes] | None:
        """Send a frame and a probe behind it: the answers before the probe's, or None if closed."""
        self.send(data + PROBE)
        answers: list[bytes] = []
        while (answer := self.receive()) is not None:
            if answer[:4] == PROBE[8:12]:
                return answers
            answers.append(answer)
        return None

    def closed_by_node(self) -> bool:
        """Whether the node closes the connection, whatever it still answers before that."""
        while self.receive() is not None:
            pass
        return True

    def close(self) -> None:
        """Close."""
        self.socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Target(BarnabasProcess):
    """The node under attack."""

    def __init__(self, directory: Path, settings: dict[str, str] | None = None) -> None:
        super().__init__(directory, settings)
        self._log_read = 0

    def prepare(self) -> None:
        """A port with a free one behind it, which is the controller's."""
        while self.port == 0:
            # Below what the kernel gives to outgoing connections: it is free at a restart, too.
            port = random.randrange(15_000, 32_000, 2)
            if not any(in_use(each) for each in (port, port + 1)):
                self.port = port
        super().prepare()

    @property
    def at(self) -> tuple[str, int]:
        """Where it listens."""
        return (HOST, self.port)

    def connect(self, *, receive_buffer: int = 0) -> Client:
        """Another connection."""
        return Client(self.at, receive_buffer=receive_buffer)

    def make_topic(self, name: str, **configs: str) -> None:
        """Create a topic of one partition."""
        settings = [
            CreatableTopicConfig(key.replace("_", "."), value) for key, value in configs.items()
        ]
        with self.connect() as client:
            topic = CreatableTopic(name, 1, 1, configs=settings)
            created = client.ask(CreateTopicsRequest(topics=[topic]), 5)
            assert isinstance(created, CreateTopicsResponse)
            assert created.topics[0].error_code == 0, created

    # -- what an attack must not change ------------------------------------------------------------

    def descriptors(self) -> int:
        """Open sockets of the process; files of logs come and go by rules of their own."""
        found = 0
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found += str(entry.readlink()).startswith("socket:")
        return found

    def settle(self) -> int:
        """Wait until no connection is left; the number of open sockets then."""
        pattern = re.compile(rf"^\s*\d+: \S+:{self.port:04X} \S+ (?:01|08) ", re.MULTILINE)
        return wait_for(
            lambda: not pattern.search(Path("/proc/net/tcp").read_text()), self.descriptors
        )

    def resident(self, field: str = "VmRSS") -> int:
        """Resident bytes now, or the most since `forget_peak` with VmHWM."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
        assert match is not None
        return int(match.group(1)) * 1024

    def forget_peak(self) -> None:
        """Let VmHWM start anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def new_log(self) -> list[str]:
        """Lines that the node logged since the last call."""
        text = self.log_path.read_text(errors="replace")
        fresh, self._log_read = text[self._log_read :], len(text)
        return fresh.splitlines()

    def honest(self) -> None:
        """A client that does nothing wrong is served: it writes an event and reads it back."""
        with self.connect() as client:
            client.socket.settimeout(5.0)
            produced = produce(client, "honest", bytes(build_batch([(b"k", b"v", now_ms(), ())])))
            assert produced.error_code == 0, produced
            fetch = FetchRequest(
                max_wait_ms=0,
                min_bytes=0,
                max_bytes=MEBIBYTE,
                topics=[
                    FetchTopic(
                        "honest",
                        partitions=[
                            FetchPartition(
                                0, fetch_offset=produced.base_offset, partition_max_bytes=MEBIBYTE
                            )
                        ],
                    )
                ],
            )
            client.send(request(fetch, NAMED_VERSION))
            answer = client.receive()
            assert answer is not None
            assert struct.pack(">q", produced.base_offset) in answer

    @contextmanager
    def attack(self, *, lines: int | None = None, growth: int = GROWTH_MAX) -> Iterator[None]:
        """What is done inside leaves no trace: memory, descriptors, log, other clients.

        `lines` is the number of connections that the node may close with a log line.
        """
        self.new_log()
        sockets = self.settle()
        self.forget_peak()
        before = self.resident()
        yield
        self.honest()
        grown = self.resident("VmHWM") - before
        assert grown <= growth, f"memory grew by {grown / MEBIBYTE:.1f} MiB"
        left = self.settle()
        assert left <= sockets, f"{left - sockets} sockets stay open"
        logged = self.new_log()
        bad = [line for line in logged if "Traceback" in line or "bug of ours" in line]
        assert not bad, "\n".join(logged[-40:])
        if lines is not None:
            assert len(logged) <= lines, "\n".join(logged[:40])


def wait_for(ready: Callable[[], bool], result: Callable[[], int]) -> int:
    """Poll until `ready`, at most WAIT_SECONDS."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not ready():
        assert time.monotonic() < deadline, "the connections of closed clients stay open"
        time.sleep(0.002)
    return result()


def in_use(port: int) -> bool:
    """Whether something is bound to a port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def produce(
    client: Client, topic: str, records: bytes, *, version: int = NAMED_VERSION, acks: int = -1
) -> PartitionProduceResponse:
    """Produce bytes as the records of partition 0, and what is said of them."""
    message = ProduceRequest(
        acks=acks,
        timeout_ms=10_000,
        topic_data=[TopicProduceData(topic, partition_data=[PartitionProduceData(0, records)])],
    )
    answer = client.ask(message, version)
    assert isinstance(answer, ProduceResponse)
    return answer.responses[0].partition_responses[0]
