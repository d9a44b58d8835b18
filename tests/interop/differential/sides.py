"""One node of the two: it puts its own ids in place of symbols, and symbols in place of its ids."""

from __future__ import annotations

import re
from typing import Any

from barnabas.records.batch import APPEND_TIME_BIT, CONTROL_BIT, HEADER_SIZE
from barnabas.wire import codec
from barnabas.wire.apis import API, API_VERSIONS
from barnabas.wire.errors import ErrorCode, ProtocolError
from barnabas.wire.message import Message
from tests.hostile.target import Client, frame
from tests.interop.answers import BROKER
from tests.interop.differential.sent import (
    FIRST_PRODUCER,
    FIRST_SESSION,
    SYMBOL,
    Case,
    Raw,
    Tree,
    build,
    producer,
    topic_id,
)
from tests.interop.kafka import HOST, BarnabasProcess, KafkaProcess, Node

Plain = Any
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NO_ID = bytes(16)
JOINING = {11, 68}
DESCRIBE_QUORUM, INIT_PRODUCER_ID, WRITE_TXN_MARKERS = 55, 22, 27
SESSIONS = 10_000
ANSWER_SECONDS = 5.0

CLOSED = "the connection was closed"
SILENT = "no answer"
NOTHING = "nothing in time"
UNREADABLE = "an answer that is none"

TIMES = {
    *{"transaction_start_time_ms", "transaction_start_timestamp", "last_timestamp"},
    *{"log_append_time_ms", "last_caught_up_timestamp", "last_fetch_timestamp"},
}
NOW_MS = 1_750_000_000_000
"""Later than all timestamps that the cases name, earlier than the run."""

POSITIONS = {"finalized_features_epoch"}
QUORUM_POSITIONS = {"high_watermark", "log_end_offset"}
OF_THE_NODE = {"host", "port", "log_dir", "total_bytes", "usable_bytes", "cluster_id"}
NODE_CONFIGS = re.compile(
    r"^(listeners|advertised\.listeners|log\.dirs?|controller\.quorum\..*|metadata\.log\.dir"
    r"|controller\.listener\.names|node\.id|broker\.id)$"
)


