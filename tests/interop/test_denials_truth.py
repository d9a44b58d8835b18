"""What somebody who may do nothing is told by a real Apache Kafka, for every API that we serve.

The expected codes are those that tests/unit/server/test_node_authorization.py holds our node to.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from barnabas.wire.messages.create_topics_request import CreatableTopic, CreateTopicsRequest
from barnabas.wire.messages.metadata_request import MetadataRequest, MetadataRequestTopic
from barnabas.wire.messages.metadata_response import MetadataResponse
from tests.interop.answers import Side
from tests.interop.kafka import KafkaProcess
from tests.unit.server.denials import CONTROLLER, DENIALS, codes_of, served
from tests.unit.server.denials_kinds import World
from tests.unit.server.denials_transactions import DENIED_IN_PART

#: Listed by Kafka on this listener, but not served there: UNKNOWN_SERVER_ERROR for everybody.
LISTED_ONLY = {(CONTROLLER, 50)}

pytestmark = pytest.mark.usefixtures("java")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """A node whose authorizer lets everybody do everything but clients with the id "denied"."""
    directory = tmp_path_factory.mktemp("denying")
    with KafkaProcess(directory, {"authorizer.class.name": "DenyingAuthorizer"}) as node:
        side = Side(node)
        yield side
        side.close()


def test_kafka_says_the_same_to_who_may_not_touch_one_resource(kafka: Side) -> None:
    kafka.ask(CreateTopicsRequest([CreatableTopic(name, 1, 1) for name in "tu"], 5000), 7)
    wrong = []
    for denial in DENIED_IN_PART:
        for version in denial.versions:
            client = f"denied {denial.kind} {denial.name}"
            answer = kafka.ask(denial.request, version, client=client)
            if tuple(sorted(codes_of(answer))) != denial.codes:
                wrong.append((denial, version, codes_of(answer)))
    assert not wrong, "\n".join(map(str, wrong))


def test_kafka_says_what_our_table_says(kafka: Side) -> None:
    kafka.ask(CreateTopicsRequest([CreatableTopic("t", 1, 1)], 5000), 7)
    there = kafka.ask(MetadataRequest([MetadataRequestTopic(name="t")]), 12)
    assert isinstance(there, MetadataResponse)
    world = World(there.topics[0].topic_id, int(time.time() * 1000))
    wrong = []
    for listener, key, version in served():
        if (listener, key) in LISTED_ONLY:
            continue
        for denial in DENIALS[key](world, version, listener):
            answer = kafka.ask(denial.request, version, listener, client="denied")
            if codes_of(answer) != denial.codes:
                what = f"{listener} {denial.request.NAME} v{version} {denial.sent}"
                wrong.append((what, codes_of(answer), denial.codes))
    assert not wrong, "\n".join(map(str, wrong))
