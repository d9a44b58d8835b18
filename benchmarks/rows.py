"""The rows of the table: what is sent to a node, and which figure counts."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import frames, loaders
from benchmarks.compaction import compact
from benchmarks.consumer_groups import consumer_rebalances
from benchmarks.frames import Topic
from benchmarks.groups import heartbeats_and_commits, rebalances, transactions
from benchmarks.targets import PAGE_CACHE, SYNCED, Target

SMALL = 100
LARGE = 1000
# 1-KB events per batch: just below max.message.bytes of 1,048,588.
LARGE_BATCH = 1000
# How many different requests the loader holds when the partition is drawn at random.
RANDOM_FRAMES = 5_000


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    title: str
    unit: str
    goal: float
    """Wanted ratio of ours to Kafka's: at least, or at most when smaller is better; 0 = only told."""
    smaller_is_better: bool = False


@dataclass(frozen=True)
class Row:
    """One measurement; it may give several figures."""

    name: str
    figures: tuple[Figure, ...]
    measure: Callable[[Target], tuple[float, ...]]
    floor: str = ""
    """The kind of floor to measure beside it, if any."""


def produce_events(
    events: int, size: int, partitions: int, mode: str
) -> Callable[[Target], tuple[float, ...]]:
    """librdkafka sends `events` values; events per second."""

    def measure(target: Target) -> tuple[float, ...]:
        topic = target.topic(partitions, mode)
        load = loaders.rdkafka_produce(target.node, topic, events, size)
        target.drop(topic)
        return (load.rate,)

    return measure


def produce_large_batches(requests: int, mode: str) -> Callable[[Target], tuple[float, ...]]:
    """The wire loader sends batches of nearly a megabyte; 10⁶ bytes per second."""

    def measure(target: Target) -> tuple[float, ...]:
        topic = target.topic(1, mode)
        frame = frames.produce_frame(topic, 0, LARGE_BATCH, LARGE)
        load = loaders.wire_produce(target.node, [frame], 1, 5, requests)
        target.drop(topic)
        return (load.megabytes,)

    return measure


def consume_events(events: int, size: int) -> Callable[[Target], tuple[float, ...]]:
    """librdkafka and the wire loader read what was written just before; events per second."""

    def measure(target: Target) -> tuple[float, ...]:
        topic = target.topic(1, PAGE_CACHE)
        loaders.rdkafka_produce(target.node, topic, events, size)
        by_client = loaders.rdkafka_consume(target.node, topic, events)
        by_wire = loaders.wire_consume(target.node, topic, events)
        target.drop(topic)
        return by_client.rate, by_wire.rate

    return measure


def single_events(
    requests: int, connections: int, partitions: int, mode: str
) -> Callable[[Target], tuple[float, ...]]:
    """Produce requests with one event each, five in flight on each connection; requests per second."""

    def measure(target: Target) -> tuple[float, ...]:
        topic = target.topic(partitions, mode)
        load = loaders.wire_produce(
            target.node, spread(topic, target.kind), connections, 5, requests
        )
        target.drop(topic)
        return (load.rate,)

    return measure


def spread(topic: Topic, seed: str) -> list[bytes]:
    """Requests for the partitions of a topic in random order, the same in each run."""
    each = [frames.produce_frame(topic, number, 1, SMALL) for number in range(topic.partitions)]
    if topic.partitions == 1:
        return each
    return random.Random(seed).choices(each, k=RANDOM_FRAMES)


def produce_to_fetch(rounds: int) -> Callable[[Target], tuple[float, ...]]:
    """From sending an event to its arrival at a fetch that waits; milliseconds, p50 and p99."""

    def measure(target: Target) -> tuple[float, ...]:
        topic = target.topic(1, PAGE_CACHE)
        load = loaders.wire_latency(target.node, topic, rounds)
        target.drop(topic)
        return load.p50_us / 1000, load.p99_us / 1000

    return measure


def amount(count: int, scale: float) -> int:
    """An amount of work, stretched, and never too small to be measured."""
    return max(100, int(count * scale))


def bulk(mode: str, scale: float) -> list[Row]:
    """Large batches, as a busy producer sends them."""
    events = "events/s"
    return [
        Row(
            f"{mode}: produce 100 B",
            (Figure("produce 100 B, 1 partition, acks=all, librdkafka", events, 1.0),),
            produce_events(amount(4_000_000, scale), SMALL, 1, mode),
        ),
        Row(
            f"{mode}: produce 1 KB",
            (Figure("produce 1 KB, 1 partition, librdkafka", events, 1.0),),
            produce_events(amount(500_000, scale), LARGE, 1, mode),
        ),
        Row(
            f"{mode}: produce 1 KB by wire",
            (Figure("produce 1 KB, batches of 1 MB, wire loader", "MB/s", 1.0),),
            produce_large_batches(amount(600, scale), mode),
        ),
        Row(
            f"{mode}: produce 12",
            (Figure("produce 100 B over 12 partitions, librdkafka", events, 1.0),),
            produce_events(amount(3_000_000, scale), SMALL, 12, mode),
        ),
    ]


