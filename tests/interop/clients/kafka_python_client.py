"""kafka-python: administration, producers with every codec and acks, a consumer by assignment."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import UUID

from kafka import (
    ConsumerRebalanceListener,
    KafkaAdminClient,
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    TopicPartition,
)
from kafka.admin import AlterConfigOp, ConfigResource
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import (
    CommitFailedError,
    ElectionNotNeededError,
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    RebalanceInProgressError,
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

LATEST, EARLIEST, OF_MAX_TIMESTAMP = -1, -2, -3


def admin(address: str) -> Any:
    """An admin client to be entered."""
    return closing(KafkaAdminClient(bootstrap_servers=address))


def producer(address: str, **settings: Any) -> Any:
    """A producer to be entered."""
    return closing(KafkaProducer(bootstrap_servers=address, **settings))


def consumer(address: str, **settings: Any) -> Any:
    """A consumer without a group, to be entered."""
    return closing(KafkaConsumer(bootstrap_servers=address, group_id=None, **settings))


@contextmanager
def fails(error: type[Exception], what: str) -> Iterator[None]:
    """The block has to end with an error."""
    try:
        yield
    except error:
        return
    raise AssertionError(what)


def until(holds: Callable[[], bool], what: str) -> None:
    """Metadata reaches clients in time, not at once."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(what)
        time.sleep(0.02)


def create(client: Any, topic: str, partitions: int = 1, **configs: str) -> None:
    """Create a topic and wait for its leaders."""
    named = {name.replace("_", "."): value for name, value in configs.items()}
    about = {"num_partitions": partitions, "replication_factor": 1, "configs": named}
    client.create_topics({topic: about})
    until(lambda: leaders(client, topic) == list(range(partitions)), f"leaders of {topic}")


def leaders(client: Any, topic: str) -> list[int]:
    """The partitions of a topic that have leaders."""
    (about,) = client.describe_topics([topic])
    return sorted(one["partition_index"] for one in about["partitions"] if one["leader_id"] >= 0)


def put(client: Any, topic: str, record: Record) -> Any:
    """Hand over one record."""
    return client.send(
        topic,
        value=record.value,
        key=record.key,
        partition=0,
        timestamp_ms=record.timestamp,
        headers=record.headers,
    )


def send(client: Any, topic: str, records: list[Record]) -> list[int]:
    """Produce records; their offsets."""
    sent = [put(client, topic, record) for record in records]
    return [one.get(SECONDS).offset for one in sent]


def read(client: Any, count: int) -> dict[str, list[tuple[int, Record]]]:
    """So many records from where the consumer stands, by topic."""
    found: dict[str, list[tuple[int, Record]]] = {at.topic: [] for at in client.assignment()}
    deadline = time.monotonic() + SECONDS
    missing = count
    while missing > 0:
        if time.monotonic() > deadline:
            raise AssertionError(f"{missing} of {count} records are missing")
        for at, some in client.poll(timeout_ms=500).items():
            for one in some:
                record = Record(one.key, one.value, list(one.headers), one.timestamp)
                found[at.topic].append((one.offset, record))
            missing -= len(some)
    return found


def cluster(address: str) -> None:
    with admin(address) as client:
        about = client.describe_cluster()
        same([address], [f"{one['host']}:{one['port']}" for one in about["brokers"]], "brokers")
        same(about["brokers"][0]["broker_id"], about["controller_id"], "controller")
        same(22, len(about["cluster_id"]), "length of the cluster id")


def topics(address: str) -> None:
    topic = "kafka-python-topics"
    with admin(address) as client:
        create(client, topic, 2, retention_ms="3600000")
        with fails(TopicAlreadyExistsError, "created twice"):
            create(client, topic)
        with fails(InvalidTopicError, "bad name"):
            create(client, "bad name")
        client.create_partitions({topic: 5})
        until(lambda: leaders(client, topic) == list(range(5)), "five partitions")
        with fails(InvalidPartitionsError, "fewer partitions"):
            client.create_partitions({topic: 3})
        topic_id = UUID(client.describe_topics([topic])[0]["topic_id"])
        same(topic, client.describe_topics([topic_id])[0]["name"], "name by id")
        client.delete_topics([topic])
        until(lambda: topic not in client.list_topics(), "the topic is gone")
        with fails(UnknownTopicOrPartitionError, "deleted twice"):
            client.delete_topics([topic])


