"""Quotas: the same requests and the same load to a real Apache Kafka and to ours."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from barnabas.records.builder import build_batch
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.alter_client_quotas_request import (
    AlterClientQuotasRequest,
    EntityData,
    EntryData,
    OpData,
)
from barnabas.wire.messages.create_partitions_request import (
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from barnabas.wire.messages.create_topics_request import CreatableTopic, CreateTopicsRequest
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest, DeleteTopicState
from barnabas.wire.messages.describe_client_quotas_request import (
    ComponentData,
    DescribeClientQuotasRequest,
)
from barnabas.wire.messages.describe_user_scram_credentials_request import (
    DescribeUserScramCredentialsRequest,
    UserName,
)
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from tests.interop.answers import BROKER, CONTROLLER, Side, Sides, both

pytestmark = [pytest.mark.usefixtures("java"), pytest.mark.timeout(300)]

PRODUCE, FETCH, TIME, MUTATE, CONNECT = (
    "producer_byte_rate",
    "consumer_byte_rate",
    "request_percentage",
    "controller_mutation_rate",
    "connection_creation_rate",
)
EXCEEDED = ErrorCode.THROTTLING_QUOTA_EXCEEDED
SETTLED_SECONDS = 10.0
Entity = dict[str, str | None]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """Both nodes."""
    with both(tmp_path_factory.mktemp("quotas")) as running:
        yield running


def entry(entity: Entity, ops: dict[str, float | None]) -> EntryData:
    """A change; the value None removes."""
    return EntryData(
        [EntityData(kind, name) for kind, name in entity.items()],
        [OpData(k, 0.0, True) if v is None else OpData(k, v) for k, v in ops.items()],
    )


def normal(name: str, value: Any) -> Any:
    """Kafka's order is that of a hash."""
    if value and name in ("entries", "entity", "values", "results"):
        return sorted(value, key=repr)
    return value


ALTERATIONS: list[list[EntryData]] = [
    [],
    [entry({"user": "alice"}, {PRODUCE: 1e6, FETCH: 2e6, TIME: 12.5, MUTATE: 0.5})],
    [entry({"user": "alice"}, {PRODUCE: None, FETCH: 3e6}), entry({"client-id": None}, {TIME: 50})],
    [entry({"user": None, "client-id": "c"}, {PRODUCE: 5}), entry({"ip": None}, {CONNECT: 100})],
    [entry({"user": "alice", "client-id": None}, {PRODUCE: 7}), entry({"user": None}, {FETCH: 9})],
    [entry({"ip": "10.1.2.3"}, {CONNECT: 3}), entry({"ip": "2001:db8::1"}, {CONNECT: 4})],
    [entry({"user": "ünï codé/"}, {PRODUCE: 2.0**63}), entry({"user": "nobody"}, {PRODUCE: None})],
    [entry({}, {PRODUCE: 1})],
    [entry({"user": ""}, {PRODUCE: 1}), entry({"client-id": ""}, {PRODUCE: 1})],
    [entry({"group": "g"}, {PRODUCE: 1}), entry({"user": "u", "group": "g"}, {PRODUCE: 1})],
    [entry({"ip": "10.1.2.3", "user": "u"}, {CONNECT: 1})],
    [entry({"ip": "no such host.invalid"}, {CONNECT: 1}), entry({"ip": ""}, {CONNECT: 1})],
    [entry({"ip": "10.1.2.3"}, {PRODUCE: 1}), entry({"user": "u"}, {CONNECT: 1})],
    [entry({"user": "u"}, {PRODUCE: 0}), entry({"user": "v"}, {PRODUCE: -1, FETCH: 1})],
    [entry({"user": "u"}, {PRODUCE: 1.5}), entry({"user": "v"}, {TIME: 1.5})],
    [entry({"user": "u"}, {PRODUCE: 1e19}), entry({"ip": None}, {CONNECT: 2.0**31})],
    [entry({"user": "u"}, {"unknown": 1}), entry({"user": "u2"}, {"unknown": None})],
    [entry({"user": "w"}, {PRODUCE: 1}), entry({"user": "w"}, {FETCH: 1})],
    [EntryData([EntityData("user", "x")], [OpData(PRODUCE, 1), OpData(PRODUCE, 2)])],
    [EntryData([EntityData("user", "y"), EntityData("user", "z")], [OpData(PRODUCE, 1)])],
]