def consume(label: str, size: int, events: int) -> Row:
    """What was written just before, read by both loaders."""
    return Row(
        f"{PAGE_CACHE}: consume {label}",
        (
            Figure(f"consume {label}, librdkafka", "events/s", 1.2),
            Figure(f"consume {label}, wire loader", "events/s", 1.2),
        ),
        consume_events(events, size),
    )


def single(mode: str, connections: int, partitions: int, goal: float, requests: int) -> Row:
    """Requests with one event each."""
    on = f"{partitions:,} partitions" if partitions > 1 else "1 partition"
    title = f"single-event requests, {connections} × 5 in flight, {on}"
    floor = "" if partitions > 1 else {PAGE_CACHE: "floor", SYNCED: "synced floor"}[mode]
    return Row(
        f"{mode}: single {connections}x5 on {partitions}",
        (Figure(title, "requests/s", goal),),
        single_events(requests, connections, partitions, mode),
        floor,
    )


def latency(rounds: int) -> Row:
    """From producer to a consumer that waits."""
    return Row(
        f"{PAGE_CACHE}: produce to fetch",
        (
            Figure("produce → long-polling fetch, p50", "ms", 0.7, smaller_is_better=True),
            Figure("produce → long-polling fetch, p99", "ms", 0.7, smaller_is_better=True),
        ),
        produce_to_fetch(rounds),
        "floor",
    )


def compaction(events: int) -> Row:
    """The log cleaner by itself, then beside a producer."""
    return Row(
        f"{PAGE_CACHE}: compaction",
        (
            Figure("compaction of keyed events of 100 B", "MB/s", 0.25),
            Figure("produce → fetch beside compaction, p99", "ms", 0.7, smaller_is_better=True),
            Figure("the same p99 ÷ that without compaction", "×", 0),
        ),
        compact(events, PAGE_CACHE),
    )


def rebalance(rounds: int) -> Row:
    """A large group whose members all answer at once."""
    what = "rebalance of 100 members over 1,000 partitions"
    return Row(
        f"{PAGE_CACHE}: rebalance",
        (
            Figure(f"{what}, time", "ms", 1.0, smaller_is_better=True),
            Figure(f"{what}, the node's CPU", "ms", 1.0, smaller_is_better=True),
        ),
        rebalances(100, 1_000, rounds, PAGE_CACHE),
    )


def consumer_rebalance(rounds: int) -> Row:
    """The same by the protocol of KIP-848, from an empty group on."""
    what = "KIP-848: 100 members share 1,000 partitions"
    return Row(
        f"{PAGE_CACHE}: consumer rebalance",
        (
            Figure(f"{what}, time", "ms", 1.0, smaller_is_better=True),
            Figure(f"{what}, the node's CPU", "ms", 1.0, smaller_is_better=True),
        ),
        consumer_rebalances(100, 1_000, rounds, PAGE_CACHE),
    )


def commits(mode: str, requests: int) -> Row:
    """Very many groups that live."""
    return Row(
        f"{mode}: commits",
        (
            Figure("commits of 1,000 groups, a heartbeat beside each", "commits/s", 1.0),
            Figure("produce → fetch beside these, p99", "ms", 1.0, smaller_is_better=True),
            Figure("the same p99 ÷ that of the quiet node", "× quiet", 0, smaller_is_better=True),
            Figure("beside a heartbeat each 3 s, a commit each second, p99", "ms", 0),
            Figure("that p99 ÷ that of the quiet node", "× quiet", 2.0, smaller_is_better=True),
        ),
        heartbeats_and_commits(1_000, requests, mode, 300),
    )


def transactional(mode: str, count: int) -> Row:
    """One producer, one transaction after another."""
    return Row(
        f"{mode}: transactions",
        (Figure("transactions of 100 events, one producer", "transactions/s", 1.0),),
        transactions(count, 100, mode),
    )


def rows(scale: float) -> list[Row]:
    """All rows; `scale` stretches the amounts of work."""
    return [
        *bulk(PAGE_CACHE, scale),
        *bulk(SYNCED, scale),
        consume("100 B", SMALL, amount(4_000_000, scale)),
        consume("1 KB", LARGE, amount(500_000, scale)),
        single(PAGE_CACHE, 1, 1, 3.0, amount(60_000, scale)),
        single(PAGE_CACHE, 20, 1, 1.3, amount(150_000, scale)),
        single(SYNCED, 1, 1, 3.0, amount(8_000, scale)),
        single(SYNCED, 20, 1, 8.0, amount(12_000, scale)),
        single(SYNCED, 20, 12, 8.0, amount(12_000, scale)),
        # Each partition many times: else the making of its files would be what is measured.
        single(SYNCED, 20, 1_000, 8.0, amount(60_000, scale)),
        latency(amount(1_500, scale)),
        compaction(amount(10_000_000, scale)),
        rebalance(amount(100, scale)),
        consumer_rebalance(max(3, int(10 * scale))),
        commits(PAGE_CACHE, amount(100_000, scale)),
        commits(SYNCED, amount(10_000, scale)),
        transactional(PAGE_CACHE, amount(1_000, scale)),
        transactional(SYNCED, amount(500, scale)),
    ]
