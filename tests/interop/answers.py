"""The same requests to a real Apache Kafka and to a node of ours, and their answers side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from barnabas.wire.message import Message
from tests.hostile.target import Client
from tests.interop.kafka import HOST, BarnabasProcess, KafkaProcess, Node

Plain = Any
Normal = Callable[[str, Plain], Plain]
"""What to make of the value of a field, by its name, before it is compared."""

BROKER = "broker"
CONTROLLER = "controller"


def plain(value: Any, normal: Normal, name: str = "") -> Plain:
    """A message as dicts and lists, each field as `normal` has it.

    The texts of error messages are ours; that there is one, that it is empty or null is Kafka's.
    """
    if isinstance(value, Message):
        return {f.name: plain(getattr(value, f.name), normal, f.name) for f in value.FIELDS}
    if isinstance(value, list):
        items = [plain(item, normal) for item in value]
        return normal(name, items)
    if name == "error_message":
        return "a text" if value else value
    return normal(name, value)


def as_is(_name: str, value: Plain) -> Plain:
    """Compare what is there."""
    return value


class Side:
    """One node and its open connections."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._clients: dict[int, Client] = {}

    def port(self, listener: str) -> int:
        """Where a listener is."""
        if listener == BROKER:
            return self.node.port
        if isinstance(self.node, KafkaProcess):
            return self.node.controller_port
        return self.node.port + 1

    def ask(
        self, message: Message, version: int, listener: str = BROKER, client: str = "tests"
    ) -> Message:
        """One request, in one version, from a client that calls itself so."""
        port = self.port(listener)
        if port not in self._clients:
            self._clients[port] = Client((HOST, port))
        return self._clients[port].ask(message, version, client=client.encode())

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()


class Sides:
    """Both nodes."""

    def __init__(self, kafka: Node, ours: Node) -> None:
        self.kafka = Side(kafka)
        self.ours = Side(ours)

    def compare(
        self,
        message: Message,
        version: int,
        listener: str = BROKER,
        normal: Normal = as_is,
    ) -> Plain:
        """Ask both; the answers must be equal. Returns the answer."""
        theirs = plain(self.kafka.ask(message, version, listener), normal)
        ours = plain(self.ours.ask(message, version, listener), normal)
        what = f"{message.NAME} v{version} on the {listener} listener: {plain(message, as_is)}"
        assert ours == theirs, what
        return ours

    def __enter__(self) -> Sides:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.kafka.close()
        self.ours.close()


@contextmanager
def both(
    directory: Path,
    settings: Mapping[str, str] | None = None,
    *,
    kafka: type[KafkaProcess] = KafkaProcess,
) -> Iterator[Sides]:
    """Both nodes running, with the same settings."""
    theirs = kafka(directory / "kafka", settings)
    ours = BarnabasProcess(directory / "ours", settings)
    with theirs, ours, Sides(theirs, ours) as sides:
        yield sides
