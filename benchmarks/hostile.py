"""What clients that mean harm do to others: p99 of produce → long-polling fetch beside each attack.

`python -m benchmarks.hostile` measures a node of ours (with `--kafka` a real Kafka, too): for each
attack the p99 of a quiet node, then the one beside the attack, in alternating looks. Three minutes
for each node; the attackers are a process of their own and take a core of the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import multiprocessing.synchronize
import random
import resource
import socket
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cramjam

from barnabas.records.batch import HEADER, write_crc
from barnabas.records.builder import build_batch
from barnabas.records.compression import XERIAL_MAGIC, Codec, compress
from barnabas.server.limits import REQUEST_ELEMENTS
from barnabas.wire.apis import API
from barnabas.wire.codec import encode
from barnabas.wire.layout import Where, place
from barnabas.wire.primitives import write_uvarint
from benchmarks import frames, loaders
from benchmarks.frames import Topic
from benchmarks.targets import PAGE_CACHE, Target, open_node
from tests.interop.kafka import HOST, ToolError, answers

Address = tuple[str, int]
Attack = Callable[[Address, Topic], None]

HALF_FRAMES, PROMISED = 300, 90_000_000
SLOW, IDLE, DEAF, STORMS, FLOODERS = 1_000, 5_000, 60, 2, 4
INFLATED = 64 << 20
ROUNDS = 400
FILES = 8_000
PROBE = struct.pack(">ihhih", 10, 18, 0, 7, -1)
READY_SECONDS = 60.0
FLEXIBLE_TAGS = 64
"""The most that a message may have."""


# -- attacks: each goes on until its process is killed -------------------------------------------


def half_frames(address: Address, topic: Topic) -> None:
    """Requests that promise 90 MB and stop."""
    del topic
    start = struct.pack(">ihhih", PROMISED, 0, 9, 1, -1) + bytes(4_000)
    _hold([_open(address, start) for _ in range(HALF_FRAMES)])


def one_byte_a_second(address: Address, topic: Topic) -> None:
    """A thousand clients that need a quarter of an hour for one request."""
    del topic
    whole = struct.pack(">ihhih", 1_000, 3, 9, 1, -1) + bytes(990)
    clients = []
    for _ in range(SLOW):
        clients.append(_open(address, PROBE))
        clients[-1].recv(1 << 10)
    for at in range(len(whole)):
        began = time.monotonic()
        for client in clients:
            client.send(whole[at : at + 1])
        if at == 0:
            ready.set()
        time.sleep(max(0.0, 1 - (time.monotonic() - began)))


def idle_connections(address: Address, topic: Topic) -> None:
    """Five thousand, each of which has asked something once."""
    del topic
    clients = []
    for _ in range(IDLE):
        clients.append(_open(address, PROBE))
        clients[-1].recv(1 << 10)  # one after the other: the queue of the listener is short
    _hold(clients)


def never_reading(address: Address, topic: Topic) -> None:
    """Clients that ask for megabytes over and over and read nothing; who is closed comes again."""
    ask = frames.fetch_frame(topic)
    clients = []
    for _ in range(DEAF):
        client = _open(address)
        client.setblocking(False)
        clients.append(client)
    while True:
        for at, client in enumerate(clients):
            try:
                client.send(ask)
            except BlockingIOError:
                continue
            except OSError:
                clients[at] = _open(address)
                clients[at].setblocking(False)
        ready.set()
        time.sleep(0.05)


def connection_storm(address: Address, topic: Topic) -> None:
    """Connections that ask something and go."""
    del topic
    ready.set()
    while True:
        with contextlib.suppress(OSError), _open(address, PROBE):
            pass


def element_floods(address: Address, topic: Topic) -> None:
    """For each API a request whose largest array is as long as we take, and one that is longer."""
    del topic
    _flood(
        address, [each for key, api in API.items() if api.on_broker for each in element_frames(key)]
    )


def tag_floods(address: Address, topic: Topic) -> None:
    """For each API a request with very many tagged fields, some that are still allowed."""
    del topic
    sent = []
    for key, api in API.items():
        if api.on_broker and api.max_version >= api.flexible:
            body = encode(api.request(), api.max_version)[:-1]
            sent += [_frame(key, body + _tags(count)) for count in (FLEXIBLE_TAGS, 100_000)]
    _flood(address, sent)


def compression_bombs(address: Address, topic: Topic) -> None:
    """Batches of few bytes that become 64 MB, in the four codecs."""
    zeros = bytes(INFLATED)
    block = bytes(cramjam.snappy.compress_raw(bytes(1 << 20)))
    snappy = XERIAL_MAGIC + bytes(8) + (struct.pack(">i", len(block)) + block) * (INFLATED >> 20)
    packed = [
        (Codec.GZIP, compress(Codec.GZIP, zeros)),
        (Codec.SNAPPY, snappy),
        (Codec.LZ4, compress(Codec.LZ4, zeros)),
        (Codec.ZSTD, compress(Codec.ZSTD, zeros)),
    ]
    _flood(address, [frames.produce_request(topic, 0, _bomb(*each)) for each in packed])


ATTACKS: dict[str, Attack] = {
    "300 half frames of 90 MB": half_frames,
    "1,000 clients, one byte a second": one_byte_a_second,
    "5,000 idle connections": idle_connections,
    "60 clients that never read": never_reading,
    "a storm of connections": connection_storm,
    "floods of array elements, every API": element_floods,
    "floods of tagged fields, every API": tag_floods,
    "compression bombs, four codecs": compression_bombs,
}

ready: multiprocessing.synchronize.Event
"""Set by an attack that has begun; of its process alone."""


def _bomb(codec: Codec, payload: bytes) -> bytes:
    """A batch of one record whose records are this."""
    batch = bytearray(build_batch([(None, b"v", frames.TIMESTAMP, ())])[: HEADER.size])
    batch += payload
    struct.pack_into(">i", batch, 8, len(batch) - 12)
    struct.pack_into(">h", batch, 21, int(codec))
    write_crc(batch, 0, len(batch))
    return bytes(batch)


def _tags(count: int) -> bytes:
    out = bytearray()
    write_uvarint(out, count)
    for tag in range(1_000, 1_000 + count):
        write_uvarint(out, tag)
        out.append(0)
    return bytes(out)


def element_frames(key: int) -> list[bytes]:
    """The longest arrays of one API's request, at the limit and above it."""
    api = API[key]
    version = api.max_version
    found = []
    for placed in place(api.request, version):
        if placed.where is Where.PLAIN and placed.field.kind == "array":
            for count in (REQUEST_ELEMENTS - 10, 2 * REQUEST_ELEMENTS):
                message = api.request()
                element = (
                    placed.field.struct() if placed.field.struct else _scalar(placed.field.element)
                )
                setattr(message, placed.field.name, [element] * count)
                with contextlib.suppress(ValueError, TypeError):
                    found.append(_frame(key, encode(message, version)))
    return found


