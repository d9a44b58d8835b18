"""The end of a run: does the node serve again, what does it hold, are its files sound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from barnabas.client.errors import ClientError
from barnabas.ports import Disk
from barnabas.records.batch import iter_batches
from barnabas.records.builder import build_batch
from barnabas.testing.checkers import BatchSpan, Contents, Partition
from barnabas.testing.sim import SimHost
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.fetch_response import FetchResponse, PartitionData
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import ProduceResponse
from tests.sim.node_clients import EARLIEST, LATEST, Client, Run, log_end, parse
from tests.unit.log.rebuild_oracle import check_partition, dump


async def prove_alive(run: Run, host: SimHost, topics: Iterable[str]) -> None:
    """A produce and a fetch succeed for every partition that stays."""
    client = Client(run, host, "prover")
    for topic in topics:
        for index in range(run.topics[topic]):
            while not await _round_trip(client, topic, index):
                await client.pause(300)
    client.hang_up()


async def _round_trip(client: Client, topic: str, index: int) -> bool:
    run = client.run
    try:
        topic_id = await client.topic_id(topic)
        if topic_id is None:
            return False
        partition = Partition(topic_id, index)
        value = f"proof/{topic}/{index}/{run.history.now}".encode()
        now = client.ports.clock.wall_ms()
        data = bytes(build_batch([(None, value, now, ())]))
        sent = run.history.send(client.name, partition, (value,), run.promise(-1), once=True)
        parts = [PartitionProduceData(index, data)]
        request = ProduceRequest(None, -1, 5_000, [TopicProduceData(topic, topic_id, parts)])
        answer = await client.ask(request, ProduceResponse)
        made = answer.responses[0].partition_responses[0]
        if made.error_code != ErrorCode.NONE:
            return False
        run.history.ack(sent, made.base_offset)
        found = await _fetch(client, topic, partition, made.base_offset)
        return value in [each for _, each in parse(found.records or b"")[0]]
    except ClientError:
        return False


async def _fetch(client: Client, topic: str, partition: Partition, offset: int) -> PartitionData:
    wanted = FetchPartition(
        partition.number, fetch_offset=offset, partition_max_bytes=client.random.choice((1, 5000))
    )
    request = FetchRequest(
        max_wait_ms=1000,
        min_bytes=1,
        session_epoch=-1,
        topics=[FetchTopic(topic, partition.topic_id, [wanted])],
    )
    answer = await client.ask(request, FetchResponse)
    return answer.responses[0].partitions[0]


async def read_everything(run: Run, host: SimHost) -> dict[Partition, Contents]:
    """What every partition holds, read from its start to its end."""
    client = Client(run, host, "last reader")
    found: dict[Partition, Contents] = {}
    topics = (await client.ask(MetadataRequest(None), MetadataResponse)).topics
    for topic in topics:
        for entry in topic.partitions:
            partition = Partition(topic.topic_id, entry.partition_index)
            found[partition] = await _contents(client, topic.name or "", partition)
    client.hang_up()
    return found


async def _contents(client: Client, topic: str, partition: Partition) -> Contents:
    """Retention may cut the start off while it is read: then it is read again."""
    while True:
        start, end = [
            await _offset(client, topic, partition.number, at) for at in (EARLIEST, LATEST)
        ]
        records: list[tuple[int, bytes]] = []
        batches: list[BatchSpan] = []
        offset = start
        while offset < end:
            found = await _fetch(client, topic, partition, offset)
            if found.error_code == ErrorCode.OFFSET_OUT_OF_RANGE:
                break
            assert found.error_code == ErrorCode.NONE, ErrorCode(found.error_code)
            more, spans = parse(found.records or b"")
            ends = [header.next_offset for _, header in iter_batches(found.records or b"")]
            if not ends and not client.run.history.is_whole(partition.topic_id):
                return Contents(start, end, records, batches)  # the end of the log is a hole
            assert ends, f"{topic}-{partition.number}: nothing at {offset}, the end is {end}"
            records += [each for each in more if each[0] >= offset]
            batches += spans
            offset = ends[-1]
        else:
            return Contents(start, end, records, batches)


async def _offset(client: Client, topic: str, index: int, timestamp: int) -> int:
    while (offset := await log_end(client, topic, index, timestamp)) is None:
        await client.pause(100)
    return offset


def check_files(
    disk: Disk, data: str, topics: Mapping[str, tuple[int, dict[str, str]]], page_cache: bool
) -> dict[str, bytes]:
    """P11: indexes and snapshots are what the log says. Returns the partitions' files."""
    files: dict[str, bytes] = {}
    for name in disk.list_dir(data):
        topic = name.rpartition("-")[0]
        path = f"{data}/{name}"
        if topic in topics:
            interval = int(topics[topic][1]["index.interval.bytes"])
            check_partition(disk, path, interval, snapshots=not page_cache)
            files |= dump(disk, path)
    return files
