"""A scripted life of a node over its wire, with a journal of what was acknowledged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from barnabas.records.builder import build_batch
from barnabas.wire.message import Message
from barnabas.wire.messages.create_topics_request import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from barnabas.wire.messages.create_topics_response import CreateTopicsResponse
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest
from barnabas.wire.messages.delete_topics_response import DeleteTopicsResponse
from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from barnabas.wire.messages.incremental_alter_configs_response import (
    IncrementalAlterConfigsResponse,
)
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from tests.hostile.target import Client, now_ms, produce

SETTINGS = {
    "log.retention.check.interval.ms": "150",
    "log.initial.task.delay.ms": "100",
    "log.flush.offset.checkpoint.interval.ms": "200",
    "log.flush.start.offset.checkpoint.interval.ms": "200",
    "replica.high.watermark.checkpoint.interval.ms": "200",
}
TOPICS = {
    "steady": {"internal.segment.bytes": "4096", "index.interval.bytes": "600"},
    "rolling": {
        "internal.segment.bytes": "2048",
        "retention.bytes": "6000",
        "file.delete.delay.ms": "100",
    },
    "doomed": {"internal.segment.bytes": "2048"},
}
M = TypeVar("M", bound=Message)
RECORDS = 3
ROUNDS = 120
ALTERED = ("retention.ms", "86400001")


@dataclass
class Journal:
    """What the node was asked for, and what it acknowledged."""

    asked: set[str] = field(default_factory=set)
    created: set[str] = field(default_factory=set)
    delete_asked: bool = False
    deleted: bool = False
    altered: bool = False
    alter_asked: bool = False
    #: End of what was acknowledged, by topic, and whether one more batch is on its way.
    ends: dict[str, int] = field(default_factory=dict)
    in_doubt: set[str] = field(default_factory=set)
    producer_id: int = -1
    finished: bool = False


class Script:
    """Plays against one connection until the node dies (an `AssertionError` or `OSError`)."""

    def __init__(self, client: Client, journal: Journal, rounds: int = ROUNDS) -> None:
        self._client = client
        self.journal = journal
        self._rounds = rounds

    def play(self) -> None:
        """From the first request to the last."""
        journal = self.journal
        known = self._ask(InitProducerIdRequest(None), 4, InitProducerIdResponse)
        assert known.error_code == 0, known
        journal.producer_id = known.producer_id
        for topic, configs in TOPICS.items():
            self._create(topic, configs)
        alter_at, delete_at = self._rounds * 5 // 12, self._rounds * 2 // 3
        for number in range(self._rounds):
            self.write("steady")
            if number % 2:
                self.write("rolling")
            if number % 5 == 0 and number < delete_at:
                self.write("doomed")
            if number == alter_at:
                self._alter()
            if number == delete_at:
                self._delete("doomed")
        journal.finished = True

    def write(self, topic: str) -> None:
        """Append the next records of a topic; repeats those in doubt."""
        journal = self.journal
        start = journal.ends.get(topic, 0)
        journal.in_doubt.add(topic)
        records = [(b"key", b"%s %d" % (topic.encode(), n), now_ms(), ()) for n in numbers(start)]
        batch = build_batch(
            records, producer_id=journal.producer_id, producer_epoch=0, base_sequence=start
        )
        answer = produce(self._client, topic, bytes(batch))
        assert answer.error_code == 0, answer
        assert answer.base_offset == start, answer
        journal.ends[topic] = start + RECORDS
        journal.in_doubt.discard(topic)

    def _create(self, topic: str, configs: dict[str, str]) -> None:
        self.journal.asked.add(topic)
        settings = [CreatableTopicConfig(name, value) for name, value in configs.items()]
        request = CreateTopicsRequest(topics=[CreatableTopic(topic, 1, 1, configs=settings)])
        answer = self._ask(request, 5, CreateTopicsResponse)
        assert answer.topics[0].error_code == 0, answer
        self.journal.created.add(topic)

    def _alter(self) -> None:
        self.journal.alter_asked = True
        change = AlterConfigsResource(2, "steady", [AlterableConfig(ALTERED[0], 0, ALTERED[1])])
        request = IncrementalAlterConfigsRequest(resources=[change])
        answer = self._ask(request, 0, IncrementalAlterConfigsResponse)
        assert answer.responses[0].error_code == 0, answer
        self.journal.altered = True

    def _delete(self, topic: str) -> None:
        self.journal.delete_asked = True
        request = DeleteTopicsRequest(topic_names=[topic], timeout_ms=10_000)
        answer = self._ask(request, 3, DeleteTopicsResponse)
        assert answer.responses[0].error_code == 0, answer
        self.journal.deleted = True

    def _ask(self, request: Message, version: int, kind: type[M]) -> M:
        answer = self._client.ask(request, version)
        assert isinstance(answer, kind)
        return answer


def numbers(start: int) -> range:
    """The numbers in the records of the batch at `start`: their offsets."""
    return range(start, start + RECORDS)