FILTERS: list[list[tuple[str, int, str | None]]] = [
    [],
    [("user", 0, "alice")],
    [("user", 1, None)],
    [("user", 2, None)],
    [("client-id", 2, None)],
    [("user", 2, None), ("client-id", 2, None)],
    [("user", 0, "alice"), ("client-id", 1, None)],
    [("ip", 2, None)],
    [("ip", 0, "10.1.2.3")],
    [("ip", 1, None)],
    [("user", 0, "nobody")],
    [("", 0, "x")],
    [("group", 0, "x")],
    [("user", 0, None)],
    [("user", 1, "x")],
    [("user", 2, "x")],
    [("user", 9, None)],
    [("user", -1, None)],
    [("user", 0, "a"), ("user", 2, None)],
    [("ip", 2, None), ("user", 2, None)],
]


def described(sides: Sides, version: int) -> None:
    """All filters find the same, once Kafka's broker has heard of what its controller decided."""
    for components in FILTERS:
        for strict in (False, True):
            asked = [ComponentData(*component) for component in components]
            request = DescribeClientQuotasRequest(asked, strict)
            deadline = time.monotonic() + SETTLED_SECONDS
            while True:
                try:
                    sides.compare(request, version, BROKER, normal)
                    break
                except AssertionError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)


@pytest.mark.parametrize("listener", [BROKER, CONTROLLER])
@pytest.mark.parametrize("version", [0, 1])
def test_quotas_are_altered_and_described_alike(sides: Sides, version: int, listener: str) -> None:
    for validate_only in (True, False):
        for entries in ALTERATIONS:
            request = AlterClientQuotasRequest(entries, validate_only)
            sides.compare(request, version, listener, normal)
        described(sides, version)
    remove_all(sides)


def remove_all(sides: Sides) -> None:
    """No quotas, as before."""
    answer: Any = sides.ours.ask(DescribeClientQuotasRequest(), 1)
    removals = [
        entry(
            {each.entity_type: each.entity_name for each in found.entity},
            dict.fromkeys(value.key for value in found.values),
        )
        for found in answer.entries
    ]
    assert len(removals) > 5
    sides.compare(AlterClientQuotasRequest(removals), 1, BROKER, normal)
    described(sides, 1)


@pytest.mark.parametrize("users", [None, [], ["alice"], ["alice", "bob"], ["bob", "bob", ""]])
def test_scram_credentials_are_described_alike(sides: Sides, users: list[str] | None) -> None:
    asked = None if users is None else [UserName(user) for user in users]
    sides.compare(DescribeUserScramCredentialsRequest(asked), 0, BROKER, normal)


def limit(sides: Sides, client_id: str, key: str, value: float) -> None:
    """Give a client id a quota on both nodes, and wait until their brokers know of it."""
    request = AlterClientQuotasRequest([entry({"client-id": client_id}, {key: value})])
    sides.compare(request, 1, BROKER, normal)
    described(sides, 1)


def make(side: Side, name: str, partitions: int = 1) -> bytes:
    """A topic that is ready for use; its id."""
    topic = CreatableTopic(name, partitions, 1)
    answer: Any = side.ask(CreateTopicsRequest([topic], 30_000), 7)
    assert answer.topics[0].error_code == 0
    topic_id: bytes = answer.topics[0].topic_id
    deadline = time.monotonic() + SETTLED_SECONDS
    while produce(side, topic_id, b"ready", "nobody-limits-me")[0] != 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return topic_id


def produce(side: Side, topic_id: bytes, value: bytes, client: str) -> tuple[int, int]:
    """(error code, throttle time) of one event."""
    batch = bytes(build_batch([(None, value, int(time.time() * 1000), ())]))
    data = [TopicProduceData("", topic_id, [PartitionProduceData(0, batch)])]
    answer: Any = side.ask(ProduceRequest(None, -1, 30_000, data), 13, BROKER, client)
    code: int = answer.responses[0].partition_responses[0].error_code
    return code, answer.throttle_time_ms


def test_producers_are_throttled_for_as_long(sides: Sides) -> None:
    limit(sides, "produces", PRODUCE, 1000.0)
    found = []
    for side in (sides.kafka, sides.ours):
        topic_id = make(side, "throttled-produce")
        times = []
        for size in (5000, 20_000):
            code, throttled = produce(side, topic_id, b"x" * size, "produces")
            assert code == 0
            times.append(throttled)
        side.close()  # nobody waits for the throttling to end
        found.append(times)
    (none, theirs), (nothing, ours) = found
    assert none == nothing == 0
    assert abs(theirs - ours) < 1000, found
    assert 14_000 < ours < 17_000