class Side:
    """One node, its open connection, and what it calls what both have."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.ids: dict[bytes, bytes] = {}
        self.members: dict[str, str] = {}
        self.producers: list[int] = []
        #: Producer ids of transactional ids.
        self.transactional: dict[str, int] = {}
        self.sessions: list[int] = []
        self._free = POSITIONS
        self._literal = False
        self._clients: dict[str, Client] = {}

    def port(self, listener: str) -> int:
        """Where a listener is."""
        if listener == BROKER:
            return self.node.port
        assert isinstance(self.node, KafkaProcess | BarnabasProcess)
        if isinstance(self.node, KafkaProcess):
            return self.node.controller_port
        return self.node.port + 1

    def connect(self, listener: str = BROKER) -> Client:
        """A connection of its own."""
        client = Client((HOST, self.port(listener)))
        client.socket.settimeout(ANSWER_SECONDS)
        return client

    def frame(self, case: Case, correlation: int = 1) -> bytes:
        """The bytes of a request."""
        raw = Raw()
        message = self._own(build(API[case.key].request, case.tree))
        known = API[case.key].request.VERSIONS
        raw.message(message, min(max(case.version, known[0]), known[1]))
        body = bytes(raw.out[: len(raw.out) - case.cut]) + case.more
        return frame(case.key, case.version, body, correlation=correlation, client=b"both")

    def ask(self, case: Case) -> Plain:
        """The answer as dicts and lists, or what came instead of one."""
        client = self._clients.get(case.listener)
        if client is None:
            client = self._clients[case.listener] = self.connect(case.listener)
        try:
            answers = client.outcome(self.frame(case))
        except TimeoutError:
            answers = [b""]
        if answers is None or answers == [b""]:
            client.close()
            del self._clients[case.listener]
            return CLOSED if answers is None else NOTHING
        return self.read(case, answers[0]) if answers else SILENT

    def read(self, case: Case, answer: bytes | None) -> Plain:
        """An answer with symbols for what is this node's own."""
        if answer is None:
            return CLOSED
        api = API[case.key]
        version = case.version
        if case.key == API_VERSIONS and not api.accepts(version):
            version = 0
        start = 4 + api.response_header_version(version)
        try:
            message = codec.decode(api.response, version, memoryview(answer), start, exact=True)
        except ProtocolError:
            return UNREADABLE
        self._learn(case, message)
        self._literal = case.key == WRITE_TXN_MARKERS
        self._free = POSITIONS | QUORUM_POSITIONS if case.key == DESCRIBE_QUORUM else POSITIONS
        return self._plain(message, "", version)

    def learn_topics(self, pairs: list[tuple[str, bytes]]) -> None:
        """Remember the ids of topics."""
        for name, own in pairs:
            if own != NO_ID and len(name.encode()) <= 11:
                self.ids[topic_id(name)] = own

    def send(self, case: Case) -> Client:
        """A request that may wait, on a connection of its own."""
        client = self.connect()
        client.send(self.frame(case))
        return client

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    # -- symbols -----------------------------------------------------------------------------------

    def _own(self, message: Message) -> Message:
        for field in message.FIELDS:
            value = getattr(message, field.name)
            if isinstance(value, list):
                own: Any = [self._own_value(field.name, item) for item in value]
            else:
                own = self._own_value(field.name, value)
            setattr(message, field.name, own)
        return message

    def _own_value(self, name: str, value: Any) -> Any:
        if isinstance(value, Message):
            return self._own(value)
        if isinstance(value, str) and not name.endswith("producer_id"):
            return self.members.get(value, value)
        if isinstance(value, bytes) and value.startswith(SYMBOL):
            return self.ids.get(value, value)
        if name.endswith("producer_id") and isinstance(value, str):
            return self.transactional.get(value, 0)
        if name == "producer_id" and value >= FIRST_PRODUCER:
            number = value - FIRST_PRODUCER
            return self.producers[number] if number < len(self.producers) else value
        if name == "session_id" and FIRST_SESSION <= value < FIRST_SESSION + SESSIONS:
            number = value - FIRST_SESSION
            return self.sessions[number] if number < len(self.sessions) else 1
        return value

    def _learn(self, case: Case, message: Message) -> None:
        if case.key in (3, 19):
            topics: list[Any] = getattr(message, "topics")  # noqa: B009
            self.learn_topics([(t.name or "", t.topic_id) for t in topics])
        if case.key == INIT_PRODUCER_ID and getattr(message, "producer_id") >= 0:  # noqa: B009
            own = getattr(message, "producer_id")  # noqa: B009
            self.transactional[f"<{case.tree.get('transactional_id')}>"] = own
        if case.key in JOINING and getattr(message, "member_id"):  # noqa: B009
            self.members[f"<{case.tree['group_id']}>"] = getattr(message, "member_id")  # noqa: B009

    def _plain(self, value: Any, name: str, version: int) -> Plain:
        if isinstance(value, Message):
            found = {
                f.name: self._plain(getattr(value, f.name), f.name, version) for f in value.FIELDS
            }
            return _of_the_node(found)
        if isinstance(value, list):
            return sorted((self._plain(item, name, version) for item in value), key=repr)
        if name.endswith("error_message"):
            return "a text" if value else value
        if isinstance(value, bytes | memoryview) and len(value) == 16 and name.endswith("_id"):
            return self._symbol(bytes(value))
        if isinstance(value, memoryview):
            value = bytes(value)
        if name == "records":
            return _without_append_times(value)
        if isinstance(value, str):
            for symbol, own in self.members.items():
                value = value.replace(own, symbol) if own else value
            value = UUID.sub("uuid", value)
        return self._normal(name, value)

    def _symbol(self, value: bytes) -> str:
        if value == NO_ID:
            return "no id"
        for symbol, own in self.ids.items():
            if own == value:
                return f"id of {symbol[len(SYMBOL) :].rstrip(NO_ID[:1]).decode()}"
        return "an id"

    def _normal(self, name: str, value: Any) -> Plain:
        if name in OF_THE_NODE and value not in (None, "", -1, 0):
            return name
        if name in TIMES and value > 0:
            return "a time"
        if name == "timestamp" and value > NOW_MS:
            return "now"
        if name in self._free and value > 0:
            return "a position"
        if name == "session_id" and value > 0:
            if value not in self.sessions:
                self.sessions.append(value)
            return f"session {self.sessions.index(value)}"
        if name.endswith("producer_id") and isinstance(value, str):
            return self.transactional.get(value, 0)
        if name == "producer_id" and 0 <= value < FIRST_PRODUCER and not self._literal:
            if value not in self.producers:
                self.producers.append(value)
            return producer(self.producers.index(value))
        return value


def _without_append_times(records: bytes | None) -> bytes | None:
    """Batches without the times that are the broker's, markers without their producer, either
    without the checksum over that."""
    data = bytearray(records or b"")
    at = 0
    while at + HEADER_SIZE <= len(data):
        control = data[at + 22] & CONTROL_BIT
        if control or data[at + 22] & APPEND_TIME_BIT:
            data[at + 17 : at + 21] = bytes(4)
            data[at + 35 : at + 43] = bytes(8)
        if control:
            data[at + 27 : at + 35] = bytes(8)
            data[at + 43 : at + 53] = bytes(10)
        at += 12 + int.from_bytes(data[at + 8 : at + 12], "big")
    return records if records is None else bytes(data)


def _of_the_node(found: dict[str, Plain]) -> dict[str, Plain]:
    """A config or an alike entry whose value has the node's address or directory in it."""
    if "value" in found and NODE_CONFIGS.match(str(found.get("name", ""))):
        found["value"] = "of the node"
    if str(found.get("name", "")).startswith("__"):
        # How many records of a coordinator share a batch is a matter of moments.
        for partition in found.get("partitions", ()):
            if isinstance(partition, dict) and partition.get("partition_size"):
                partition["partition_size"] = "some bytes"
    return found


def error_codes(answer: Plain) -> list[int]:
    """All error codes of an answer."""
    if isinstance(answer, list):
        return [code for item in answer for code in error_codes(item)]
    if not isinstance(answer, dict):
        return []
    found: list[int] = []
    for name, value in answer.items():
        found += [value] if name.endswith("error_code") else error_codes(value)
    return found


def names(codes: list[int]) -> list[str]:
    """Error codes by their names."""
    return [ErrorCode(code).name if code in set(ErrorCode) else str(code) for code in codes]


__all__ = ["CLOSED", "SILENT", "UNREADABLE", "Side", "Tree", "error_codes", "names"]
