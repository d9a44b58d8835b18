"""aiokafka: administration, producers with every codec and acks, a consumer by assignment."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    TopicPartition,
)
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from tests.interop.clients.member import Notes, now
from tests.interop.clients.stops import (
    EVENTS,
    FIRST_TIMESTAMP,
    SECONDS,
    Record,
    asked_to_read,
    asked_to_write,
    event,
    print_read,
    same,
)


@asynccontextmanager
async def started(client: Any) -> Any:
    """A client, from its start to its end."""
    await client.start()
    try:
        yield client
    finally:
        await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())


def admin(address: str) -> Any:
    """An admin client to be entered."""
    return started(AIOKafkaAdminClient(bootstrap_servers=address))


def producer(address: str, **settings: Any) -> Any:
    """A producer to be entered."""
    return started(AIOKafkaProducer(bootstrap_servers=address, **settings))


def consumer(address: str, **settings: Any) -> Any:
    """A consumer without a group, to be entered."""
    return started(AIOKafkaConsumer(bootstrap_servers=address, group_id=None, **settings))


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Metadata reaches clients in time, not at once."""
    deadline = time.monotonic() + SECONDS
    while not await holds():
        if time.monotonic() > deadline:
            raise AssertionError(what)
        await asyncio.sleep(0.02)


async def create(client: Any, topic: str, partitions: int = 1, **configs: str) -> type[Exception]:
    """Create a topic and wait for its leaders; what the node said to it."""
    named = {name.replace("_", "."): value for name, value in configs.items()}
    new = NewTopic(topic, partitions, 1, topic_configs=named)
    answer = await client.create_topics([new])
    error: type[Exception] = for_code(answer.topic_errors[0][1])
    if answer.topic_errors[0][1] == 0:
        await until(lambda: is_led(client, topic, partitions), f"leaders of {topic}")
    return error


async def is_led(client: Any, topic: str, partitions: int) -> bool:
    """Whether a topic has so many partitions with leaders."""
    (described,) = await client.describe_topics([topic])
    led = [one["partition"] for one in described["partitions"] if one["leader"] >= 0]
    return sorted(led) == list(range(partitions))


async def send(client: Any, topic: str, count: int = EVENTS) -> list[int]:
    """Produce events; their offsets."""
    sent = []
    for number in range(count):
        sent.append(await put(client, topic, event(number)))
    return [(await one).offset for one in sent]


async def put(client: Any, topic: str, record: Record) -> Any:
    """Hand over one record."""
    return await client.send(
        topic,
        record.value,
        record.key,
        partition=0,
        timestamp_ms=record.timestamp,
        headers=record.headers,
    )


async def read(client: Any, topic: str, count: int) -> list[tuple[int, Record]]:
    """So many records from where the consumer stands."""
    found: list[tuple[int, Record]] = []
    async with asyncio.timeout(SECONDS):
        while len(found) < count:
            some = await client.getmany(TopicPartition(topic, 0), timeout_ms=500)
            for one in (each for batch in some.values() for each in batch):
                record = Record(one.key, one.value, list(one.headers), one.timestamp)
                found.append((one.offset, record))
    same(count, len(found), f"records of {topic}")
    return found


async def cluster(address: str) -> None:
    async with admin(address) as client:
        about = await client.describe_cluster()
        same([address], [f"{one['host']}:{one['port']}" for one in about["brokers"]], "brokers")
        same(about["brokers"][0]["node_id"], about["controller_id"], "controller")
        same(22, len(about["cluster_id"]), "length of the cluster id")


async def topics(address: str) -> None:
    topic = "aiokafka-topics"
    async with admin(address) as client:
        await create(client, topic, 2, retention_ms="3600000")
        same(TopicAlreadyExistsError, await create(client, topic), "created twice")
        same(InvalidTopicError, await create(client, "bad name"), "bad name")
        await client.create_partitions({topic: NewPartitions(5)})
        await until(lambda: is_led(client, topic, 5), "five partitions")
        try:
            await client.create_partitions({topic: NewPartitions(3)})
        except InvalidPartitionsError:
            pass
        else:
            raise AssertionError("fewer partitions")
        answer = await client.delete_topics([topic])
        same([(topic, 0)], [tuple(one[:2]) for one in answer.topic_error_codes], "deletion")

        async def gone() -> bool:
            return topic not in await client.list_topics()

        await until(gone, "the topic is gone")
        answer = await client.delete_topics([topic])
        same(
            UnknownTopicOrPartitionError, for_code(answer.topic_error_codes[0][1]), "deleted twice"
        )


