"""Metrics of the coordinators: groups by kind and state, offsets, loads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from barnabas.server.metrics.exposition import counter, gauge, head

if TYPE_CHECKING:
    from barnabas.groups.counters import GroupCounters
    from barnabas.server.coordinators.groups import GroupCoordinator
    from barnabas.server.coordinators.registry import Coordinators
    from barnabas.server.coordinators.runtime import CoordinatorRuntime

CLASSIC, CONSUMER = "classic", "consumer"
CLASSIC_STATES: Final = ("PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty")
CONSUMER_STATES: Final = ("Empty", "Assigning", "Reconciling", "Stable", "Dead")
#: Loads of so many ms count for the average and the maximum, as with Kafka.
LOADS_MS: Final = 30_000
GROUPS_AT_ONCE: Final = 100

_COUNTERS: Final = (
    ("offset_commit_count", "offset_commits", "Offsets committed."),
    ("offset_expiration_count", "offset_expirations", "Offsets that expired."),
    ("offset_deletion_count", "offset_deletions", "Offsets deleted by administrators."),
    (
        "group_completed_rebalance_count",
        "completed_rebalances",
        "Rebalances of classic groups that ended with an assignment.",
    ),
    ("consumer_group_rebalance_count", "consumer_rebalances", "New epochs of consumer groups."),
)


def coordinators(found: Coordinators, now_ms: int) -> Iterator[str]:
    """All coordinators that have been used; `now_ms` is monotonic."""
    for name, runtime in found.runtimes():
        yield from _runtime(f"kafka_server_{name}_coordinator_metrics", runtime, now_ms)
    if found.used_groups is not None:
        yield from _groups(found.used_groups)


def _runtime(name: str, runtime: CoordinatorRuntime[Any], now_ms: int) -> Iterator[str]:
    yield head(f"{name}_num_partitions", "gauge", "Partitions of the internal topic, by state.")
    loading = runtime.partitions_loading()
    yield f'{name}_num_partitions{{state="loading"}} {loading}\n'
    yield f'{name}_num_partitions{{state="active"}} {len(runtime.shards)}\n'
    recent = [took for at, took in runtime.loads if now_ms - at <= LOADS_MS]
    about = "Time to load a partition, ms, over 30 s"
    average = sum(recent) / len(recent) if recent else float("nan")
    most = max(recent, default=float("nan"))
    yield gauge(f"{name}_partition_load_time_avg", f"{about}: average.", average)
    yield gauge(f"{name}_partition_load_time_max", f"{about}: maximum.", most)
    yield gauge(f"{name}_event_queue_size", "Requests that wait for a load.", runtime.waiting())


def _groups(found: GroupCoordinator) -> Iterator[str]:
    states: Counter[tuple[str, str]] = Counter()
    offsets = 0
    for shard in found.runtime.shards:
        offsets += len(shard.state.offsets)
        for at, group in enumerate(list(shard.state.groups.values())):
            states[group.kind, group.state.value] += 1
            if at % GROUPS_AT_ONCE == 0:
                yield ""
    name = "kafka_coordinator_group_groupmetadatamanager"
    yield gauge(f"{name}_numoffsets", "Committed offsets.", offsets)
    yield gauge(f"{name}_numgroups", "Classic groups.", _of(states, CLASSIC))
    for state in CLASSIC_STATES:
        about = f"Classic groups in state {state}."
        yield gauge(f"{name}_numgroups{state.lower()}", about, states[CLASSIC, state])
    name = "kafka_server_group_coordinator_metrics"
    yield head(f"{name}_group_count", "gauge", "Groups, by protocol.")
    for kind in (CLASSIC, CONSUMER):
        yield f'{name}_group_count{{protocol="{kind}"}} {_of(states, kind)}\n'
    yield head(f"{name}_consumer_group_count", "gauge", "Consumer groups, by state.")
    for state in CONSUMER_STATES:
        count = states[CONSUMER, state]
        yield f'{name}_consumer_group_count{{state="{state.lower()}"}} {count}\n'
    yield from _counters(name, found.counters, _COUNTERS)


def _of(states: Counter[tuple[str, str]], wanted: str) -> int:
    return sum(count for (kind, _), count in states.items() if kind == wanted)


def _counters(
    name: str, counters: GroupCounters, families: Iterable[tuple[str, str, str]]
) -> Iterator[str]:
    for suffix, field, about in families:
        yield counter(f"{name}_{suffix}", about, getattr(counters, field))
