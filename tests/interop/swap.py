"""One data directory that Apache Kafka and our node open in turn, with one server.properties."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.interop.kafka import CLUSTER_ID, HOST, BarnabasProcess, KafkaProcess, Node, java_tool

SETTINGS = {
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.num.partitions": "3",
    "group.initial.rebalance.delay.ms": "0",
    "log.cleaner.backoff.ms": "100",
    "log.initial.task.delay.ms": "100",
    "log.flush.start.offset.checkpoint.interval.ms": "500",
    "log.segment.delete.delay.ms": "4000",
}
DYNAMIC = "dynamic"
STATIC = "static"


class SwapKafka(KafkaProcess):
    """A real node; `quorum` says how its voters are known: from records, or from the file."""

    heap = "-Xmx512m"
    quorum = DYNAMIC
    formats = True

    def _write_properties(self) -> None:
        super()._write_properties()
        if self.quorum == STATIC:
            text = self.properties_path.read_text()
            kept = [line for line in text.splitlines() if "bootstrap.servers" not in line]
            voter = f"controller.quorum.voters={self._node_id()}@{HOST}:{self.controller_port}"
            self.properties_path.write_text("\n".join([*kept, voter, ""]))

    def _format(self) -> None:
        if not self.formats:
            return
        standalone = () if self.quorum == STATIC else ("--standalone",)
        java_tool(
            "kafka.tools.StorageTool",
            "format", "--cluster-id", CLUSTER_ID, "--config", str(self.properties_path),
            *standalone,
        )  # fmt: skip

    def command(self) -> list[str]:
        """Kafka's command, with what it says about its logs."""
        command = super().command()
        at = command.index("-cp")
        told = [
            f"-Dorg.slf4j.simpleLogger.log.{name}=info"
            for name in ("org.apache.kafka.storage", "kafka.log", "org.apache.kafka.raft")
        ]
        return [*command[:at], *told, *command[at:]]


class Intruder(SwapKafka):
    """A controller that must not get the directory of a running node.

    A controller only: one that is a broker, too, appends to the metadata log before it looks at
    the lock, and so would spoil what it is not to touch (seen with 4.3.1, between two Kafkas too).
    """

    name = "intruder"
    formats = False

    @property
    def properties_path(self) -> Path:
        """A file of its own."""
        return self.directory / "controller.properties"

    def _write_properties(self) -> None:
        super()._write_properties()
        kept = [
            line
            for line in self.properties_path.read_text().splitlines()
            if not line.startswith(("process.roles=", "listeners=", "advertised.listeners="))
        ]
        own = f"listeners=CONTROLLER://{HOST}:{self.controller_port}"
        self.properties_path.write_text("\n".join([*kept, "process.roles=controller", own, ""]))


class SwapBarnabas(BarnabasProcess):
    """Our node, started with the server.properties that Kafka had."""

    def command(self) -> list[str]:
        """`barnabas start --config`; everything else is in the file."""
        program = Path(sys.executable).with_name("barnabas")
        return [str(program), "start", "--config", str(self.directory / "server.properties")]


class Swap:
    """The directory, and which nodes may have it."""

    def __init__(
        self,
        path: Path,
        quorum: str,
        settings: dict[str, str],
        *,
        formatted: bool = True,
        directories: int = 1,
    ) -> None:
        self.path = path
        self.data = path / "data"
        self.kafka = SwapKafka(path, {**SETTINGS, **settings})
        if directories > 1:
            paths = [self.data, *(path / f"data-{n}" for n in range(2, directories + 1))]
            self.kafka.settings["log.dirs"] = ",".join(map(str, paths))
        self.kafka.quorum = quorum
        self.kafka.formats = formatted
        self.kafka.prepare()
        self.ours = SwapBarnabas(path)
        self.ours.port = self.kafka.port

    def end(self, node: Node, *, clean: bool) -> None:
        """Stop a node, by SIGTERM or by SIGKILL."""
        if clean:
            assert node.stop() in (0, 143), node.log_tail()
        else:
            node.kill()
