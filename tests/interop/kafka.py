"""Real processes for tests, benchmarks and the demo: a node of ours, a node of Apache Kafka, Java.

Both nodes have one face (`Node`), so that the same test runs against either.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

REPOSITORY = Path(__file__).resolve().parents[2]
JAVA_CLASSES = REPOSITORY / ".cache" / "java-classes"
HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 20.0
PORTS = (12_000, 32_000)
CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
# ApiVersions v0, correlation id 1, client id "probe": every broker answers it.
PROBE = struct.pack(">ihhih5s", 15, 18, 0, 1, 5, b"probe")


class ToolError(RuntimeError):
    """A process did not start, did not answer, or ended with an error; the text has its output."""


def kafka_home() -> Path:
    """The directory with libs/*.jar of Apache Kafka: KAFKA_HOME, or what `make interop` fetched."""
    named = os.environ.get("KAFKA_HOME")
    home = Path(named) if named else REPOSITORY / ".cache" / "kafka-4.3.1"
    if not (home / "libs").is_dir():
        raise ToolError(f"no Apache Kafka in {home} (libs/*.jar); `make interop` fetches it")
    return home


def java_command(
    main_class: str, *arguments: str, options: tuple[str, ...] = (), log_level: str = "warn"
) -> list[str]:
    """The command line that runs a class of Kafka's jars or of tests/interop/java."""
    java = shutil.which("java")
    if java is None:
        raise ToolError("no java on the PATH")
    return [
        java,
        "-XX:+UseSerialGC",
        "-Xshare:auto",
        f"-Dorg.slf4j.simpleLogger.defaultLogLevel={log_level}",
        *options,
        "-cp",
        f"{JAVA_CLASSES}:{kafka_home() / 'libs'}/*",
        main_class,
        *arguments,
    ]


def java_tool(
    main_class: str,
    *arguments: str,
    stdin: str | None = None,
    check: bool = True,
    timeout: float = 120.0,
) -> subprocess.CompletedProcess[str]:
    """Run a Java main class to its end.

    Raises `ToolError` with both outputs when it fails and `check` is set, or takes longer than
    `timeout` seconds.
    """
    command = java_command(main_class, *arguments, options=("-Xmx256m", "-XX:TieredStopAtLevel=1"))
    return run(command, stdin=stdin, check=check, timeout=timeout, name=main_class)


def run(
    command: list[str],
    *,
    stdin: str | None = None,
    check: bool = True,
    timeout: float = 120.0,
    name: str = "",
    directory: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run any command to its end, with text in and out; errors as in `java_tool`."""
    name = name or Path(command[0]).name
    try:
        done = subprocess.run(
            command,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=directory,
        )
    except subprocess.TimeoutExpired as late:
        raise ToolError(f"{name} took longer than {timeout} s: {late.output!r}") from late
    if check and done.returncode != 0:
        raise ToolError(f"{name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def free_port() -> int:
    """A TCP port of the loopback interface that was free a moment ago, and so was the next one,
    where a node of ours puts its controller. Below the range that outgoing connections use."""
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind((HOST, port))
            other.bind((HOST, port + 1))
            return port


def answers(port: int, timeout: float = 5.0) -> bool:
    """Whether a broker answers ApiVersions on a port of the loopback interface."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout) as connection:
            connection.sendall(PROBE)
            head = b""
            while len(head) < 8:
                part = connection.recv(8 - len(head))
                if not part:
                    return False
                head += part
            return head[4:] == b"\0\0\0\1"
    except OSError:
        return False


class Node(ABC):
    """One broker process on the loopback interface, with its directory; a context manager."""

    name = "node"

    def __init__(self, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.log_path = directory / f"{self.name}.log"
        self.settings = dict(settings or {})
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """The command that starts the process on `self.port`."""

    def prepare(self) -> None:
        """What a start needs: the directory, a port; a subclass adds its own."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.port == 0:
            self.port = free_port()

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the running node."""
        if self.process is None:
            raise ToolError(f"{self.name} does not run")
        return self.process.pid

    def launch(self) -> None:
        """Start the process without waiting for its first answer."""
        self.prepare()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def start(self) -> None:
        """Start the process and wait until it answers; `ToolError` with its log when it does not."""
        self.launch()
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.port):
            if self.process is not None and self.process.poll() is not None:
                raise ToolError(f"{self.name} ended while starting:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise ToolError(f"{self.name} does not answer:\n{self.log_tail()}")
            time.sleep(0.005)

    def stop(self) -> int:
        """SIGTERM, wait, and return the exit code; kills and raises when it does not end."""
        process, self.process = self.process, None
        if process is None:
            return 0
        process.terminate()
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as late:
            process.kill()
            process.wait()
            raise ToolError(f"{self.name} ignored SIGTERM:\n{self.log_tail()}") from late

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is said."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def log_text(self) -> str:
        """What the process printed so far, over all its starts."""
        with contextlib.suppress(FileNotFoundError):
            return self.log_path.read_text(errors="replace")
        return ""

    def log_tail(self, lines: int = 40) -> str:
        """The end of what the process printed."""
        return "\n".join(self.log_text().splitlines()[-lines:])

    def resident_bytes(self) -> int:
        """Resident memory of the process and its children, now."""
        return sum(_resident(pid) for pid in _family(self.pid))

    def cpu_seconds(self) -> float:
        """User and system time of the process and its children so far."""
        return sum(_cpu(pid) for pid in _family(self.pid))

    def __enter__(self) -> Node:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()


def _family(pid: int) -> Iterator[int]:
    """A process and all its descendants (Linux)."""
    yield pid
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            yield from _family(int(child))


def _resident(pid: int) -> int:
    match = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(match.group(1)) * 1024 if match else 0


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks: int = os.sysconf("SC_CLK_TCK")
    return (int(fields[11]) + int(fields[12])) / ticks


class BarnabasProcess(Node):
    """`barnabas start` with the interpreter that runs this test."""

    name = "barnabas"

    def command(self) -> list[str]:
        """`barnabas start` on the chosen port, with the settings as overrides."""
        program = Path(sys.executable).with_name("barnabas")
        overrides = [
            part
            for name, value in self.settings.items()
            for part in ("--override", f"{name}={value}")
        ]
        where = ["--data", str(self.data), "--host", HOST, "--port", str(self.port)]
        return [str(program), "start", *where, *overrides]


class KafkaProcess(Node):
    """A real single-node Apache Kafka: broker and controller in one process."""

    name = "kafka"
    heap = "-Xmx1G"

    def __init__(self, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(directory, settings)
        self.controller_port = 0

    @property
    def properties_path(self) -> Path:
        """The server.properties of the node."""
        return self.directory / "server.properties"

    def prepare(self) -> None:
        """Write server.properties and format the directory, unless it is formatted."""
        super().prepare()
        if self.controller_port == 0:
            self.controller_port = free_port()
        self._write_properties()
        if not (self.data / "meta.properties").exists():
            self._format()

    def _format(self) -> None:
        java_tool(
            "kafka.tools.StorageTool",
            "format",
            "--cluster-id",
            CLUSTER_ID,
            "--config",
            str(self.properties_path),
            "--standalone",
        )

    def _write_properties(self) -> None:
        properties = {
            "process.roles": "broker,controller",
            "node.id": self._node_id(),
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "controller.listener.names": "CONTROLLER",
            **self._quorum(),
            "log.dirs": str(self.data),
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            **self.settings,
        }
        lines = (f"{name}={value}\n" for name, value in properties.items())
        self.properties_path.write_text("".join(lines))

    def _quorum(self) -> dict[str, str]:
        """Where the controllers are; a directory formatted with static voters (version 0 of its
        quorum-state) needs them named."""
        address = f"{HOST}:{self.controller_port}"
        state = self.data / "__cluster_metadata-0" / "quorum-state"
        if state.exists() and json.loads(state.read_text())["data_version"] == 0:
            return {"controller.quorum.voters": f"{self._node_id()}@{address}"}
        return {"controller.quorum.bootstrap.servers": address}

    def _node_id(self) -> str:
        """The id that the directory was formatted for; 1 for a new one."""
        meta = self.data / "meta.properties"
        named = re.search(r"^node\.id=(\d+)$", meta.read_text(), re.M) if meta.exists() else None
        return named.group(1) if named else "1"

    def command(self) -> list[str]:
        """Kafka's main class with the JVM options of Kafka's own start script."""
        options = (
            self.heap,
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
            "-XX:InitiatingHeapOccupancyPercent=35",
            "-XX:+ExplicitGCInvokesConcurrent",
            "-Djava.awt.headless=true",
            "-Dorg.slf4j.simpleLogger.log.org.apache.kafka=warn",
        )
        command = java_command("kafka.Kafka", str(self.properties_path), options=options)
        command.remove("-XX:+UseSerialGC")
        return command


def target_class() -> type[Node]:
    """Which node the tests look at: ours, or with BARNABAS_INTEROP_TARGET=kafka the real one."""
    named = os.environ.get("BARNABAS_INTEROP_TARGET", "barnabas")
    return {"barnabas": BarnabasProcess, "kafka": KafkaProcess}[named]
