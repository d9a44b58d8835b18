"""What is in which version, and how small a struct can be."""

from __future__ import annotations

from random import Random

import pytest

from barnabas.metadata.records.partition_change_record import PartitionChangeRecord
from barnabas.wire.codec import encode
from barnabas.wire.layout import Where, least_element, least_size, place
from barnabas.wire.message import Message
from barnabas.wire.messages.describe_topic_partitions_request import (
    DescribeTopicPartitionsRequest,
)
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest
from barnabas.wire.messages.fetch_response import PartitionData
from barnabas.wire.messages.metadata_request import MetadataRequestTopic
from barnabas.wire.messages.request_header import RequestHeader
from tests.wire_samples import classes, every_version, random_message


@pytest.mark.parametrize(
    ("cls", "version", "size"),
    [
        (MetadataRequestTopic, 1, 2),
        (MetadataRequestTopic, 9, 2),  # name, tags
        (MetadataRequestTopic, 12, 18),  # id, name, tags
        (FetchPartition, 4, 16),
        (FetchPartition, 17, 33),  # the directory id is a tagged field
        (PartitionData, 4, 30),
        (PartitionData, 12, 37),
        (RequestHeader, 1, 10),
        (RequestHeader, 2, 11),
        (DescribeTopicPartitionsRequest, 0, 7),  # topics, limit, absent cursor, tags
        (PartitionChangeRecord, 2, 21),
    ],
)
def test_least_sizes(cls: type[Message], version: int, size: int) -> None:
    assert least_size(cls, version) == size


def test_no_message_is_smaller_than_the_least_size() -> None:
    random = Random(1)
    for cls, version in every_version():
        sizes = [len(encode(random_message(random, cls, version), version)) for _ in range(3)]
        assert min(sizes) >= least_size(cls, version), (cls, version)


def test_defaults_of_messages_without_lists_come_close_to_the_least_size() -> None:
    for cls in classes():
        if any(field.kind != "int32" for field in cls.FIELDS):
            continue
        for version in range(cls.VERSIONS[0], cls.VERSIONS[1] + 1):
            assert len(encode(cls(), version)) == least_size(cls, version)


def test_least_elements() -> None:
    topics = {p.field.name: p for p in place(FetchRequest, 17)}["forgotten_topics_data"]
    assert least_element(topics, 17) == 18
    assert topics.field.struct is not None
    numbers = {p.field.name: p for p in place(topics.field.struct, 17)}["partitions"]
    assert least_element(numbers, 17) == 4


def test_places() -> None:
    def placed(version: int) -> dict[str, Where]:
        return {p.field.name: p.where for p in place(FetchRequest, version)}

    assert placed(11)["cluster_id"] is Where.ABSENT
    assert placed(12)["cluster_id"] is Where.TAGGED
    assert placed(14)["replica_id"] is Where.PLAIN
    assert placed(15)["replica_id"] is Where.ABSENT
