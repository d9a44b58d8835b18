"""The differences that stay, each with its reason; `docs/compatibility.md` has them for users.

A difference is a matter, not a field: it may show in several fields of an answer. One that is listed
and does not occur any more fails the test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from tests.interop.differential.duel import Difference
from tests.interop.differential.sides import NOTHING


class Listed(NamedTuple):
    """A difference that stays. `matter` is the first column of its row in docs/compatibility.md."""

    matter: str
    occurs: Callable[[Difference], bool]
    reason: str
    example: str
    """A part of the label of a case that shows it, which every run sends."""


def _in(api: str, path: str, case: str = "") -> Callable[[Difference], bool]:
    """Answers of an API, at a path, from cases whose label has something in it (patterns)."""
    return lambda found: (
        re.fullmatch(api, found.api) is not None
        and re.fullmatch(path, found.path) is not None
        and re.search(case, found.case) is not None
    )


def _unanswered(api: str, case: str) -> Callable[[Difference], bool]:
    """Kafka's handler stumbles, and the client waits in vain."""
    return lambda found: (
        found.api == api and found.kafka == NOTHING and re.search(case, found.case) is not None
    )


_DESCRIBING = "Describe(Configs|Groups|Producers|Transactions)|ConsumerGroupDescribe"

LISTED: tuple[Listed, ...] = (
    Listed(
        "APIs that are not built yet",
        _in("ApiVersions", r"api_keys\[#\]"),
        "they are not listed before they are served",
        "ApiVersions v4 of us",
    ),
    Listed(
        "BROKER_LOGGER configs",
        _in("DescribeConfigs", r"results\[\]\.configs\[#\]", "resource_type 8"),
        "they are the process' own loggers, not Java's",
        "DescribeConfigs v4 of the broker, resources.resource_type 8",
    ),
    Listed(
        "what one DescribeConfigs, DescribeGroups, ConsumerGroupDescribe, DescribeTransactions, "
        "DescribeProducers or OffsetFetch (of everything) names more than once",
        _in(f"{_DESCRIBING}|OffsetFetch", r".*\[#\]", r"twice|partition_indexes\[\] 1"),
        "a request of 500 KB must not ask for gigabytes",
        "DescribeGroups v0 of a member, groups twice",
    ),
    Listed(
        "codec ids 5–7 in a batch",
        lambda found: found.api == "Produce" and "codec 5" in found.case,
        "Kafka's answer is an accident",
        "records codec 5",
    ),
    Listed(
        "one partition twice in a Produce",
        _in("Produce", ".*", "twice"),
        "Kafka drops all but one without a word",
        "topic_data.partition_data twice",
    ),
    Listed(
        "documentation in DescribeConfigs",
        _in("DescribeConfigs", r"results\[\]\.configs\[\]\.documentation"),
        "the texts are Kafka's",
        "DescribeConfigs v4 of a topic, include_documentation True",
    ),
    Listed(
        "one protocol twice in a JoinGroup, or a consumer's metadata that cannot be read",
        _in("JoinGroup", ".*", r"protocols twice|metadata b'nothing'"),
        "Kafka's handler fails in a timer, and nobody is answered",
        "protocols twice",
    ),
    Listed(
        "one resource twice in an AlterConfigs",
        _unanswered("AlterConfigs", "resources twice"),
        "Kafka answers INVALID_REQUEST to each, or nothing at all",
        "AlterConfigs v2 that are only checked, resources twice",
    ),
    Listed(
        "an operation that there is not in IncrementalAlterConfigs",
        _in("IncrementalAlterConfigs", r"responses\[\]\.error_.*", "config_operation 127"),
        "it ends the active controller's term in Kafka",
        "config_operation 127",
    ),
    Listed(
        "an AddPartitionsToTxn without transactions",
        _unanswered("AddPartitionsToTxn", "transactions empty"),
        "Kafka answers nothing",
        "AddPartitionsToTxn v5 to verify, transactions empty",
    ),
    Listed(
        "one partition twice in a WriteTxnMarkers",
        _unanswered("WriteTxnMarkers", "twice"),
        "Kafka answers nothing",
        "markers.topics.partition_indexes twice",
    ),
    Listed(
        "a cursor of DescribeTopicPartitions near 2^31",
        _in("DescribeTopicPartitions", ".*", "cursor.partition_index 2147483647"),
        "Kafka's sum overflows",
        "cursor.partition_index 2147483647",
    ),
)
"""At most 30."""


def listed(found: Difference) -> Listed | None:
    """The row that a difference belongs to."""
    return next((row for row in LISTED if row.occurs(found)), None)
