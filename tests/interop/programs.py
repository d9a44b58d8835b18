"""Other people's clients as programs with one command line (see tests/interop/clients/stops.py)."""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any, NamedTuple, Protocol

from tests.interop.conftest import absent
from tests.interop.kafka import JAVA_CLASSES, REPOSITORY, java_command, run

CACHE = REPOSITORY / ".cache"
PYTHON = CACHE / "python-clients"
GO = CACHE / "go-clients"
NODE_JS = REPOSITORY / "tests" / "interop" / "node"
RECORDS = ("cluster", "topics", "configs", "acks", "idempotent", "large", "offsets", "deleted")
STOPS = (*RECORDS, "directories", "operated")
QUICK_JVM = ("-Xmx96m", "-XX:TieredStopAtLevel=1")


class Addressed(Protocol):
    """What programs are told of a node."""

    @property
    def address(self) -> str:
        """`host:port`."""


class Program(NamedTuple):
    """How a client is started, and what it can do."""

    name: str
    language: str
    reads: bool = True
    stops: tuple[str, ...] = STOPS

    def command(self) -> list[str]:
        """The start of the command line; skips or fails when the client is not installed."""
        if self.language == "python":
            if not (PYTHON / ".made").exists():
                absent("the clients for Python")
            module = self.name.replace("-", "_")
            return [str(PYTHON / "bin" / "python"), "-m", f"tests.interop.clients.{module}_client"]
        if self.language == "ours":
            module = self.name.replace("-", "_")
            return [sys.executable, "-m", f"tests.interop.clients.{module}_client"]
        if self.language == "java":
            if shutil.which("java") is None or not (JAVA_CLASSES / ".made").exists():
                absent("Java and the compiled helpers")
            return java_command("GroupMember", options=QUICK_JVM)
        if self.language == "go":
            if not GO.exists():
                absent("the clients for Go")
            return [str(GO), self.name]
        if shutil.which("node") is None or not (NODE_JS / "node_modules" / ".made").exists():
            absent("the clients for Node.js")
        return ["node", str(NODE_JS / f"{self.name}.js")]

    def tour(self, node: Addressed, stops: tuple[str, ...]) -> list[str]:
        """What the program prints on its way through the node."""
        return self._run("tour", node, *stops).splitlines()

    def write(self, node: Addressed, topics: list[dict[str, Any]]) -> None:
        """Produce topics with their codecs and records."""
        self._run("write", node, stdin=json.dumps(topics))

    def read(self, node: Addressed, topics: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
        """Read so many records of each topic."""
        asked = [{"topic": topic, "count": count} for topic, count in topics.items()]
        found: dict[str, list[dict[str, Any]]] = json.loads(
            self._run("read", node, stdin=json.dumps(asked))
        )
        return found

    def member(self, node: Addressed, settings: dict[str, Any]) -> list[str]:
        """The command of a member of a group (see tests/interop/clients/member.py)."""
        return [*self.command(), "member", node.address, json.dumps(settings)]

    def loop(self, node: Addressed, settings: dict[str, Any]) -> list[str]:
        """The command of a read-process-write loop (see tests/interop/clients/confluent_loop.py)."""
        return [*self.command(), "loop", node.address, json.dumps(settings)]

    def _run(self, verb: str, node: Addressed, *stops: str, stdin: str | None = None) -> str:
        command = [*self.command(), verb, node.address, *stops]
        return run(command, stdin=stdin, name=f"{self.name} {verb}", directory=REPOSITORY).stdout


PROGRAMS = (
    Program("aiokafka", "python", stops=RECORDS),
    Program("kafka-python", "python"),
    Program("franz-go", "go"),
    Program("sarama", "go"),
    Program("kafkajs", "node", reads=False, stops=(*RECORDS, "operated")),
    Program("platformatic", "node", reads=False),
)

CONFLUENT = Program("confluent", "ours")
JAVA = Program("java", "java")
"""Those whose tours are tests of their own (test_librdkafka.py, test_java_client.py)."""
OURS = (Program("barnabas", "ours"), Program("barnabas-sync", "ours"))
NAMED = {program.name: program for program in (*PROGRAMS, *OURS, CONFLUENT, JAVA)}
