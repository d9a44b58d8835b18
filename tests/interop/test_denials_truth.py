"""What somebody who may do nothing is told by a real Apache Kafka, for every API that we serve.

The expected codes are those that tests/unit/server/test_node_authorization.py holds our node to.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from barnabas.wire.messages.create_topics_request import CreatableTopic, CreateTopicsRequest
from barnabas.wire.messages.create_topics_response import CreateTopicsResponse
from tests.interop.answers import Side
from tests.interop.kafka import KafkaProcess
from tests.unit.server.denials import CONTROLLER, DENIALS, codes_of, served
from tests.unit.server.denials_kinds import World

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


def test_kafka_says_what_our_table_says(kafka: Side) -> None:
    request = CreateTopicsRequest([CreatableTopic("t", 1, 1)], 5000)
    made = kafka.ask(request, 7)
    assert isinstance(made, CreateTopicsResponse)
    world = World(made.topics[0].topic_id, int(time.time() * 1000))
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
