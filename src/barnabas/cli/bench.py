"""The work of `barnabas bench`: runs of a producer and a consumer, and what they measured."""

from __future__ import annotations

from typing import Final, NamedTuple

from barnabas.cli.exits import Exit, Failure
from barnabas.cli.progress import ProgressBar
from barnabas.client.batches import Batch
from barnabas.client.cluster import Cluster
from barnabas.client.config import ProducerConfig
from barnabas.client.fetch_core import TopicPartition
from barnabas.client.fetcher import Fetcher
from barnabas.client.offsets import EARLIEST, LATEST, list_offsets
from barnabas.client.sender import Sender
from barnabas.instruments import Times, quantile_ns
from barnabas.ports import Random

_POOL_BYTES: Final = 1 << 20
_POLL_MS: Final = 500
_WAIT_MS: Final = 30_000
#: Records that are sent in one turn of the loop.
_TURN: Final = 64
#: A paced producer looks at the clock so often.
_PACE_MS: Final = 5
QUANTILES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999))


class Result(NamedTuple):
    """What a run measured; times in nanoseconds, sizes of values and keys."""

    records: int
    failed: int
    nbytes: int
    took_ns: int
    latency: Times | None
    longest_ns: int = 0

    def plain(self) -> dict[str, float]:
        """Figures for people and programs."""
        seconds = max(self.took_ns, 1) / 1e9
        found: dict[str, float] = {
            "records": self.records,
            "failed": self.failed,
            "seconds": round(seconds, 3),
            "records_per_second": round(self.records / seconds, 1),
            "megabytes_per_second": round(self.nbytes / seconds / 1e6, 3),
        }
        times = self.latency
        if times is not None and times.count:
            found["latency_ms_mean"] = round(times.total_ns / times.count / 1e6, 3)
            for name, share in QUANTILES:
                at_most = min(quantile_ns(times.counts, share), self.longest_ns)
                found[f"latency_ms_{name}"] = round(at_most / 1e6, 3)
            found["latency_ms_max"] = round(self.longest_ns / 1e6, 3)
        return found


class Values:
    """Values of letters, as Kafka's own tool sends them: slices of a pool that is made once."""

    def __init__(self, size: int, chance: Random) -> None:
        letters = bytes(65 + number % 26 for number in range(256))
        self._pool = chance.bytes(max(_POOL_BYTES, 2 * size)).translate(letters)
        self._size = size
        self._at = 0

    def next(self) -> bytes:
        """The next value."""
        self._at = (self._at + 4099) % (len(self._pool) - self._size + 1)
        return self._pool[self._at : self._at + self._size]


class Production:
    """Sends `records` values of `size` bytes, `rate` of them a second at most (0: no bound)."""

    def __init__(
        self, topic: str, records: int, size: int, rate: int, config: ProducerConfig
    ) -> None:
        self._topic = topic
        self._records = records
        self._size = size
        self._rate = rate
        self._config = config
        self._times = Times()
        self._longest = 0
        self._sent: dict[Batch, list[int]] = {}
        self._delivered = self._failed = 0
        self._error: Exception | None = None

    async def run(self, cluster: Cluster) -> Result:
        """Send everything and wait for the acknowledgements. Raises what the first failure was when
        nothing was delivered."""
        now_ns = self._now_ns = cluster.ports.clock.monotonic_ns
        async with Sender(cluster, self._config) as producer:
            producer.on_batch = self._settled
            await producer.prepare(self._topic)
            began = now_ns()
            with ProgressBar(
                f"to {self._topic}",
                self._records,
                cluster.ports.clock,
                as_bytes=False,
                hidden=False,
            ) as self._bar:
                await self._send(cluster, producer, began)
                await producer.flush()
            took = now_ns() - began
        if self._error is not None and not self._delivered:
            raise self._error
        nbytes = self._delivered * self._size
        return Result(self._delivered, self._failed, nbytes, took, self._times, self._longest)

    async def _send(self, cluster: Cluster, producer: Sender, began: int) -> None:
        values = Values(self._size, cluster.ports.random)
        now_ns, sent = self._now_ns, self._sent
        for number in range(self._records):
            if number % _TURN == 0:
                await cluster.ports.clock.sleep(0)  # let answers in
            if self._rate:
                while number > (now_ns() - began) * self._rate // 1_000_000_000:
                    await cluster.ports.clock.sleep(_PACE_MS)
            value = values.next()
            stamp = now_ns()
            while (delivery := producer.try_send(self._topic, value)) is None:
                await producer.room()
            batch = delivery.batch
            if batch in sent:
                sent[batch].append(stamp)
            elif batch.done:
                self._note(batch, [stamp])
            else:
                sent[batch] = [stamp]

    def _settled(self, batch: Batch) -> None:
        stamps = self._sent.pop(batch, None)
        if stamps is not None:
            self._note(batch, stamps)

    def _note(self, batch: Batch, stamps: list[int]) -> None:
        if batch.error is not None:
            self._failed += len(stamps)
            self._error = self._error or batch.error
            return
        now = self._now_ns()
        self._delivered += len(stamps)
        self._longest = max(self._longest, now - stamps[0])
        for stamp in stamps:
            self._times.add(now - stamp)
        self._bar.advance(len(stamps))


