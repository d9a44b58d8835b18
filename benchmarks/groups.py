"""Groups at work: rebalances, heartbeats and commits, transactions, and the load of very many offsets."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from confluent_kafka import Producer
from confluent_kafka.admin import ResourceType

from barnabas.wire.apis import API
from barnabas.wire.codec import decode
from barnabas.wire.errors import ErrorCode
from barnabas.wire.headers import request_frame
from barnabas.wire.message import Message
from barnabas.wire.messages.find_coordinator_request import FindCoordinatorRequest
from barnabas.wire.messages.find_coordinator_response import FindCoordinatorResponse
from barnabas.wire.messages.heartbeat_request import HeartbeatRequest
from barnabas.wire.messages.join_group_request import JoinGroupRequest, JoinGroupRequestProtocol
from barnabas.wire.messages.join_group_response import JoinGroupResponse
from barnabas.wire.messages.leave_group_request import LeaveGroupRequest, MemberIdentity
from barnabas.wire.messages.offset_commit_request import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from barnabas.wire.messages.offset_fetch_request import OffsetFetchRequest, OffsetFetchRequestTopic
from barnabas.wire.messages.offset_fetch_response import OffsetFetchResponse
from barnabas.wire.messages.sync_group_request import SyncGroupRequest, SyncGroupRequestAssignment
from barnabas.wire.messages.sync_group_response import SyncGroupResponse
from benchmarks import loaders
from benchmarks.frames import CLIENT_ID
from benchmarks.targets import MODES, PAGE_CACHE, Target
from tests.interop.kafka import HOST, Node, ToolError

Response = TypeVar("Response", bound=Message)
JOIN, SYNC, HEARTBEAT, COMMIT, LEAVE, FIND, FETCH = 7, 5, 3, 7, 3, 3, 5
"""Versions. Those of heartbeats and commits have answers that end with their error code."""
SESSION_MS, REBALANCE_MS = 1_200_000, 60_000
INTERNAL = ("__consumer_offsets", "__transaction_state")
"""In the order of the kinds of coordinators."""
USUAL = {"flush.messages": str(2**63 - 1), "barnabas.ack.mode": "synced"}
TICKS = os.sysconf("SC_CLK_TCK")
COORDINATOR_RETRIES = 200
PACED_SECONDS = 6
WARM_UP = 10
"""Transactions before the clock runs."""


class Wire:
    """A blocking connection that speaks our own codec."""

    def __init__(self, node: Node) -> None:
        self._socket = socket.create_connection((HOST, node.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")

    def send(self, frame: bytes) -> None:
        """A whole request."""
        self._socket.sendall(frame)

    def receive(self, kind: type[Response], request: type[Message], version: int) -> Response:
        """The next answer."""
        (size,) = struct.unpack(">i", self._stream.read(4))
        body = memoryview(self._stream.read(size))
        start = 4 + API[request.API_KEY].response_header_version(version)
        return decode(kind, version, body, start)

    def ask(self, request: Message, kind: type[Response], version: int) -> Response:
        """A request and its answer."""
        self.send(frame_of(request, version))
        return self.receive(kind, type(request), version)

    def close(self) -> None:
        """Close."""
        self._socket.close()


def frame_of(request: Message, version: int) -> bytes:
    """A request as bytes."""
    return bytes(request_frame(request, version, 1, CLIENT_ID))


@contextlib.contextmanager
def coordinators(target: Target, mode: str) -> Iterator[None]:
    """The internal topics are there, and in this mode of acknowledgement."""
    wire = Wire(target.node)
    for kind, topic in enumerate(INTERNAL):
        find_coordinator(wire, "first", kind)
        for name, value in MODES[target.kind][mode].items():
            target.alter(ResourceType.TOPIC, topic, name, value)
    wire.close()
    yield
    for topic in INTERNAL:
        for name in MODES[target.kind][mode]:
            target.alter(ResourceType.TOPIC, topic, name, USUAL[name])


def find_coordinator(wire: Wire, key: str, kind: int = 0) -> None:
    """Until there is one: the internal topic is made on first use."""
    for _ in range(COORDINATOR_RETRIES):
        answer = wire.ask(FindCoordinatorRequest(key, kind), FindCoordinatorResponse, FIND)
        if answer.error_code == ErrorCode.NONE:
            return
        time.sleep(0.1)
    raise ToolError(f"no coordinator for {key}")


def join_request(group: str, member_id: str, data: bytes = b"") -> JoinGroupRequest:
    """JoinGroup of a consumer; `data` is its user data."""
    metadata = b"\0\0" + b"\0\0\0\1\0\1t" + struct.pack(">i", len(data)) + data
    protocols = [JoinGroupRequestProtocol("range", metadata)]
    return JoinGroupRequest(group, SESSION_MS, REBALANCE_MS, member_id, None, "consumer", protocols)


def new_member(wire: Wire, group: str) -> str:
    """An id for somebody who has none."""
    for _ in range(COORDINATOR_RETRIES):
        answer = wire.ask(join_request(group, ""), JoinGroupResponse, JOIN)
        if answer.error_code == ErrorCode.MEMBER_ID_REQUIRED:
            return answer.member_id
        time.sleep(0.1)
    raise ToolError(f"{group} gives out no ids: {answer.error_code}")


def cpu_seconds(node: Node) -> float:
    """Processor time that the node's process has used."""
    fields = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