def test_consumers_are_throttled_for_as_long(sides: Sides) -> None:
    limit(sides, "consumes", FETCH, 1000.0)
    found = []
    for side in (sides.kafka, sides.ours):
        topic_id = make(side, "throttled-fetch")
        for _ in range(2):
            produce(side, topic_id, b"x" * 6000, "nobody-limits-me")
        answers: list[Any] = []
        for _ in range(2):
            part = FetchPartition(0, fetch_offset=1, partition_max_bytes=6500)
            request = FetchRequest(
                max_wait_ms=0,
                min_bytes=0,
                max_bytes=1 << 20,
                session_epoch=-1,
                topics=[FetchTopic("", topic_id, [part])],
            )
            answers.append(side.ask(request, 17, BROKER, "consumes"))
        side.close()
        first, second = answers
        assert (first.throttle_time_ms, len(first.responses)) == (0, 1)
        assert (second.error_code, second.responses, second.session_id) == (0, [], 0)
        found.append(second.throttle_time_ms)
    theirs, ours = found
    assert abs(theirs - ours) < 1000, found
    assert 2500 < ours < 4500


def mutate(side: Side, client: str, request: Any, version: int) -> tuple[int, int]:
    """(error code, throttle time)."""
    answer: Any = side.ask(request, version, BROKER, client)
    inner = getattr(answer, "topics", None) or getattr(answer, "responses", None) or answer.results
    side.close()
    return inner[0].error_code, answer.throttle_time_ms


def test_mutations_are_refused_and_throttled_alike(sides: Sides) -> None:
    limit(sides, "mutates", MUTATE, 1.0)
    limit(sides, "mutates-old", MUTATE, 1.0)
    found = []
    for side in (sides.kafka, sides.ours):
        make(side, "mutated", 2)
        wide = CreateTopicsRequest([CreatableTopic("wide", 40, 1)], 30_000)
        one = CreateTopicsRequest([CreatableTopic("one", 1, 1)], 30_000)
        more = CreatePartitionsRequest([CreatePartitionsTopic("mutated", 3, None)], 30_000)
        gone = DeleteTopicsRequest([DeleteTopicState(name="mutated")], [], 30_000)
        old = CreateTopicsRequest([CreatableTopic("old", 40, 1)], 30_000)
        found.append(
            [
                mutate(side, "mutates", wide, 7),
                mutate(side, "mutates", one, 7),
                mutate(side, "mutates", one, 6),
                mutate(side, "mutates", more, 3),
                mutate(side, "mutates", gone, 6),
                mutate(side, "mutates-old", old, 5),
                mutate(side, "mutates-old", more, 2),
            ]
        )
    theirs, ours = found
    assert [code for code, _ in theirs] == [code for code, _ in ours]
    assert [code for code, _ in ours] == [0, *[EXCEEDED] * 4, 0, 0]
    for (_, their_ms), (_, our_ms) in zip(theirs, ours, strict=True):
        assert abs(their_ms - our_ms) < 2000, found


@pytest.mark.soak
def test_a_producer_gets_its_rate_and_no_more(sides: Sides) -> None:
    seconds, rate = 30, 200_000
    limit(sides, "loads", PRODUCE, float(rate))
    sent = {}

    def load(side: Side) -> None:
        make(side, "loaded")
        done = [0]
        settings = {"bootstrap.servers": side.node.address, "client.id": "loads", "acks": "1"}
        producer = Producer({**settings, "log_level": 0, "queue.buffering.max.messages": 2000})

        def delivered(error: object, _message: object) -> None:
            done[0] += error is None

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                producer.produce("loaded", b"x" * 1000, on_delivery=delivered)
            except BufferError:
                producer.poll(0.05)
            producer.poll(0)
        producer.purge()
        producer.flush(5)
        sent[side.node.name] = done[0] * 1000

    threads = [threading.Thread(target=load, args=(s,)) for s in (sides.kafka, sides.ours)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Ten seconds' worth may be had at once; requests that are larger than what is left overdraw it.
    allowed = rate * (seconds + 10)
    for name, bytes_sent in sent.items():
        assert 0.4 * allowed < bytes_sent < 1.6 * allowed, (name, sent)
    assert 0.6 < sent["barnabas"] / sent["kafka"] < 1.7, sent
