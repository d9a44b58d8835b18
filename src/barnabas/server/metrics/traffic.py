"""Metrics of topics, requests and connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from barnabas.server.broker import Broker
from barnabas.server.listener import ListenerContext
from barnabas.server.loop_watch import LoopWatch
from barnabas.server.metrics.exposition import MS, gauge, head, summary, text
from barnabas.server.request_times import ApiTimes, RequestRecorder
from barnabas.server.topic_counters import TopicCounters, TopicTable
from barnabas.wire.apis import API

PRODUCE, FETCH, JOIN_GROUP = 0, 1, 11

_TOPIC_FAMILIES: Final = (
    ("messagesin", "events_in", "Events produced."),
    ("bytesin", "bytes_in", "Bytes of batches produced."),
    ("bytesout", "bytes_out", "Bytes of batches fetched."),
    ("bytesrejected", "bytes_rejected", "Bytes of batches that were too large."),
    ("totalproducerequests", "produces", "Partitions written to by Produce."),
    ("failedproducerequests", "failed_produces", "Partitions where Produce failed."),
    ("totalfetchrequests", "fetches", "Partitions looked at by Fetch."),
    ("failedfetchrequests", "failed_fetches", "Partitions where Fetch failed."),
)
_PHASES: Final = (
    ("totaltimems", "total", "Time of a request, from arrival to the answer at the kernel."),
    ("requestqueuetimems", "queue", "Behind an earlier request of the connection."),
    ("localtimems", "local", "In the handler, on the loop."),
    ("remotetimems", "remote", "Waiting for the disk, for data, for other work."),
    ("responsequeuetimems", "held", "Waiting for the answers before it."),
    ("responsesendtimems", "sending", "Until the answers of that turn were sent."),
)


def topics(table: TopicTable) -> Iterator[str]:
    """Per topic, and without a label the sum of all that ever were."""
    found = table.items()
    total = TopicCounters()
    total.add(table.gone)
    for _, counters in found:
        total.add(counters)
        yield ""
    for suffix, field, about in _TOPIC_FAMILIES:
        name = f"kafka_server_brokertopicmetrics_{suffix}_total"
        yield head(name, "counter", about)
        yield f"{name} {getattr(total, field)}\n"
        for topic, counters in found:
            yield f'{name}{{topic="{topic}"}} {getattr(counters, field)}\n'


def requests(
    recorder: RequestRecorder, listeners: Sequence[ListenerContext], now_ms: int
) -> Iterator[str]:
    """Per API: how many of each version, and the phases of their time."""
    versions: Counter[tuple[int, int]] = Counter()
    for listener in listeners:
        for api_version, entry in listener.table.items():
            if entry.count:
                versions[api_version] += entry.count
    name = "kafka_network_requestmetrics_requests_total"
    yield head(name, "counter", "Requests answered.")
    for (key, version), count in sorted(versions.items()):
        yield f'{name}{{request="{API[key].name}",version="{version}"}} {count}\n'
    used = [times for _, times in sorted(recorder.apis.items()) if times.total.count]
    for suffix, phase, about in _PHASES:
        name = f"kafka_network_requestmetrics_{suffix}"
        yield head(name, "summary", about)
        for times in used:
            yield from _phase(name, phase, times, now_ms)


def _phase(name: str, phase: str, times: ApiTimes, now_ms: int) -> Iterator[str]:
    # Every Fetch is a consumer's as long as there are no followers; Kafka counts it under both names.
    labels = ("Fetch", "FetchConsumer") if times.name == "Fetch" else (times.name,)
    for label in labels:
        of = None if phase == "total" else times.total
        yield summary(name, f'request="{label}",', getattr(times, phase), now_ms, MS, of=of)


def connections(
    broker: Broker, listeners: Sequence[ListenerContext], watch: LoopWatch
) -> Iterator[str]:
    """Sockets, what waits in them, and how busy the loop is that serves them all."""
    sockets = "kafka_server_socket_server_metrics"
    for suffix, kind, about in (
        ("connection_count", "gauge", "Open connections."),
        ("connection_creation_total", "counter", "Connections accepted."),
        ("connection_close_total", "counter", "Connections closed."),
    ):
        yield head(f"{sockets}_{suffix}", kind, about)
        for each in listeners:
            values = {
                "connection_count": len(each.connections),
                "connection_creation_total": each.accepted,
                "connection_close_total": each.accepted - len(each.connections),
            }
            labels = f'listener={text(each.name)},networkProcessor="0"'
            yield f"{sockets}_{suffix}{{{labels}}} {values[suffix]}\n"
    name = "barnabas_throttled_connections"
    yield head(name, "gauge", "Connections that are not read because of a quota.")
    for each in listeners:
        yield f"{name}{{listener={text(each.name)}}} {len(each.muted)}\n"
    waiting, queued = Counter[int](), 0
    for each in listeners:
        for connection in list(each.connections):
            waiting.update(request.api_key for request in connection.pending)
            queued += len(connection.backlog)
            yield ""
    purgatory = "kafka_server_delayedoperationpurgatory_purgatorysize"
    yield head(purgatory, "gauge", "Requests that wait for their acknowledgement or for data.")
    for key, label in ((PRODUCE, "Produce"), (FETCH, "Fetch"), (JOIN_GROUP, "Rebalance")):
        yield f'{purgatory}{{delayedOperation="{label}"}} {waiting[key]}\n'
    socket_server = "kafka_network_socketserver"
    yield gauge(
        "kafka_network_requestchannel_requestqueuesize",
        "Requests that lie behind earlier ones of their connections.",
        queued,
    )
    yield gauge(
        f"{socket_server}_networkprocessoravgidlepercent", "Idle share of the loop.", watch.idle
    )
    yield gauge(
        "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent",
        "Idle share of the loop, again: it reads, handles and answers.",
        watch.idle,
    )
    memory = broker.memory
    free = max(0, memory.limit - memory.used)
    yield gauge(f"{socket_server}_memorypoolavailable", "Bytes left for unfinished frames.", free)
    yield gauge(f"{socket_server}_memorypoolused", "Bytes of unfinished frames.", memory.used)
    yield gauge(
        "barnabas_unsent_bytes", "Bytes of answers that clients do not read.", memory.unsent
    )
    yield gauge(
        f"{socket_server}_expiredconnectionskilledcount",
        "Connections closed because they were silent.",
        sum(each.expired for each in listeners),
    )
    sessions = "kafka_server_fetchsessioncache"
    cached = [len(session.partitions) for session in broker.sessions]
    yield gauge(f"{sessions}_numincrementalfetchsessions", "Fetch sessions.", len(cached))
    yield gauge(
        f"{sessions}_numincrementalfetchpartitionscached", "Partitions in them.", sum(cached)
    )
