"""Apache Kafka's opinion on configs: of its classes, and of a running node by its Admin client."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from types import TracebackType
from typing import IO, Any, cast

from tests.interop.kafka import REPOSITORY, java_command, run

TOOLS = REPOSITORY / "tools" / "java"
Json = dict[str, Any]


def ask_jars(questions: Iterable[Json]) -> list[Json]:
    """The answers of Kafka's classes to `questions` (tools/java/ConfigDump.java)."""
    text = "".join(json.dumps(question) + "\n" for question in questions)
    command = java_command(str(TOOLS / "ConfigDump.java"), "ask", log_level="error")
    return [json.loads(line) for line in run(command, stdin=text).stdout.splitlines()]


class ConfigAdmin:
    """Kafka's Admin client on a running node (tools/java/ConfigAdmin.java)."""

    def __init__(self, address: str) -> None:
        command = java_command(str(TOOLS / "ConfigAdmin.java"), address, log_level="off")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, question: Json) -> Json:
        """One answer to one question."""
        stdin = cast("IO[str]", self._process.stdin)
        stdin.write(json.dumps(question) + "\n")
        stdin.flush()
        line = cast("IO[str]", self._process.stdout).readline()
        assert line, "the Admin client ended"
        return cast(Json, json.loads(line))

    def __enter__(self) -> ConfigAdmin:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._process:
            pass  # closes both pipes; the client ends with its input
