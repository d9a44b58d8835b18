"""`Broker`: a real node for tests, in a thread of its own; any client in any language can use it.

    with Broker() as broker:
        producer = SomeClient(bootstrap_servers=broker.bootstrap_servers)

It is the node that production runs, on a free port of the loopback interface, with its data in
memory (or in a directory), and without the wait before a group's first rebalance.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from barnabas.config.broker import BrokerConfig, default_properties
from barnabas.host import HostPorts, new_event_loop, open_ports
from barnabas.host.executor import HostExecutor
from barnabas.ports import Bench, Disk, WorkerLost
from barnabas.server.node import Node
from barnabas.testing.memory_disk import MemoryDisk

T = TypeVar("T")

DATA = "/data"
HOST = "127.0.0.1"
QUICK: Mapping[str, str] = {"group.initial.rebalance.delay.ms": "0"}
"""What a test does not want to wait for."""


class Broker:
    """One node. Use it as a context manager, plain or async, or call `start` and `stop`.

    `config`: Kafka's broker configs, over the defaults of a test (`QUICK`). `directory`: where the
    data goes; without it, into memory, so that it is gone with the object. `port`: 0 takes any free
    one. Methods may be called from any thread but the node's own.
    """

    def __init__(
        self,
        config: Mapping[str, str] | None = None,
        *,
        directory: str | Path | None = None,
        port: int = 0,
    ) -> None:
        self._overrides = dict(config or {})
        self._directory = None if directory is None else str(Path(directory).absolute())
        self._disk = None if directory is not None else _fresh_disk()
        self._port = port
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._node: Node | None = None

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> Broker:
        """Start the node and return when it can be used. Raises what `Node.start` raises."""
        if self._thread is not None:
            raise RuntimeError("this broker runs already")
        ready: list[BaseException | None] = []
        told = threading.Event()

        def done(error: BaseException | None) -> None:
            ready.append(error)
            told.set()

        self._thread = threading.Thread(
            target=self._live, args=(done,), name="barnabas-broker", daemon=True
        )
        self._thread.start()
        told.wait()
        error = ready[0]
        if error is not None:
            self._thread.join()
            self._thread = None
            raise error
        # The next life keeps the port: clients that are still there find it again.
        self._port = self.port
        return self

    def stop(self) -> None:
        """Stop the node cleanly; harmless when it does not run."""
        thread, self._thread = self._thread, None
        loop, node = self._loop, self._node
        if thread is None or loop is None or node is None:
            return
        asyncio.run_coroutine_threadsafe(node.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()

    def restart(self) -> None:
        """Stop, and start again on the same data and the same port."""
        self.stop()
        self.start()

    def __enter__(self) -> Broker:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Broker:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)

    # -- use -------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return self._running().address[1]

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`, as every client wants it."""
        return f"{HOST}:{self.port}"

    @property
    def cluster_id(self) -> str:
        """The id of the cluster; it stays over restarts."""
        return self._running().cluster_id

    def create_topic(
        self, name: str, partitions: int = 1, *, configs: Mapping[str, str] | None = None
    ) -> None:
        """Create a topic. Raises `KafkaError`, TOPIC_ALREADY_EXISTS among others."""
        from barnabas.testing.topics import create_topic

        self._call(lambda node: create_topic(node, name, partitions, dict(configs or {})))

    def delete_topic(self, name: str) -> None:
        """Delete a topic. Raises `KafkaError`, UNKNOWN_TOPIC_OR_PARTITION among others."""
        from barnabas.testing.topics import delete_topic

        self._call(lambda node: delete_topic(node, name))

    def _running(self) -> Node:
        if self._thread is None or self._node is None:
            raise RuntimeError("this broker does not run: use it in a with statement, or start it")
        return self._node

    def _call(self, work: Callable[[Node], Coroutine[Any, Any, T]]) -> T:
        node, loop = self._running(), self._loop
        assert loop is not None
        return asyncio.run_coroutine_threadsafe(work(node), loop).result()

    # -- the node's thread -----------------------------------------------------------------------

    def _live(self, done: Callable[[BaseException | None], None]) -> None:
        loop = self._loop = new_event_loop()
        asyncio.set_event_loop(loop)
        ports = self._open_ports(loop)
        node = self._node = Node(self._config(), ports)
        try:
            loop.run_until_complete(node.start())
        except BaseException as error:
            with contextlib.suppress(Exception):  # what failed first is what is told
                loop.run_until_complete(node.stop())
            done(error)
        else:
            done(None)
            loop.run_forever()
        finally:
            ports.close()
            loop.close()

    def _config(self) -> BrokerConfig:
        data = self._directory or DATA
        properties = default_properties(data, host=HOST, port=self._port, controller_port=0)
        return BrokerConfig.from_properties({**properties, **QUICK, **self._overrides})

    def _open_ports(self, loop: asyncio.AbstractEventLoop) -> _NodePorts:
        host = open_ports(loop)
        if self._disk is None:
            return _NodePorts(host, host.executor, host.disk)
        host.executor.close()
        return _NodePorts(host, _Inline(loop, self._disk), self._disk)


def _fresh_disk() -> MemoryDisk:
    disk = MemoryDisk()
    disk.make_dirs(DATA)
    return disk


class _NodePorts:
    """The machine's ports, with the disk of the broker."""

    def __init__(self, host: HostPorts, executor: HostExecutor, disk: Disk) -> None:
        self._host = host
        self.clock = host.clock
        self.random = host.random
        self.network = host.network
        self.machine = host.machine
        self.executor = executor
        self.disk = disk

    def close(self) -> None:
        """End the threads."""
        self.executor.close()
        self._host.close()


class _MemoryBench(NamedTuple):
    """What a streamed job (compaction) works with: the broker's own disk, at any speed."""

    disk: Disk

    def moved(self, nbytes: int) -> None:
        """Nobody waits for it."""


class _Inline(HostExecutor):
    """Runs streamed jobs in a thread: another process could not see a disk in memory."""

    __slots__ = ("_bench", "_told")

    def __init__(self, loop: asyncio.AbstractEventLoop, disk: Disk) -> None:
        super().__init__(loop, 2)
        self._bench = _MemoryBench(disk)
        self._told = loop.call_soon_threadsafe

    def stream(
        self,
        job: Callable[[Bench], Iterator[T]],
        item: Callable[[T], None],
        done: Callable[[BaseException | None], None],
        *,
        bytes_per_second: float,
    ) -> Callable[[], None]:
        """See `ports.Executor.stream`."""
        del bytes_per_second
        cancelled = threading.Event()

        def work() -> None:
            ended: BaseException | None = None
            try:
                for each in job(self._bench):
                    if cancelled.is_set():
                        raise WorkerLost("cancelled")
                    self._told(item, each)
            except BaseException as error:
                ended = error
            # By the way that the items went, so that the end comes last.
            self._told(done, ended)

        self.submit(work, lambda _, __: None)
        return cancelled.set
