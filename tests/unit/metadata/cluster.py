"""A small cluster as the controller sees it, for tests of decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count

from barnabas.metadata.bootstrap import bootstrap_records
from barnabas.metadata.controller.decision import ControllerSettings, Decision
from barnabas.metadata.delta import MetadataDelta
from barnabas.metadata.features import initial_levels, supported_features
from barnabas.metadata.image import MetadataImage, Partition, Provenance
from barnabas.metadata.record_types import (
    PartitionRecord,
    RegisterBrokerRecord,
    TopicRecord,
)
from barnabas.metadata.records.register_broker_record import BrokerEndpoint, BrokerFeature
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.create_topics_response import CreatableTopicConfigs

CLUSTER_ID = "AAAAAAAAQACAAAAAAAAAAg"


class Schema:
    """A `ConfigSchema` of three topic configs."""

    defaults: Mapping[str, str] = {
        "min.insync.replicas": "1",
        "unclean.leader.election.enable": "false",
        "cleanup.policy": "delete",
    }

    def __init__(self, **defaults: str) -> None:
        self.values = {**self.defaults, **{k.replace("_", "."): v for k, v in defaults.items()}}

    def validate(
        self, resource_type: int, resource_name: str, new: Mapping[str, str], old: Mapping[str, str]
    ) -> None:
        """`bad` is never a value."""
        del resource_name, old
        for name, value in new.items():
            if value == "bad":
                raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name} is bad ({resource_type})")

    def is_list(self, resource_type: int, name: str) -> bool:
        """One list."""
        del resource_type
        return name == "cleanup.policy"

    def default(self, resource_type: int, name: str) -> str | None:
        """Of the three."""
        del resource_type
        return self.values.get(name)

    def built_in(self, resource_type: int, name: str) -> str | None:
        """Of the three."""
        del resource_type
        return self.values.get(name)

    def topic_entries(
        self, topic: Mapping[str, str], node: Mapping[str, str], cluster: Mapping[str, str]
    ) -> list[CreatableTopicConfigs]:
        """Just the merged values."""
        merged = {**self.values, **cluster, **node, **topic}
        return [CreatableTopicConfigs(name=n, value=v) for n, v in sorted(merged.items())]


def settings(*, minimum: str = "1", unclean: str = "false") -> ControllerSettings:
    """Placement without chance, topic ids counting up."""
    ids: Iterator[int] = count(1)
    schema = Schema(min_insync_replicas=minimum, unclean_leader_election_enable=unclean)
    return ControllerSettings(
        node_id=1,
        cluster_id=CLUSTER_ID,
        schema=schema,
        random_below=lambda _: 0,
        new_uuid=lambda: next(ids).to_bytes(16, "big"),
        num_partitions=2,
        default_replication_factor=1,
    )


def directory(broker_id: int) -> bytes:
    """The log directory of a broker."""
    return bytes([0xD0] * 15 + [broker_id])


def broker(
    broker_id: int, *, fenced: bool = False, shutdown: bool = False, rack: str | None = None
) -> RegisterBrokerRecord:
    """A registration; epoch 100 + id."""
    return RegisterBrokerRecord(
        broker_id=broker_id,
        incarnation_id=bytes([broker_id] * 16),
        broker_epoch=100 + broker_id,
        end_points=[BrokerEndpoint(name="PLAINTEXT", host="h", port=9092)],
        features=[BrokerFeature(n, r.min, r.max) for n, r in supported_features().items()],
        rack=rack,
        fenced=fenced,
        in_controlled_shutdown=shutdown,
        log_dirs=[directory(broker_id)],
    )


def topic(
    name: str, topic_id: bytes, replicas: Sequence[Sequence[int]], **fields: list[int]
) -> list[Message]:
    """A topic whose partitions are led by their first replica, all replicas in sync."""
    records: list[Message] = [TopicRecord(name=name, topic_id=topic_id)]
    for number, brokers in enumerate(replicas):
        record = PartitionRecord(
            partition_id=number,
            topic_id=topic_id,
            replicas=list(brokers),
            isr=list(fields.get("isr", brokers)),
            leader=brokers[0],
            leader_epoch=0,
            partition_epoch=0,
            directories=[directory(b) for b in brokers],
        )
        record.eligible_leader_replicas = fields.get("elr")
        records.append(record)
    return records


def image_of(*records: Message, elr: bool = True, level: int | None = None) -> MetadataImage:
    """Bootstrap records and `records` at offset 1000."""
    levels = initial_levels()
    if not elr:
        levels["eligible.leader.replicas.version"] = 0
    if level is not None:
        levels = {"metadata.version": level}
    return replayed(MetadataImage.empty(), [*bootstrap_records(levels), *records])


def replayed(image: MetadataImage, records: Sequence[Message]) -> MetadataImage:
    """The image after more records."""
    delta = MetadataDelta(image)
    delta.replay_all(records)
    offset = max(image.provenance.offset, 999) + 1
    return delta.apply(Provenance(offset, 1, 5))


def after(image: MetadataImage, decision: Decision[object]) -> MetadataImage:
    """The image when a decision is committed."""
    return replayed(image, decision.records)


def partition(image: MetadataImage, name: str = "t", number: int = 0) -> Partition:
    """One partition that is there."""
    found = image.topics.partition(name, number)
    assert found is not None
    return found
