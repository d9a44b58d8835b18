"""DeleteTopics, by name and by id (KIP-516)."""

from __future__ import annotations

from collections import Counter

from barnabas.metadata.controller.decision import (
    Charge,
    ControllerSettings,
    Decision,
    check_record_count,
    free,
)
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.record_types import RemoveTopicRecord
from barnabas.wire import uuids
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest
from barnabas.wire.messages.delete_topics_response import (
    DeletableTopicResult,
    DeleteTopicsResponse,
)


class _Deletion:
    """Sorts out one request: which topics go, and who gets an error."""

    def __init__(self, image: MetadataImage) -> None:
        self.image = image
        self.results: list[DeletableTopicResult] = []
        self.chosen: dict[bytes, str] = {}

    def fail(self, name: str | None, topic_id: bytes, code: ErrorCode, message: str | None) -> None:
        self.results.append(
            DeletableTopicResult(
                name=name, topic_id=topic_id, error_code=code, error_message=message
            )
        )

    def sort_out(self, request: DeleteTopicsRequest) -> tuple[list[str], list[bytes]]:
        """Names and ids asked for exactly once."""
        names = Counter(request.topic_names)
        ids: Counter[bytes] = Counter()
        for topic in request.topics:
            if topic.name is None and topic.topic_id == uuids.ZERO:
                self._refuse(None, uuids.ZERO, "Neither topic name nor id were specified.")
            elif topic.name is None:
                ids[topic.topic_id] += 1
            elif topic.topic_id == uuids.ZERO:
                names[topic.name] += 1
            else:
                self._refuse(
                    topic.name,
                    topic.topic_id,
                    "Topic name and topic id cannot both be specified.",
                )
        for name, count in names.items():
            if count > 1:
                self._refuse(name, uuids.ZERO, "Duplicate topic name.")
        for topic_id, count in ids.items():
            if count > 1:
                self._refuse(None, topic_id, "Duplicate topic id.")
        self.repeated_ids = {topic_id for topic_id, count in ids.items() if count > 1}
        return (
            [name for name, count in names.items() if count == 1],
            [topic_id for topic_id, count in ids.items() if count == 1],
        )

    def choose(self, names: list[str], ids: list[bytes]) -> None:
        for topic_id in ids:
            topic = self.image.topics.by_id.get(topic_id)
            if topic is None:
                self.fail(None, topic_id, ErrorCode.UNKNOWN_TOPIC_ID, "No topic has this topic id.")
            else:
                self.chosen[topic_id] = topic.name
        for name in names:
            topic = self.image.topics.by_name.get(name)
            if topic is None:
                self.fail(
                    name,
                    uuids.ZERO,
                    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                    "This topic does not exist.",
                )
            elif topic.id in self.chosen or topic.id in self.repeated_ids:
                self.chosen.pop(topic.id, None)
                self._refuse(
                    name,
                    topic.id,
                    "The provided topic name maps to an ID that was already supplied.",
                )
            else:
                self.chosen[topic.id] = name

    def charge(self, charge: Charge) -> None:
        for topic_id, name in list(self.chosen.items()):
            try:
                charge(len(self.image.topics.by_id[topic_id].partitions))
            except KafkaError as error:
                del self.chosen[topic_id]
                self.fail(name, topic_id, error.code, error.message)

    def _refuse(self, name: str | None, topic_id: bytes, message: str) -> None:
        self.fail(name, topic_id, ErrorCode.INVALID_REQUEST, message)


def delete_topics(
    image: MetadataImage,
    settings: ControllerSettings,
    request: DeleteTopicsRequest,
    *,
    charge: Charge = free,
) -> Decision[DeleteTopicsResponse]:
    """Delete topics; each succeeds or fails for itself, all that succeed in one batch.

    Raises KafkaError: TOPIC_DELETION_DISABLED (delete.topic.enable=false), POLICY_VIOLATION.
    """
    if not settings.delete_topic_enable:
        raise KafkaError(ErrorCode.TOPIC_DELETION_DISABLED, "Topic deletion is disabled.")
    deletion = _Deletion(image)
    names, ids = deletion.sort_out(request)
    deletion.choose(names, ids)
    deletion.charge(charge)
    records = [RemoveTopicRecord(topic_id=topic_id) for topic_id in deletion.chosen]
    check_record_count(records)
    results = deletion.results + [
        DeletableTopicResult(name=name, topic_id=topic_id)
        for topic_id, name in deletion.chosen.items()
    ]
    return Decision(records, DeleteTopicsResponse(responses=results))
