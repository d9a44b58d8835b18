"""What a decision is, and what decisions need to know beside the image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.configs import BROKER, TOPIC
from barnabas.records.control import ControlType
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.create_topics_response import CreatableTopicConfigs

T_co = TypeVar("T_co", covariant=True)

MAX_RECORDS_PER_USER_OPERATION = 10_000
"""Kafka's cap on the records of one request; more is a POLICY_VIOLATION."""

MAX_RECORDS_PER_BATCH = 10_000
"""Kafka's cap on the records of one batch of a decision that is not atomic."""

MIN_INSYNC_REPLICAS = "min.insync.replicas"
UNCLEAN_LEADER_ELECTION = "unclean.leader.election.enable"


class Decision(NamedTuple, Generic[T_co]):
    """Records to append (none: nothing to wait for), and the reply.

    `atomic`: all in one batch. Otherwise in order, in batches of at most
    MAX_RECORDS_PER_BATCH: what a broker's coming and going writes grows with its partitions, and
    a half of it is finished when the broker comes or is fenced again. `control`: what the quorum
    says of itself, in a batch of its own before the records.
    """

    records: Sequence[Message]
    response: T_co
    atomic: bool = True
    control: Sequence[tuple[ControlType, Message]] = ()


Charge: TypeAlias = Callable[[int], None]
"""Counts partitions that are created or deleted against the client's quota. Raises KafkaError
(THROTTLING_QUOTA_EXCEEDED): there are to be none."""


def free(partitions: int) -> None:
    """No quota."""
    del partitions


class ConfigSchema(Protocol):
    """What the controller asks of the config definitions. Resource types are Kafka's numbers."""

    def validate(
        self, resource_type: int, resource_name: str, new: Mapping[str, str], old: Mapping[str, str]
    ) -> None:
        """Check all values that a resource would have. Raises KafkaError (INVALID_CONFIG, ...)."""

    def is_list(self, resource_type: int, name: str) -> bool:
        """Whether a config is a list, so that APPEND and SUBTRACT apply."""

    def default(self, resource_type: int, name: str) -> str | None:
        """The value without any dynamic config: server.properties, else Kafka's default."""

    def built_in(self, resource_type: int, name: str) -> str | None:
        """Kafka's default, whatever server.properties says: what APPEND and SUBTRACT begin with."""

    def topic_entries(
        self,
        topic: Mapping[str, str],
        node: Mapping[str, str],
        cluster: Mapping[str, str],
    ) -> list[CreatableTopicConfigs]:
        """Effective configs of a topic, sorted by name (the CreateTopics reply)."""


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """The active controller's own configuration and its sources of chance.

    `random_below(n)` gives a uniform integer in [0, n); `new_uuid()` 16 random bytes.
    """

    node_id: int
    cluster_id: str
    schema: ConfigSchema
    random_below: Callable[[int], int]
    new_uuid: Callable[[], bytes]
    num_partitions: int = 1
    default_replication_factor: int = 1
    delete_topic_enable: bool = True


def topic_value(
    image: MetadataImage, settings: ControllerSettings, topic: str, name: str
) -> str | None:
    """A topic's effective config: topic, this node, the cluster's default, then static."""
    for resource_type, resource in ((TOPIC, topic), (BROKER, str(settings.node_id)), (BROKER, "")):
        value = image.configs.of(resource_type, resource).get(name)
        if value is not None:
            return value
    return settings.schema.default(TOPIC, name)


def check_new_partitions(count: int) -> None:
    """Raises KafkaError POLICY_VIOLATION when a request adds too many partitions at once."""
    if count > MAX_RECORDS_PER_USER_OPERATION:
        raise KafkaError(
            ErrorCode.POLICY_VIOLATION,
            f"The request asks for {count} partitions, at most {MAX_RECORDS_PER_USER_OPERATION} "
            "can be created at once.",
        )


def check_record_count(records: Sequence[Message]) -> None:
    """Raises KafkaError POLICY_VIOLATION when one request would write too many records."""
    if len(records) > MAX_RECORDS_PER_USER_OPERATION:
        raise KafkaError(
            ErrorCode.POLICY_VIOLATION,
            f"The request needs {len(records)} metadata records, more than the "
            f"{MAX_RECORDS_PER_USER_OPERATION} that one request may write.",
        )