def configs(address: str) -> None:
    topic = "kafka-python-configs"
    with admin(address) as client:
        create(client, topic, segment_bytes="2000000")

        def described() -> dict[str, str]:
            asked = [ConfigResource("TOPIC", topic)]
            found = client.describe_configs(asked, config_filter="all")["topic"][topic]
            return {name: entry["value"] for name, entry in found.items()}

        def alter(changes: dict[str, Any], *, incremental: bool) -> str:
            resource = ConfigResource("TOPIC", topic, changes)
            said = client.alter_configs([resource], incremental=incremental)
            return str(said["topic"][topic])

        same("2000000", described()["segment.bytes"], "segment.bytes")
        same("OK", alter({"max.message.bytes": "3000"}, incremental=False), "all at once")
        until(lambda: described()["max.message.bytes"] == "3000", "max.message.bytes")
        same("2000000", described()["segment.bytes"], "what the client sends again")
        for operation, policy in (("APPEND", "delete,compact"), ("SUBTRACT", "compact")):
            value = "compact" if operation == "APPEND" else "delete"
            change = {"cleanup.policy": (AlterConfigOp[operation], value)}
            same("OK", alter(change, incremental=True), operation)
            until(lambda policy=policy: described()["cleanup.policy"] == policy, policy)  # type: ignore[misc]
        client.reset_configs([ConfigResource("TOPIC", topic, ["segment.bytes"])])
        until(lambda: described()["segment.bytes"] == "1073741824", "reset")
        said = alter({"cleanup.policy": "burn"}, incremental=True)
        same(
            True, InvalidConfigurationError.__name__ in said, f"refusal of a bad value, not {said}"
        )
        node_id = str(client.describe_cluster()["controller_id"])
        broker = client.describe_configs([ConfigResource("BROKER", node_id)], config_filter="all")
        same(node_id, broker["broker"][node_id]["node.id"]["value"], "node.id")


def acks(address: str) -> None:
    events = [event(number) for number in range(EVENTS)]
    with admin(address) as client:
        for wanted in (0, 1, "all"):
            topic = f"kafka-python-acks-{wanted}"
            create(client, topic)
            with producer(address, acks=wanted, enable_idempotence=False) as sender:
                for one in events:
                    put(sender, topic, one)
                sender.flush(SECONDS)
            with consumer(address, auto_offset_reset="earliest") as reader:
                reader.assign([TopicPartition(topic, 0)])
                found = read(reader, EVENTS)[topic]
            same(list(enumerate(events)), found, f"records with acks={wanted}")


def idempotent(address: str) -> None:
    topic = "kafka-python-idempotent"
    with admin(address) as client:
        create(client, topic)
    with producer(address, enable_idempotence=True, linger_ms=5) as sender:
        for first in (0, EVENTS):
            events = [event(number) for number in range(EVENTS)]
            same(list(range(first, first + EVENTS)), send(sender, topic, events), "offsets")


def large(address: str) -> None:
    topic = "kafka-python-large"
    with admin(address) as client:
        create(client, topic, max_message_bytes="2000")
    with producer(address) as sender, fails(MessageSizeTooLargeError, "it was taken"):
        sender.send(topic, b"x" * 5000, partition=0).get(SECONDS)


