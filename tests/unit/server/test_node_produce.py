"""Produce, as a client sees it: one rule of Kafka's a test."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from barnabas.client.errors import ClientError
from barnabas.log import writer
from barnabas.records.batch import read_header
from barnabas.records.compression import Codec
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.metadata_request import MetadataRequest, MetadataRequestTopic
from barnabas.wire.messages.metadata_response import MetadataResponse
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import ProduceResponse
from tests.unit.server.calm import Session, calm, records

HOUR_MS = 3_600_000


def test_every_version_is_answered() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        for number, version in enumerate(range(3, 14)):
            answer = await s.produce("t", s.batch(b"%d" % version), version=version)
            assert (answer.error_code, answer.base_offset) == (0, number), version
            assert answer.log_append_time_ms == -1
            assert version < 5 or answer.log_start_offset == 0
        assert await s.values("t") == [b"%d" % version for version in range(3, 14)]

    calm(scenario)


@pytest.mark.parametrize("acks", [1, -1])
def test_acknowledged_records_are_there(acks: int) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        assert (await s.produce("t", s.batch(b"a"), acks=acks)).base_offset == 0
        assert (await s.produce("t", s.batch(b"b", b"c"), acks=acks)).base_offset == 1
        await s.restart("kill")
        assert await s.values("t") == [b"a", b"b", b"c"]

    calm(scenario)


@pytest.mark.parametrize("acks", [1, -1])
def test_an_answer_comes_when_the_records_are_where_it_says(acks: int) -> None:
    """In the files for acks=1, synced for acks=all; on the first request and on the fast path."""

    async def scenario(s: Session) -> None:
        await s.create("t")
        faults = s.node.host.disk.faults
        faults.slow_rate, faults.slow_us = 1.0, 300_000
        for number in range(3):
            # Large: it is written by the executor, in its own time.
            answer = await s.produce("t", s.batch(b"x" * 300_000), acks=acks)
            assert (answer.error_code, answer.base_offset) == (0, number)
            log = s.hosted("t").log
            assert (log.durable_offset if acks < 0 else log.written_offset) > number

    calm(scenario)


def test_acks_none_has_no_answer_and_a_failure_closes_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(s: Session) -> None:
        topic_id = await s.create("t")
        connection = await s.connection()
        part = [PartitionProduceData(0, s.batch(b"a"))]
        connection.send(
            ProduceRequest(None, 0, 5000, [TopicProduceData("t", topic_id, part)]),
            None,
            lambda *_: None,
        )
        await s.sleep(100)
        assert await s.values("t") == [b"a"]
        connection.send(
            ProduceRequest(None, 0, 5000, [TopicProduceData("t", bytes(15) + b"x", part)]),
            None,
            lambda *_: None,
        )
        await s.sleep(100)
        assert connection.closed
        # The same for a target that the connection knows already.
        connection = await s.connection()
        for data in (s.batch(b"b"), s.batch(b"c"), s.batch(b"d")[:-1] + b"?"):
            part = [PartitionProduceData(0, data)]
            request = ProduceRequest(None, 0, 5000, [TopicProduceData("t", topic_id, part)])
            connection.send(request, None, lambda *_: None)
            await s.sleep(100)
        assert connection.closed
        assert await s.values("t") == [b"a", b"b", b"c"]
        assert sum("acks=0 failed" in each.getMessage() for each in caplog.records) == 2

    calm(scenario)


def test_a_failure_on_the_fast_path_closes_the_connection_of_an_acks_none_producer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An answer would be taken for that of a later request."""

    async def scenario(s: Session) -> None:
        topic_id = await s.create("t")
        connection = await s.connection()
        good, bad = s.batch(b"a"), bytearray(s.batch(b"b"))
        bad[-1] ^= 1
        for data in (good, good, bytes(bad)):
            part = [PartitionProduceData(0, data)]
            request = ProduceRequest(None, 0, 5000, [TopicProduceData("t", topic_id, part)])
            connection.send(request, None, lambda *_: None)
            await s.sleep(100)
        assert connection.closed
        assert await s.values("t") == [b"a", b"a"]

    calm(scenario)
    assert "with acks=0 failed" in caplog.text


async def two_compressed(s: Session) -> ProduceResponse:
    """One request with a batch for "a" and one for "b", whose records are read off the loop."""
    topics = [
        TopicProduceData(
            name, s.ids[name], [PartitionProduceData(0, s.batch(b"x", codec=Codec.GZIP))]
        )
        for name in ("a", "b")
    ]
    return await s.ask(ProduceRequest(None, -1, 5000, topics), ProduceResponse)


def test_a_partition_that_goes_while_others_are_checked_is_answered() -> None:
    """Nobody tells those who begin to wait at a partition that is gone."""

    async def scenario(s: Session) -> None:
        for name in ("a", "b"):
            await s.create(name)
            await s.produce(name, s.batch(b"first"))
        s.node.host.disk.faults.stall_us = 200_000
        node, gone = s.node.node, s.hosted("a")
        assert node is not None
        asked = asyncio.ensure_future(two_compressed(s))
        while gone.log.end_offset == 1:
            await asyncio.sleep(0)
        node.broker.partitions.drop("a", 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        assert not gone.waiting, "it was still checking the other one"
        codes = [topic.partition_responses[0].error_code for topic in (await asked).responses]
        assert codes == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.NONE]

    calm(scenario, {"barnabas.validation": "full"})