async def consume(cluster: Cluster, topic: str, limit: int | None) -> Result:
    """Read a topic from its beginning to where it ends now, `limit` records at most."""
    clock = cluster.ports.clock
    state = await cluster.topic(topic)
    names: list[TopicPartition] = [(topic, index) for index in sorted(state.partitions)]
    ends = {
        n: at.offset
        for n, at in (await list_offsets(cluster, dict.fromkeys(names, LATEST))).items()
    }
    found = await list_offsets(cluster, dict.fromkeys(names, EARLIEST))
    starts = {name: at.offset for name, at in found.items() if at.offset < ends[name]}
    total = sum(ends[name] - start for name, start in starts.items())
    records = nbytes = 0
    began = clock.monotonic_ns()
    async with Fetcher(cluster) as fetcher:
        await fetcher.assign(starts)
        with ProgressBar(f"from {topic}", total, clock, as_bytes=False, hidden=False) as bar:
            while fetcher.positions() and (limit is None or records < limit):
                batch = await fetcher.poll(_POLL_MS)
                if batch is not None:
                    records += len(batch.records)
                    nbytes += sum(len(r.key or b"") + len(r.value or b"") for r in batch.records)
                    bar.advance(len(batch.records))
                for name, position in fetcher.positions().items():
                    if position >= ends[name]:
                        fetcher.drop(*name)
        took = clock.monotonic_ns() - began
    return Result(records, 0, nbytes, took, None)


async def round_trips(cluster: Cluster, topic: str, records: int, size: int) -> Result:
    """Send a record, wait until a consumer has it, send the next. Raises `Failure`."""
    clock = cluster.ports.clock
    values, times, longest = Values(size, cluster.ports.random), Times(), 0
    await cluster.topic(topic, create=True)
    # On one connection a record would wait behind the consumer's long poll.
    addresses = [(node.host, node.port) for node in cluster.metadata.nodes.values()]
    async with (
        Cluster(cluster.ports, addresses, cluster.config) as other,
        Sender(other, ProducerConfig(linger_ms=0)) as producer,
    ):
        await producer.prepare(topic)
        name = (topic, 0)
        end = (await list_offsets(cluster, {name: LATEST}))[name].offset
        began = clock.monotonic_ns()
        async with Fetcher(cluster) as fetcher:
            await fetcher.assign({name: end})
            with ProgressBar(
                f"through {topic}", records, clock, as_bytes=False, hidden=False
            ) as bar:
                for _ in range(records):
                    value = values.next()
                    sent = clock.monotonic_ns()
                    await producer.send(topic, value, partition=0)
                    batch = await fetcher.poll(_WAIT_MS)
                    if batch is None or batch.records[-1].value != value:
                        raise Failure(
                            f"{topic}-0 gave something else than what was sent.",
                            Exit.FAILED,
                            "Use a topic to which nobody else writes.",
                        )
                    took = clock.monotonic_ns() - sent
                    times.add(took)
                    longest = max(longest, took)
                    bar.advance(1)
        spent = clock.monotonic_ns() - began
    return Result(records, 0, records * size, spent, times, longest)