async def configs(address: str) -> None:
    topic = "aiokafka-configs"
    async with admin(address) as client:
        await create(client, topic, segment_bytes="2000000")
        same("2000000", (await described(client, topic))["segment.bytes"], "segment.bytes")
        wanted = {"max.message.bytes": "3000", "cleanup.policy": "compact"}
        same(0, await altered(client, topic, wanted), "alteration")

        async def seen() -> bool:
            now = await described(client, topic)
            return wanted.items() <= now.items() and now["segment.bytes"] == "1073741824"

        await until(seen, "what is set, and that the rest is not")
        error = for_code(await altered(client, topic, {"cleanup.policy": "burn"}))
        same(InvalidConfigurationError, error, "bad value")
        node_id = (await client.describe_cluster())["brokers"][0]["node_id"]
        broker = ConfigResource(ConfigResourceType.BROKER, str(node_id))
        (answer,) = await client.describe_configs([broker])
        same(str(node_id), values(answer)["node.id"], "node.id")


def values(answer: Any) -> dict[str, str]:
    """Names and values of the one resource in an answer."""
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


async def described(client: Any, topic: str) -> dict[str, str]:
    """The configs of a topic."""
    (answer,) = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return values(answer)


async def altered(client: Any, topic: str, wanted: dict[str, str]) -> int:
    """Set all the configs of a topic; the error code."""
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, wanted)
    answer = (await client.alter_configs([resource]))[0]
    code: int = answer.resources[0][0]
    return code


async def acks(address: str) -> None:
    async with admin(address) as client:
        for wanted in (0, 1, "all"):
            topic = f"aiokafka-acks-{wanted}"
            await create(client, topic)
            async with producer(address, acks=wanted) as sender:
                for number in range(EVENTS):
                    await put(sender, topic, event(number))
                await sender.flush()
                async with consumer(address, auto_offset_reset="earliest") as reader:
                    reader.assign([TopicPartition(topic, 0)])
                    found = await read(reader, topic, EVENTS)
            same([(at, event(at)) for at in range(EVENTS)], found, f"records with acks={wanted}")


async def idempotent(address: str) -> None:
    topic = "aiokafka-idempotent"
    async with admin(address) as client:
        await create(client, topic)
    async with producer(address, enable_idempotence=True, linger_ms=5) as sender:
        same(list(range(EVENTS)), await send(sender, topic), "offsets")
        same(list(range(EVENTS, 2 * EVENTS)), await send(sender, topic), "offsets")


async def large(address: str) -> None:
    topic = "aiokafka-large"
    async with admin(address) as client:
        await create(client, topic, max_message_bytes="2000")
    async with producer(address) as sender:
        try:
            await sender.send_and_wait(topic, b"x" * 5000, partition=0)
        except MessageSizeTooLargeError:
            return
    raise AssertionError("a record that is too large was taken")


async def offsets(address: str) -> None:
    topic = "aiokafka-offsets"
    partition = TopicPartition(topic, 0)
    async with admin(address) as client:
        await create(client, topic)
    async with producer(address, acks="all", max_batch_size=600) as sender:
        await send(sender, topic)
    async with consumer(address) as reader:
        reader.assign([partition])
        same({partition: 0}, await reader.beginning_offsets([partition]), "beginning")
        same({partition: EVENTS}, await reader.end_offsets([partition]), "end")
        found = await reader.offsets_for_times({partition: FIRST_TIMESTAMP + 123})
        at = found[partition]
        same((123, FIRST_TIMESTAMP + 123), (at.offset, at.timestamp), "by time")
        late = await reader.offsets_for_times({partition: FIRST_TIMESTAMP + EVENTS})
        same({partition: None}, late, "behind the last time")
        reader.seek(partition, EVENTS - 10)
        tail = await read(reader, topic, 10)
        same(list(range(EVENTS - 10, EVENTS)), [offset for offset, _ in tail], "from an offset")
        await reader.seek_to_beginning(partition)
        same(0, await reader.position(partition), "position at the beginning")
        same((0, event(0)), (await read(reader, topic, EVENTS))[0], "from the beginning")
        await reader.seek_to_end(partition)
        same(EVENTS, await reader.position(partition), "position at the end")


