"""CreateTopics."""

from __future__ import annotations

from collections import Counter

from barnabas.metadata.controller.assignments import (
    manual_partition,
    partition_records,
    placed_partitions,
)
from barnabas.metadata.controller.config_changes import ConfigChange, ConfigEditor, Operation
from barnabas.metadata.controller.decision import (
    Charge,
    ControllerSettings,
    Decision,
    check_new_partitions,
    check_record_count,
    free,
)
from barnabas.metadata.controller.topic_names import (
    METADATA_TOPIC,
    check_collision,
    check_topic_name,
)
from barnabas.metadata.image import MetadataImage, Partition
from barnabas.metadata.image.configs import BROKER, TOPIC
from barnabas.metadata.record_types import TopicRecord
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.create_topics_request import CreatableTopic, CreateTopicsRequest
from barnabas.wire.messages.create_topics_response import (
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreateTopicsResponse,
)


def create_topics(
    image: MetadataImage,
    settings: ControllerSettings,
    request: CreateTopicsRequest,
    *,
    forwarded: bool = True,
    charge: Charge = free,
) -> Decision[CreateTopicsResponse]:
    """Create topics; each succeeds or fails for itself, all that succeed in one batch.

    The reply lists effective configs; hide them (TOPIC_AUTHORIZATION_FAILED in
    topic_config_error_code) from who may not describe the topic's configs. Raises KafkaError
    POLICY_VIOLATION when the request is too large as a whole.
    """
    _check_partition_total(request, settings)
    counts = Counter(topic.name for topic in request.topics)
    unique = [t for t in request.topics if counts[t.name] == 1 and t.name != METADATA_TOPIC]
    records: list[Message] = []
    results: list[CreatableTopicResult] = []
    for topic in unique:
        try:
            result, created = _create(image, settings, topic, forwarded, charge)
        except KafkaError as error:
            result = _failed(topic.name, error)
        else:
            records += created
            check_record_count(records)  # at once: what is too large is not worked out to its end
        results.append(result)
    for name, count in counts.items():
        if count > 1:
            results.append(_refused(name, "Duplicate topic name."))
        elif name == METADATA_TOPIC:
            results.append(_refused(name, f"Creation of internal topic {name} is prohibited."))
    response = CreateTopicsResponse(topics=results)
    return Decision(() if request.validate_only else records, response)


def _check_partition_total(request: CreateTopicsRequest, settings: ControllerSettings) -> None:
    total = 0
    for topic in request.topics:
        if topic.assignments:
            total += len(topic.assignments)
        elif topic.num_partitions == -1:
            total += settings.num_partitions
        else:
            total += max(topic.num_partitions, 0)
    check_new_partitions(total)


def _create(
    image: MetadataImage,
    settings: ControllerSettings,
    topic: CreatableTopic,
    forwarded: bool,
    charge: Charge,
) -> tuple[CreatableTopicResult, list[Message]]:
    check_topic_name(topic.name)
    if topic.name in image.topics.by_name:
        raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{topic.name}' already exists.")
    check_collision(image.topics, topic.name)
    configs = _configs(topic)
    editor = ConfigEditor(image, settings, (TOPIC, topic.name), existing=False, forwarded=forwarded)
    config_records = editor.incremental(
        [ConfigChange(name, Operation.SET, value) for name, value in configs.items()]
    )
    partitions = _partitions(image, settings, topic)
    charge(len(partitions))
    topic_id = settings.new_uuid()
    # Kafka's order: the topic, its configs, its partitions.
    records: list[Message] = [
        TopicRecord(name=topic.name, topic_id=topic_id),
        *config_records,
        *partition_records(image, topic_id, 0, partitions),
    ]
    result = CreatableTopicResult(
        name=topic.name,
        topic_id=topic_id,
        error_message=None,
        num_partitions=len(partitions),
        replication_factor=len(partitions[0].replicas),
        configs=_effective_configs(image, settings, configs),
    )
    return result, records


def _configs(topic: CreatableTopic) -> dict[str, str]:
    empty = [config.name for config in topic.configs if config.value is None]
    if empty:
        raise KafkaError(
            ErrorCode.INVALID_CONFIG,
            f"Null value not supported for topic configs: {','.join(empty)}",
        )
    return {config.name: config.value or "" for config in topic.configs}


def _effective_configs(
    image: MetadataImage, settings: ControllerSettings, configs: dict[str, str]
) -> list[CreatableTopicConfigs]:
    node = image.configs.of(BROKER, str(settings.node_id))
    return settings.schema.topic_entries(configs, node, image.configs.of(BROKER, ""))


def _partitions(
    image: MetadataImage, settings: ControllerSettings, topic: CreatableTopic
) -> list[Partition]:
    if topic.assignments:
        return _assigned(image, topic)
    if topic.replication_factor < -1 or topic.replication_factor == 0:
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        )
    if topic.num_partitions < -1 or topic.num_partitions == 0:
        raise KafkaError(
            ErrorCode.INVALID_PARTITIONS,
            "The number of partitions must be larger than 0, or -1 to use the default value.",
        )
    count = settings.num_partitions if topic.num_partitions == -1 else topic.num_partitions
    factor = topic.replication_factor
    if factor == -1:
        factor = settings.default_replication_factor
    try:
        return placed_partitions(image, settings, count, factor)
    except KafkaError as error:
        raise KafkaError(
            error.code, f"Unable to replicate the partition {factor} time(s): {error.message}"
        ) from None


def _assigned(image: MetadataImage, topic: CreatableTopic) -> list[Partition]:
    if topic.replication_factor != -1 or topic.num_partitions != -1:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            "With a manual partition assignment, replication factor and number of partitions "
            "must both be -1.",
        )
    partitions: dict[int, Partition] = {}
    factor: int | None = None
    for assignment in topic.assignments:
        number = assignment.partition_index
        if number in partitions:
            raise KafkaError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"Found multiple manual partition assignments for partition {number}.",
            )
        partitions[number] = manual_partition(image.cluster, number, assignment.broker_ids, factor)
        factor = len(assignment.broker_ids)
    if sorted(partitions) != list(range(len(partitions))):
        raise KafkaError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            "Partitions must be numbered from 0 without a gap.",
        )
    return [partitions[number] for number in range(len(partitions))]


def _failed(name: str, error: KafkaError) -> CreatableTopicResult:
    return CreatableTopicResult(name=name, error_code=error.code, error_message=error.message)


def _refused(name: str, message: str) -> CreatableTopicResult:
    return _failed(name, KafkaError(ErrorCode.INVALID_REQUEST, message))