# -- rebalances ----------------------------------------------------------------------------------


class Members:
    """Members of one group, each on a connection of its own, that all answer at once."""

    def __init__(self, node: Node, group: str, count: int, partitions: int) -> None:
        self.group = group
        self.wires = [Wire(node) for _ in range(count)]
        find_coordinator(self.wires[0], group)
        self.ids = [new_member(wire, group) for wire in self.wires]
        # Each time another metadata: who says nothing new is not asked to join again.
        self._joins = [
            [frame_of(join_request(group, each, data), JOIN) for each in self.ids]
            for data in (b"a", b"b")
        ]
        numbers = range(partitions)
        shares = [bytes(4 * len(numbers[at::count])) for at in range(count)]
        self._shares = [
            SyncGroupRequestAssignment(each, share)
            for each, share in zip(self.ids, shares, strict=True)
        ]

    def gather(self) -> None:
        """One member alone, then all: a group that is empty does not wait until all are there, one
        that lives waits for everybody that has an id. Raises `ToolError`."""
        wire, member = self.wires[0], self.ids[0]
        wire.send(self._joins[0][0])
        joined = wire.receive(JoinGroupResponse, JoinGroupRequest, JOIN)
        alone = SyncGroupRequest(
            self.group, joined.generation_id, member, None, "consumer", "range", self._shares[:1]
        )
        if wire.ask(alone, SyncGroupResponse, SYNC).error_code:
            raise ToolError(f"{self.group}: the first member got no share")
        self.rebalance()

    def rebalance(self) -> None:
        """Everybody joins and gets its share. Raises `ToolError`."""
        self._joins.reverse()
        for wire, frame in zip(self.wires, self._joins[0], strict=True):
            wire.send(frame)
        joined = [wire.receive(JoinGroupResponse, JoinGroupRequest, JOIN) for wire in self.wires]
        generation = joined[0].generation_id
        if any(each.error_code or each.generation_id != generation for each in joined):
            raise ToolError(f"{self.group}: not everybody is in one generation")
        for wire, each, answer in zip(self.wires, self.ids, joined, strict=True):
            shares = self._shares if answer.leader == each else []
            request = SyncGroupRequest(
                self.group, generation, each, None, "consumer", "range", shares
            )
            wire.send(frame_of(request, SYNC))
        for wire in self.wires:
            if wire.receive(SyncGroupResponse, SyncGroupRequest, SYNC).error_code:
                raise ToolError(f"{self.group}: a member got no share")

    def close(self) -> None:
        """Leave."""
        identities = [MemberIdentity(each) for each in self.ids]
        self.wires[0].send(frame_of(LeaveGroupRequest(self.group, members=identities), LEAVE))
        for wire in self.wires:
            wire.close()


_numbers = iter(range(1 << 30))


def rebalances(
    members: int, partitions: int, rounds: int, mode: str
) -> Callable[[Target], tuple[float, ...]]:
    """Wall time and the node's processor time of a rebalance, ms."""

    def measure(target: Target) -> tuple[float, ...]:
        with coordinators(target, mode):
            group = Members(target.node, f"rebalance-{next(_numbers)}", members, partitions)
            try:
                group.gather()
                cpu, began = cpu_seconds(target.node), time.monotonic()
                for _ in range(rounds):
                    group.rebalance()
                wall = time.monotonic() - began
                cpu = cpu_seconds(target.node) - cpu
            finally:
                group.close()
        return wall * 1000 / rounds, cpu * 1000 / rounds

    return measure


# -- heartbeats and commits ----------------------------------------------------------------------


def heartbeats_and_commits(
    groups: int, requests: int, mode: str, rounds: int
) -> Callable[[Target], tuple[float, ...]]:
    """Commits per second, one heartbeat beside each; p99 of produce → fetch beside that, ms, and its
    ratio to that of the quiet node; the same beside groups that live as real ones do: a heartbeat
    every 3 s, a commit every second."""

    def measure(target: Target) -> tuple[float, ...]:
        run = next(_numbers)
        topic = target.topic(1, mode)
        with coordinators(target, mode):
            wire = Wire(target.node)
            frames = []
            for number in range(groups):
                frames += _member_frames(wire, f"group-{run}-{number}", topic.name)
            wire.close()
            quiet = loaders.wire_latency(target.node, topic, rounds).p99_us / 1000
            load = loaders.wire_requests(target.node, frames, 20, 5, requests)
            node = target.node
            beside = _beside(
                target, mode, lambda: loaders.wire_requests(node, frames, 20, 1, requests), rounds
            )
            paced, rate = _as_in_life(frames), groups * 4 / 3
            calm = _beside(
                target,
                mode,
                lambda: loaders.wire_paced(node, paced, 200, rate, int(rate * PACED_SECONDS)),
                rounds,
            )
        target.drop(topic)
        return load.rate / 2, beside, beside / quiet, calm, calm / quiet

    return measure