def _scalar(kind: str | None) -> str | bytes | int:
    if kind == "string":
        return "t"
    if kind in ("bytes", "uuid"):
        return bytes(16)
    return 1


def _frame(key: int, body: bytes) -> bytes:
    api = API[key]
    head = struct.pack(">hhih", key, api.max_version, 1, -1)
    if api.max_version >= api.flexible:
        head += b"\0"
    return struct.pack(">i", len(head) + len(body)) + head + body


def _open(address: Address, first: bytes = b"") -> socket.socket:
    client = socket.create_connection(address, timeout=30)
    client.sendall(first)
    return client


def _hold(clients: list[socket.socket]) -> None:
    ready.set()
    while clients:
        time.sleep(1)


def _flood(address: Address, sent: list[bytes]) -> None:
    """A few connections that send one request after another, at once when the last is answered."""
    order = random.Random(1)
    clients: list[socket.socket | None] = [None] * FLOODERS
    while True:
        for at in range(FLOODERS):
            try:
                client = clients[at] or _open(address)
                clients[at] = client
                client.settimeout(2)
                client.sendall(order.choice(sent))
                if not client.recv(1 << 20):
                    clients[at] = None
            except TimeoutError:
                continue  # it waits; the next request queues up behind
            except OSError:
                clients[at] = None
        ready.set()


def _attacker(
    name: str, address: Address, topic: Topic, started: multiprocessing.synchronize.Event
) -> None:
    global ready
    ready = started
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))
    ATTACKS[name](address, topic)


# -- what others see -----------------------------------------------------------------------------


@contextlib.contextmanager
def attacked(name: str, target: Target, topic: Topic) -> Iterator[None]:
    """While it goes on. Raises `ToolError` when it does not begin."""
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    address = (HOST, target.node.port)
    process = context.Process(target=_attacker, args=(name, address, topic, started), daemon=True)
    process.start()
    try:
        if not started.wait(READY_SECONDS):
            raise ToolError(f"{name} does not begin")
        yield
    finally:
        process.kill()
        process.join()


def p99(target: Target) -> float:
    """Produce → long-polling fetch of a client that does nothing wrong every 2 ms, ms."""
    topic = target.topic(1, PAGE_CACHE)
    try:
        return loaders.wire_latency(target.node, topic, ROUNDS).paced_p99_us / 1000
    finally:
        target.drop(topic)


def measure(name: str, target: Target, looks: int) -> tuple[float, float]:
    """p99 of the quiet node and beside the attack: medians of so many looks, ms."""
    topic = target.topic(1, PAGE_CACHE)
    loaders.wire_produce(target.node, [frames.produce_frame(topic, 0, 900, 1_000)], 1, 5, 40)
    quiet, beside = [], []
    for _ in range(looks):
        quiet.append(p99(target))
        with attacked(name, target, topic):
            beside.append(p99(target))
    target.drop(topic)
    return statistics.median(quiet), statistics.median(beside)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--looks", type=int, default=3, help="looks per attack (default 3)")
    parser.add_argument("--only", default="", help="only attacks whose name has this text")
    parser.add_argument("--kafka", action="store_true", help="a real Kafka, too")
    options = parser.parse_args()
    loaders.build()
    for name in ATTACKS:
        if options.only not in name:
            continue
        for kind in ["barnabas", *(["kafka"] if options.kafka else [])]:
            with tempfile.TemporaryDirectory(prefix="barnabas-hostile-") as folder:
                target = open_node(kind, Path(folder))
                try:
                    quiet, beside = measure(name, target, options.looks)
                    text = f"{quiet:8.3f} ms {beside:10.3f} ms {beside / quiet:8.2f} ×"
                except Exception as failure:  # a node that no longer answers is a result, too
                    text = "" if answers(target.node.port) else "it answers nobody any more; "
                    text += " ".join(f"{failure}".split())
                finally:
                    target.node.kill()
            print(f"{kind:>9}  {name:<40} {text}", flush=True)


if __name__ == "__main__":
    main()
