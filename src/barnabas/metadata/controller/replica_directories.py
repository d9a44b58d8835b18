"""Which log directory of its broker a replica lives in (AssignReplicasToDirs, KIP-858)."""

from __future__ import annotations

from barnabas.metadata.controller.decision import ControllerSettings, Decision
from barnabas.metadata.controller.heartbeat import check_broker_epoch
from barnabas.metadata.controller.leadership import begin_change, effective_min_isr
from barnabas.metadata.features import MV_DIRECTORY_ASSIGNMENT
from barnabas.metadata.image import BrokerRegistration, MetadataImage
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages import assign_replicas_to_dirs_request as asked
from barnabas.wire.messages import assign_replicas_to_dirs_response as told

Request = asked.AssignReplicasToDirsRequest
Response = told.AssignReplicasToDirsResponse


def assign_replicas(
    image: MetadataImage, settings: ControllerSettings, request: Request
) -> Decision[Response]:
    """Note where a broker has put replicas. One in a directory that has failed leaves the ISR.

    Raises KafkaError STALE_BROKER_EPOCH, UNSUPPORTED_VERSION. Per partition: UNKNOWN_TOPIC_ID,
    UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER.
    """
    if image.features.version < MV_DIRECTORY_ASSIGNMENT:
        raise KafkaError(
            ErrorCode.UNSUPPORTED_VERSION,
            "The cluster's metadata.version is too old for replicas to be assigned to directories.",
        )
    broker = check_broker_epoch(image, request.broker_id, request.broker_epoch)
    records: list[Message] = []
    directories = []
    for directory in request.directories:
        topics = []
        for topic in directory.topics:
            partitions = []
            for partition in topic.partitions:
                index = partition.partition_index
                code = _assign(
                    image, settings, broker, directory.id, topic.topic_id, index, records
                )
                partitions.append(told.PartitionData(index, code))
            topics.append(told.TopicData(topic.topic_id, partitions))
        directories.append(told.DirectoryData(directory.id, topics))
    response = Response(error_code=ErrorCode.NONE, directories=directories)
    # The broker says it again at its next start, should only a part get into the log.
    return Decision(records, response, atomic=False)


def _assign(
    image: MetadataImage,
    settings: ControllerSettings,
    broker: BrokerRegistration,
    directory: bytes,
    topic_id: bytes,
    index: int,
    records: list[Message],
) -> ErrorCode:
    topic = image.topics.by_id.get(topic_id)
    if topic is None:
        return ErrorCode.UNKNOWN_TOPIC_ID
    partition = topic.partitions.get(index)
    if partition is None:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if broker.id not in partition.replicas:
        return ErrorCode.NOT_LEADER_OR_FOLLOWER
    offline = not broker.has_online_directory(directory)
    change = begin_change(
        image,
        partition,
        min_isr=effective_min_isr(image, settings, topic),
        gone=(broker.id,) if offline else (),
    )
    change.directories[broker.id] = directory
    if offline:
        change.isr = [replica for replica in partition.isr if replica != broker.id]
    record = change.build(topic_id, index)
    if record is not None:
        records.append(record)
    return ErrorCode.NONE