def _member_frames(wire: Wire, group: str, topic: str) -> list[bytes]:
    """A group of one member: its heartbeat and its commit."""
    member = new_member(wire, group)
    joined = wire.ask(join_request(group, member), JoinGroupResponse, JOIN)
    share = [SyncGroupRequestAssignment(member, bytes(4))]
    generation = joined.generation_id
    request = SyncGroupRequest(group, generation, member, None, "consumer", "range", share)
    synced = wire.ask(request, SyncGroupResponse, SYNC)
    if joined.error_code or synced.error_code:
        raise ToolError(f"{group}: {joined.error_code}, {synced.error_code}")
    commit = OffsetCommitRequest(
        group,
        generation,
        member,
        topics=[OffsetCommitRequestTopic(topic, partitions=[OffsetCommitRequestPartition(0, 42)])],
    )
    heartbeat = HeartbeatRequest(group, generation, member)
    return [frame_of(heartbeat, HEARTBEAT), frame_of(commit, COMMIT)]


def _as_in_life(frames: list[bytes]) -> list[bytes]:
    """Three seconds of the members whose heartbeat and commit `frames` holds in turn: all commit in
    each, a third of them say that they live."""
    beats, commits = frames[::2], frames[1::2]
    paced = []
    for second in range(3):
        for number, commit in enumerate(commits):
            paced.append(commit)
            if number % 3 == second:
                paced.append(beats[number])
    return paced


def _beside(target: Target, mode: str, members: Callable[[], object], rounds: int) -> float:
    """p99 (ms) of produce → fetch on another topic while the members go on."""
    load = threading.Thread(target=members)
    other = target.topic(1, mode)
    load.start()
    seen = []
    while load.is_alive():
        seen.append(loaders.wire_latency(target.node, other, rounds).p99_us / 1000)
        target.drop(other)
        other = target.topic(1, mode)
    load.join()
    target.drop(other)
    return sorted(seen)[len(seen) // 2]


# -- transactions --------------------------------------------------------------------------------


def transactions(count: int, events: int, mode: str) -> Callable[[Target], tuple[float, ...]]:
    """Transactions of `events` events each that librdkafka commits in a second, one at a time."""

    def measure(target: Target) -> tuple[float, ...]:
        topic = target.topic(1, mode)
        with coordinators(target, mode):
            rate = _transact(target, topic.name, count, events)
        target.drop(topic)
        return (rate,)

    return measure


def _transact(target: Target, topic: str, count: int, events: int) -> float:
    producer = Producer(
        {
            "bootstrap.servers": target.node.address,
            "transactional.id": f"bench-{next(_numbers)}",
            "linger.ms": 0,
            "log_level": 0,
        }
    )
    producer.init_transactions(60)
    value = bytes(100)
    began = 0.0
    for number in range(count + WARM_UP):
        if number == WARM_UP:
            began = time.monotonic()
        producer.begin_transaction()
        for _ in range(events):
            producer.produce(topic, value)
        producer.commit_transaction(60)
    return count / (time.monotonic() - began)


# -- very many offsets ---------------------------------------------------------------------------


def load_offsets(target: Target, groups: int, partitions: int) -> tuple[float, float]:
    """Commit `groups` × `partitions` offsets, stop and start the node: seconds from its start until
    it has answered for every group, and bytes of resident memory for each offset."""
    empty = target.node.resident_bytes()
    topic = target.topic(partitions, PAGE_CACHE)
    names = [f"many-{number}" for number in range(groups)]
    with coordinators(target, PAGE_CACHE):
        frames = [frame_of(_many_offsets(each, topic.name, partitions), COMMIT) for each in names]
        loaders.wire_requests(target.node, frames, 1, 4, groups)
    target.node.stop()
    began = time.monotonic()
    target.node.start()
    wire = Wire(target.node)
    for each in names:
        _wait_for_offset(wire, each, topic.name, partitions - 1)
    taken = time.monotonic() - began
    wire.close()
    return taken, (target.node.resident_bytes() - empty) / (groups * partitions)


def _many_offsets(group: str, topic: str, partitions: int) -> OffsetCommitRequest:
    parts = [OffsetCommitRequestPartition(number, number) for number in range(partitions)]
    return OffsetCommitRequest(group, topics=[OffsetCommitRequestTopic(topic, partitions=parts)])


def _wait_for_offset(wire: Wire, group: str, topic: str, partition: int) -> None:
    """Until the node knows the offset, which is the partition's number. Raises `ToolError`."""
    request = OffsetFetchRequest(group, [OffsetFetchRequestTopic(topic, [partition])])
    for _ in range(COORDINATOR_RETRIES):
        answer = wire.ask(request, OffsetFetchResponse, FETCH)
        if answer.error_code == ErrorCode.NONE and (
            answer.topics[0].partitions[0].committed_offset == partition
        ):
            return
        time.sleep(0.1)
    raise ToolError(f"{group} has no offset")
