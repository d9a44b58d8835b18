"""What only a real Kafka shows of a directory: transactions, quotas, SCRAM, producers of its own topics."""

from __future__ import annotations

from collections.abc import Iterable

from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.describe_client_quotas_request import DescribeClientQuotasRequest
from barnabas.wire.messages.describe_client_quotas_response import DescribeClientQuotasResponse
from barnabas.wire.messages.describe_producers_request import (
    DescribeProducersRequest,
    TopicRequest,
)
from barnabas.wire.messages.describe_producers_response import DescribeProducersResponse
from barnabas.wire.messages.describe_transactions_request import DescribeTransactionsRequest
from barnabas.wire.messages.describe_transactions_response import DescribeTransactionsResponse
from barnabas.wire.messages.describe_user_scram_credentials_request import (
    DescribeUserScramCredentialsRequest,
)
from barnabas.wire.messages.describe_user_scram_credentials_response import (
    DescribeUserScramCredentialsResponse,
)
from tests.hostile.target import Client
from tests.interop.kafka import HOST, Node
from tests.interop.seen import Section, ask, loaded

NOT_YET = int(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
TRANSACTIONAL_IDS = ("one", "two", "java-first", "java-second", "java-open")


def look_at_transactions(node: Node, names: Iterable[str] = TRANSACTIONAL_IDS) -> Section:
    """What the coordinator knows of transactional ids, when none of them is being ended."""
    request = DescribeTransactionsRequest(list(names))
    with Client((HOST, node.port)) as client:
        answer = loaded(
            lambda: ask(client, request, 0, DescribeTransactionsResponse),
            lambda answer: [
                NOT_YET if state.transaction_state.startswith("Prepare") else state.error_code
                for state in answer.transaction_states
            ],
        )
    for state in answer.transaction_states:
        state.topics.sort(key=lambda topic: topic.topic)
        for topic in state.topics:
            topic.partitions.sort()
    return {state.transactional_id: repr(state) for state in answer.transaction_states}


def look_as_coordinator(node: Node, producers_of: list[str]) -> dict[str, Section]:
    """Transactional ids, quotas, credentials, and the producers of topics.

    Producers only of topics whose producers nobody adds to.
    """
    with Client((HOST, node.port)) as client:
        quotas = ask(client, DescribeClientQuotasRequest(), 1, DescribeClientQuotasResponse)
        scram = ask(
            client, DescribeUserScramCredentialsRequest(), 0, DescribeUserScramCredentialsResponse
        )
        asked = DescribeProducersRequest([TopicRequest(name, [0]) for name in producers_of])
        producers = ask(client, asked, 0, DescribeProducersResponse)
    assert scram.results
    assert quotas.entries
    return {
        "transactions": look_at_transactions(node),
        "quotas": {"all": sorted(map(repr, quotas.entries))},
        "scram": {"all": sorted(map(repr, scram.results))},
        "producers": {
            topic.name: sorted(repr(p) for p in topic.partitions[0].active_producers)
            for topic in producers.topics
        },
    }