def offsets(address: str) -> None:
    topic = "kafka-python-offsets"
    partition = TopicPartition(topic, 0)
    with admin(address) as client:
        create(client, topic)
        with producer(address, batch_size=600) as sender:
            send(sender, topic, [event(number) for number in range(EVENTS)])
        for spec, wanted in (
            (EARLIEST, 0),
            (LATEST, EVENTS),
            (OF_MAX_TIMESTAMP, EVENTS - 1),
            (FIRST_TIMESTAMP + 77, 77),
        ):
            found = client.list_partition_offsets({partition: spec})
            same(wanted, found[partition].offset, f"listed offset of {spec}")
    with consumer(address) as reader:
        reader.assign([partition])
        same({partition: 0}, reader.beginning_offsets([partition]), "beginning")
        same({partition: EVENTS}, reader.end_offsets([partition]), "end")
        at = reader.offsets_for_times({partition: FIRST_TIMESTAMP + 123})[partition]
        same((123, FIRST_TIMESTAMP + 123), (at.offset, at.timestamp), "by time")
        late = reader.offsets_for_times({partition: FIRST_TIMESTAMP + EVENTS})
        same({partition: None}, late, "behind the last time")
        reader.seek(partition, EVENTS - 10)
        tail = read(reader, 10)[topic]
        same(list(range(EVENTS - 10, EVENTS)), [offset for offset, _ in tail], "from an offset")
        reader.seek_to_beginning(partition)
        same((0, event(0)), read(reader, EVENTS)[topic][0], "from the beginning")
        reader.seek_to_end(partition)
        same(EVENTS, reader.position(partition), "position at the end")


def deleted(address: str) -> None:
    topic = "kafka-python-deleted"
    partition = TopicPartition(topic, 0)
    with admin(address) as client:
        create(client, topic)
        with producer(address) as sender:
            send(sender, topic, [event(number) for number in range(EVENTS)])
        found = client.delete_records({partition: 120})
        same(120, found[partition]["low_watermark"], "low watermark")
        with fails(OffsetOutOfRangeError, "behind the end"):
            client.delete_records({partition: EVENTS + 1})
    with consumer(address, auto_offset_reset="earliest") as reader:
        reader.assign([partition])
        same(120, read(reader, EVENTS - 120)[topic][0][0], "first offset left")


def directories(address: str) -> None:
    topic = "kafka-python-directories"
    with admin(address) as client:
        create(client, topic, 2)
        with producer(address) as sender:
            send(sender, topic, [event(number) for number in range(EVENTS)])
        (broker,) = client.describe_log_dirs([topic])
        (directory,) = broker["log_dirs"]
        same(0, directory["error_code"], "error of the directory")
        same(True, directory["total_bytes"] > directory["usable_bytes"] > 0, "room")
        (about,) = directory["topics"]
        sizes = {one["partition_index"]: one["partition_size"] for one in about["partitions"]}
        same([0, 1], sorted(sizes), "partitions")
        same((True, 0), (sizes[0] > EVENTS, sizes[1]), "sizes")


def operated(address: str) -> None:
    topic = "kafka-python-operated"
    with admin(address) as client:
        create(client, topic)
        node_id = client.describe_cluster()["controller_id"]
        (quorum,) = client.describe_metadata_quorum()["topics"]
        (partition,) = quorum["partitions"]
        same(node_id, partition["leader_id"], "leader of the quorum")
        same([node_id], [one["replica_id"] for one in partition["current_voters"]], "voters")
        same({}, client.list_partition_reassignments(), "reassignments")
        client.alter_partition_reassignments({TopicPartition(topic, 0): [node_id]})
        (elected,) = client.elect_leaders(0, {topic: [0]}).replica_election_results
        error = for_code(elected.partition_result[0].error_code)
        same(ElectionNotNeededError, error, "election")
        same(True, topic in client.list_config_resources(["TOPIC"])["topic"], "config resources")
        same(True, "metadata.version" in client.describe_features(), "features")


STOPS: dict[str, Callable[[str], None]] = {
    "cluster": cluster,
    "topics": topics,
    "configs": configs,
    "acks": acks,
    "idempotent": idempotent,
    "large": large,
    "offsets": offsets,
    "deleted": deleted,
    "directories": directories,
    "operated": operated,
}


def tour(address: str, stops: list[str]) -> None:
    """The stops that are named, in their order."""
    for stop in stops:
        STOPS[stop](address)
        print("ok", stop, flush=True)