def test_a_bug_while_a_request_waits_closes_its_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the client sent behind it would wait for ever."""

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    async def scenario(s: Session) -> None:
        for name in ("a", "b"):
            await s.create(name)
            await s.produce(name, s.batch(b"first"))
        monkeypatch.setattr("barnabas.server.handlers.produce.check_batch_off_loop", broken)
        begun = s.now
        with pytest.raises(ClientError):
            await two_compressed(s)
        assert s.now - begun < 1000
        assert await s.values("a") == [b"first"]

    calm(scenario, {"barnabas.validation": "full"})
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("acks", [0, 1])
def test_producers_wait_while_the_disk_does_not_keep_up(
    acks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However soon they give up waiting: what is not written yet is in memory."""
    monkeypatch.setattr(writer, "WAITING_BYTES", 2_000_000)
    value = b"x" * 300_000

    async def scenario(s: Session) -> None:
        topic_id = await s.create("t")
        await s.produce("t", s.batch(b"first"))
        log = s.hosted("t").log
        connection = await s.connection()
        faults = s.node.host.disk.faults
        faults.slow_rate, faults.slow_us = 1.0, 2_000_000
        sent = 40
        for _ in range(sent):
            part = [PartitionProduceData(0, s.batch(value))]
            request = ProduceRequest(None, acks, 1, [TopicProduceData("t", topic_id, part)])
            connection.send(request, ProduceResponse if acks else None, lambda *_: None)
        most = 0
        for _ in range(40):
            await s.sleep(100)
            most = max(most, log.pending_bytes)
        assert 1_000_000 < most < 2_000_000 + 2 * len(value)
        faults.slow_rate = 0.0
        while log.durable_offset < 1 + sent:
            await s.sleep(1000)
        assert not connection.closed

    calm(scenario)


def test_errors_of_the_target() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        data = s.batch(b"a")
        assert (await s.produce("t", data, acks=2)).error_code == ErrorCode.INVALID_REQUIRED_ACKS
        missing = await s.produce("no", data, version=12)
        assert missing.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        missing = await s.produce("t", data, index=7)
        assert missing.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        missing = await s.produce("", data, topic_id=bytes(15) + b"x")
        assert missing.error_code == ErrorCode.UNKNOWN_TOPIC_ID
        await s.create("__consumer_offsets")
        internal = await s.produce("__consumer_offsets", data)
        assert internal.error_code == ErrorCode.INVALID_TOPIC_EXCEPTION
        assert await s.values("t") == []

    calm(scenario)


def test_one_bad_partition_does_not_spoil_the_others() -> None:
    async def scenario(s: Session) -> None:
        topic_id = await s.create("t", 2)
        broken = bytearray(s.batch(b"b"))
        broken[-1] ^= 1
        parts = [PartitionProduceData(0, s.batch(b"a")), PartitionProduceData(1, bytes(broken))]
        request = ProduceRequest(None, -1, 5000, [TopicProduceData("t", topic_id, parts)])
        answer = (await s.ask(request, ProduceResponse)).responses[0].partition_responses
        assert [each.error_code for each in answer] == [0, ErrorCode.CORRUPT_MESSAGE]
        assert await s.values("t") == [b"a"]
        assert await s.values("t", index=1) == []

    calm(scenario)


@pytest.mark.effect_of("topic:message.timestamp.type")
def test_log_append_time() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", message_timestamp_type="LogAppendTime")
        answer = await s.produce("t", s.batch(b"a", timestamp=5))
        data = (await s.fetch("t")).records
        assert data is not None
        header = read_header(data)
        assert header.log_append_time
        assert header.max_timestamp == answer.log_append_time_ms > HOUR_MS

    calm(scenario)


@pytest.mark.effect_of(
    "topic:message.timestamp.before.max.ms", "topic:message.timestamp.after.max.ms"
)
def test_timestamps_have_bounds() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", message_timestamp_before_max_ms="1000")
        late = await s.produce("t", s.batch(b"a", timestamp=s.now - 5000))
        assert late.error_code == ErrorCode.INVALID_TIMESTAMP
        early = await s.produce("t", s.batch(b"a", timestamp=s.now + 2 * HOUR_MS))
        assert early.error_code == ErrorCode.INVALID_TIMESTAMP
        assert (await s.produce("t", s.batch(b"a"))).error_code == 0

    calm(scenario)


@pytest.mark.effect_of("topic:max.message.bytes")
def test_max_message_bytes() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", max_message_bytes="200")
        large = await s.produce("t", s.batch(b"x" * 200))
        assert large.error_code == ErrorCode.MESSAGE_TOO_LARGE
        assert (await s.produce("t", s.batch(b"x" * 50))).error_code == 0

    calm(scenario)