async def deleted(address: str) -> None:
    topic = "aiokafka-deleted"
    partition = TopicPartition(topic, 0)
    async with admin(address) as client:
        await create(client, topic)
        async with producer(address, acks="all") as sender:
            await send(sender, topic)
        wanted = {partition: RecordsToDelete(120)}
        same({partition: 120}, await client.delete_records(wanted), "low watermark")
    async with consumer(address, auto_offset_reset="earliest") as reader:
        reader.assign([partition])
        same(120, (await read(reader, topic, EVENTS - 120))[0][0], "first offset left")


STOPS: dict[str, Callable[[str], Awaitable[None]]] = {
    "cluster": cluster,
    "topics": topics,
    "configs": configs,
    "acks": acks,
    "idempotent": idempotent,
    "large": large,
    "offsets": offsets,
    "deleted": deleted,
}


async def tour(address: str, stops: list[str]) -> None:
    """The stops that are named, in their order."""
    for stop in stops:
        await STOPS[stop](address)
        print("ok", stop, flush=True)


async def write(address: str) -> None:
    """Produce what standard input asks for."""
    for topic, codec, records in asked_to_write():
        chosen = None if codec == "none" else codec
        async with producer(address, compression_type=chosen, linger_ms=20) as sender:
            sent = [await put(sender, topic, record) for record in records]
            same(list(range(len(records))), [(await one).offset for one in sent], topic)


async def read_topics(address: str) -> None:
    """Read what standard input asks for."""
    found = {}
    async with consumer(address, auto_offset_reset="earliest", check_crcs=True) as reader:
        for topic, count in asked_to_read():
            reader.assign([TopicPartition(topic, 0)])
            found[topic] = await read(reader, topic, count)
    print_read(found)


class Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes assignments; a rebalance waits until what was handed out is committed."""

    def __init__(self, notes: Notes, reader: Any, busy: asyncio.Lock) -> None:
        self.notes, self.reader, self.busy = notes, reader, busy

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        async with self.busy:
            self.notes.revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        # The only place where the client has it.
        self.notes.given(assigned, self.reader._coordinator.generation)


async def member(address: str, text: str) -> None:
    """See `clients.member`."""
    notes, busy = Notes(text), asyncio.Lock()
    chosen = notes.settings
    assignor = {"range": RangePartitionAssignor, "sticky": StickyPartitionAssignor}[chosen.assignor]
    reader = AIOKafkaConsumer(
        bootstrap_servers=address,
        group_id=chosen.group,
        group_instance_id=chosen.instance,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level=chosen.isolation,
        session_timeout_ms=chosen.session_ms,
        heartbeat_interval_ms=chosen.heartbeat_ms,
        partition_assignment_strategy=(assignor,),
        fetch_max_wait_ms=50,
    )
    reader.subscribe([chosen.topic], listener=Rebalances(notes, reader, busy))
    async with started(reader):
        while not notes.leaving.is_set():
            found = await reader.getmany(timeout_ms=100, max_records=500)
            if found:
                await commit(notes, reader, busy, found)
        notes.revoked(reader.assignment())  # its end asks no listener


async def commit(
    notes: Notes, reader: Any, busy: asyncio.Lock, found: dict[TopicPartition, list[Any]]
) -> None:
    """Note what was handed out and commit it, unless the group is being rebalanced."""
    records = {
        where.partition: [(one.offset, one.value) for one in some] for where, some in found.items()
    }
    offsets, begun = notes.consumed(records), now()
    wanted = {TopicPartition(notes.settings.topic, each): to for each, to in offsets.items()}
    async with busy:
        try:
            await reader.commit(wanted)
        except (CommitFailedError, IllegalStateError):
            return
        notes.committed(begun, offsets)


def main() -> None:
    """`tour ADDRESS STOP…`, `write ADDRESS`, `read ADDRESS`, `member ADDRESS SETTINGS`."""
    verb, address, *stops = sys.argv[1:]
    if verb == "tour":
        asyncio.run(tour(address, stops))
    elif verb == "member":
        asyncio.run(member(address, *stops))
    else:
        asyncio.run({"write": write, "read": read_topics}[verb](address))


if __name__ == "__main__":
    main()
