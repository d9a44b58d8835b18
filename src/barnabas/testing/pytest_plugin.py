"""Fixtures for pytest, loaded by its entry point: a Kafka for your tests.

* `kafka`: one broker for the whole run. Tests share it, so each takes its own topics.
* `kafka_topic`: the name of a new topic of one partition on it, for this test alone.
* `fresh_kafka`: a broker for this test alone, empty, started anew.

Override the fixture `kafka_config` (session scope) to give the brokers other configs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from barnabas.testing.broker import Broker


@pytest.fixture(scope="session")
def kafka_config() -> Mapping[str, str]:
    """Kafka's broker configs of `kafka` and `fresh_kafka`."""
    return {}


@pytest.fixture(scope="session")
def kafka(kafka_config: Mapping[str, str]) -> Iterator[Broker]:
    """A broker for the whole run."""
    from barnabas.testing.broker import Broker

    with Broker(kafka_config) as broker:
        yield broker


@pytest.fixture
def kafka_topic(kafka: Broker, request: pytest.FixtureRequest) -> str:
    """A new topic of one partition; its name begins with that of the test."""
    allowed = "".join(c if c.isascii() and c.isalnum() else "-" for c in request.node.name)
    name = f"{allowed[:180]}-{uuid4().hex[:8]}"
    kafka.create_topic(name)
    return name


@pytest.fixture
def fresh_kafka(kafka_config: Mapping[str, str]) -> Iterator[Broker]:
    """A broker for this test alone."""
    from barnabas.testing.broker import Broker

    with Broker(kafka_config) as broker:
        yield broker