@pytest.mark.effect_of("topic:compression.type")
@pytest.mark.parametrize("stored", ["gzip", "snappy", "lz4", "zstd", "uncompressed"])
def test_compression_type_decides_how_batches_are_stored(stored: str) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", compression_type=stored)
        values = [b"%d" % number * 50 for number in range(20)]
        for codec in Codec:
            assert (await s.produce("t", s.batch(*values, codec=codec))).error_code == 0
        wanted = 0 if stored == "uncompressed" else Codec[stored.upper()]
        for number in range(len(Codec)):
            data = (await s.fetch("t", number * 20)).records
            assert data is not None
            assert read_header(data).codec == wanted
            assert [r.value for r in records(data)][:20] == values

    calm(scenario)


def test_idempotent_duplicates_get_their_offset_and_gaps_an_error() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        me = await s.identity()
        sent = [s.batch(b"%d" % at, base_sequence=at, **me) for at in range(7)]
        for at, data in enumerate(sent):
            assert (await s.produce("t", data)).base_offset == at
        for at in range(2, 7):  # five cached batches
            again = await s.produce("t", sent[at])
            assert (again.error_code, again.base_offset) == (0, at)
        old = await s.produce("t", sent[1])
        assert old.error_code in (
            ErrorCode.DUPLICATE_SEQUENCE_NUMBER,
            ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        )
        gap = await s.produce("t", s.batch(b"gap", base_sequence=9, **me))
        assert gap.error_code == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        stale = me | {"producer_epoch": me["producer_epoch"] - 1}
        fenced = await s.produce("t", s.batch(b"old", base_sequence=7, **stale))
        assert fenced.error_code != 0
        assert await s.values("t") == [b"%d" % at for at in range(7)]

    calm(scenario)


@pytest.mark.parametrize("kind", ["stop", "kill", "power"])
def test_cached_batches_survive_a_restart(kind: str) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", internal_segment_bytes="300")
        me = await s.identity()
        sent = [s.batch(b"%d" % at, base_sequence=at, **me) for at in range(8)]
        for data in sent:
            assert (await s.produce("t", data)).error_code == 0
        await s.restart(kind)
        again = await s.produce("t", sent[7])
        assert (again.error_code, again.base_offset) == (0, 7)
        fresh = await s.produce("t", s.batch(b"8", base_sequence=8, **me))
        assert (fresh.error_code, fresh.base_offset) == (0, 8)

    calm(scenario)


@pytest.mark.effect_of("auto.create.topics.enable")
def test_a_topic_is_created_by_metadata_where_that_is_allowed() -> None:
    async def ask(s: Session, name: str, allow: bool) -> int:
        wanted = [MetadataRequestTopic(name=name)]
        answer = await s.ask(
            MetadataRequest(wanted, allow_auto_topic_creation=allow), MetadataResponse
        )
        return answer.topics[0].error_code

    async def scenario(s: Session) -> None:
        assert await ask(s, "t", False) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        # Where Kafka has the client come back, the answer waits until the topic is there.
        assert await ask(s, "t", True) == 0
        assert await ask(s, "t", False) == 0
        assert await ask(s, "bad name", True) == ErrorCode.INVALID_TOPIC_EXCEPTION
        assert (await s.produce("t", s.batch(b"a"), version=12)).error_code == 0

    async def refused(s: Session) -> None:
        assert await ask(s, "t", True) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        await s.sleep(200)
        assert await ask(s, "t", False) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    calm(scenario)
    calm(refused, {"auto.create.topics.enable": "false"})


def test_nobody_waits_for_long_for_a_topic_that_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(s: Session) -> None:
        assert s.node.node is not None
        broker = s.node.node.broker
        submit = broker.submit
        may_go_on = asyncio.get_running_loop().create_future()

        async def later(decide: Any) -> Any:
            await may_go_on
            return await submit(decide)

        monkeypatch.setattr(broker, "submit", later)
        wanted = MetadataRequest([MetadataRequestTopic(name=name) for name in ("t", "u")])
        begun = s.now
        for passed_ms in (1_000, 2_000):  # the second waits for what the first has asked for
            answer = await s.ask(wanted, MetadataResponse)
            unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            assert [topic.error_code for topic in answer.topics] == [unknown] * 2
            assert passed_ms <= s.now - begun < passed_ms + 500
        asked = asyncio.ensure_future(s.ask(wanted, MetadataResponse))
        await s.sleep(100)
        may_go_on.set_result(None)
        assert [topic.error_code for topic in (await asked).topics] == [0, 0]

    calm(scenario)


def test_more_insync_replicas_than_replicas_are_not_asked_for() -> None:
    """KIP-966: the effective minimum is at most the number of replicas."""

    async def scenario(s: Session) -> None:
        await s.create("t", min_insync_replicas="2")
        assert (await s.produce("t", s.batch(b"a"))).error_code == 0

    calm(scenario)


def test_null_and_foreign_records_are_refused() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        two = s.batch(b"a") + s.batch(b"b")
        assert (await s.produce("t", two)).error_code == ErrorCode.INVALID_RECORD
        with suppress(ClientError):  # closing is an answer, too
            assert (await s.produce("t", None)).error_code != 0
        assert await s.values("t") == []

    calm(scenario)
