"""What only a real Kafka shows of a directory: groups, transactions, producers, quotas, SCRAM."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message
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
from barnabas.wire.messages.offset_fetch_request import OffsetFetchRequest, OffsetFetchRequestGroup
from barnabas.wire.messages.offset_fetch_response import OffsetFetchResponse
from tests.hostile.target import WAIT_SECONDS, Client
from tests.interop.kafka import HOST, Node
from tests.interop.seen import Section, ask

M = TypeVar("M", bound=Message)
GROUPS = ("readers", "java-group")
TRANSACTIONAL_IDS = ("one", "two", "java-first", "java-second", "java-open")
LOADING = {ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.NOT_COORDINATOR}


def look_as_coordinator(node: Node, producers_of: list[str]) -> dict[str, Section]:
    """Committed offsets, transactional ids, quotas, credentials, and the producers of topics.

    Producers only of topics whose producers nobody adds to.
    """
    with Client((HOST, node.port)) as client:
        groups = [OffsetFetchRequestGroup(name, topics=None) for name in GROUPS]
        offsets = _loaded(
            lambda: ask(client, OffsetFetchRequest(groups=groups), 9, OffsetFetchResponse),
            lambda answer: [group.error_code for group in answer.groups],
        )
        transactions = _loaded(
            lambda: ask(
                client,
                DescribeTransactionsRequest(list(TRANSACTIONAL_IDS)),
                0,
                DescribeTransactionsResponse,
            ),
            lambda answer: [state.error_code for state in answer.transaction_states],
        )
        quotas = ask(client, DescribeClientQuotasRequest(), 1, DescribeClientQuotasResponse)
        scram = ask(
            client, DescribeUserScramCredentialsRequest(), 0, DescribeUserScramCredentialsResponse
        )
        asked = DescribeProducersRequest([TopicRequest(name, [0]) for name in producers_of])
        producers = ask(client, asked, 0, DescribeProducersResponse)
    assert scram.results
    assert quotas.entries
    return {
        "offsets of groups": {g.group_id: sorted(map(repr, g.topics)) for g in offsets.groups},
        "transactions": {t.transactional_id: repr(t) for t in transactions.transaction_states},
        "quotas": {"all": sorted(map(repr, quotas.entries))},
        "scram": {"all": sorted(map(repr, scram.results))},
        "producers": {
            topic.name: sorted(repr(p) for p in topic.partitions[0].active_producers)
            for topic in producers.topics
        },
    }


def _loaded(get: Callable[[], M], errors: Callable[[M], list[int]]) -> M:
    """The first answer in which no coordinator is still loading."""
    deadline = time.monotonic() + WAIT_SECONDS
    while LOADING.intersection(errors(answer := get())):
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)
    assert not any(errors(answer)), answer
    return answer