def write(address: str) -> None:
    """Produce what standard input asks for."""
    for topic, codec, records in asked_to_write():
        chosen = None if codec == "none" else codec
        with producer(address, compression_type=chosen, linger_ms=20) as sender:
            same(list(range(len(records))), send(sender, topic, records), topic)


def read_topics(address: str) -> None:
    """Read what standard input asks for."""
    wanted = dict(asked_to_read())
    with consumer(address, auto_offset_reset="earliest", check_crcs=True) as reader:
        reader.assign([TopicPartition(topic, 0) for topic in wanted])
        found = read(reader, sum(wanted.values()))
    print_read(found)


class Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes assignments."""

    def __init__(self, notes: Notes, reader: Any) -> None:
        self.notes, self.reader = notes, reader
        self.given: set[TopicPartition] = set()

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.notes.revoked(revoked)

    def on_partitions_lost(self, lost: set[TopicPartition]) -> None:
        self.notes.lost(lost)

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        # The only place where the client has it.
        self.notes.given(assigned, self.reader._coordinator._generation.generation_id)
        if self.notes.settings.assignor == "range":
            self.given |= assigned

    def begin(self) -> bool:
        """Go to what is committed of partitions that were given anew: kafka-python 3.0.12 goes on where it
        was once, if it missed the generation in which they were another's
        (consumer/subscription_state.py, assign_from_subscribed). True when there were some."""
        given, self.given = self.given & self.reader.assignment(), set()
        for where in given:
            offset = self.reader.committed(where)
            if offset is None:
                self.reader.seek_to_beginning(where)
            else:
                self.reader.seek(where, offset)
        return bool(given)


def member(address: str, text: str) -> None:
    """See `clients.member`."""
    notes = Notes(text)
    chosen = notes.settings
    assignors = {"range": RangePartitionAssignor, "cooperative-sticky": CooperativeStickyAssignor}
    reader = KafkaConsumer(
        bootstrap_servers=address,
        group_id=chosen.group,
        group_instance_id=chosen.instance,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level=chosen.isolation,
        session_timeout_ms=chosen.session_ms,
        heartbeat_interval_ms=chosen.heartbeat_ms,
        partition_assignment_strategy=[assignors[chosen.assignor]],
        fetch_max_wait_ms=50,
    )
    rebalances = Rebalances(notes, reader)
    reader.subscribe([chosen.topic], listener=rebalances)
    # kafka-python 3.0.12 never notices the end of a join whose poll() timed out between JoinGroup and
    # SyncGroup, if it joined for new metadata (coordinator/consumer.py, need_rejoin): it sends no
    # heartbeats any more. So it has the metadata of what it subscribes to before it joins.
    reader.topics()
    while not notes.leaving.is_set():
        found = reader.poll(timeout_ms=100)
        if not rebalances.begin() and found:
            commit(notes, reader, found)
    reader.close()


def commit(notes: Notes, reader: Any, found: dict[TopicPartition, list[Any]]) -> None:
    """Note what was handed out and commit it, unless the group is being rebalanced."""
    records = {
        where.partition: [(one.offset, one.value) for one in some] for where, some in found.items()
    }
    offsets, begun = notes.consumed(records), now()
    topic = notes.settings.topic
    wanted = {
        TopicPartition(topic, each): OffsetAndMetadata(offset, "", -1)
        for each, offset in offsets.items()
    }
    try:
        reader.commit(wanted)
    except (CommitFailedError, RebalanceInProgressError):
        return
    notes.committed(begun, offsets)


def main() -> None:
    """`tour ADDRESS STOP…`, `write ADDRESS`, `read ADDRESS`, `member ADDRESS SETTINGS`."""
    verb, address, *stops = sys.argv[1:]
    if verb == "tour":
        tour(address, stops)
    elif verb == "member":
        member(address, *stops)
    else:
        {"write": write, "read": read_topics}[verb](address)


if __name__ == "__main__":
    main()
