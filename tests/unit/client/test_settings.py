"""Settings by Kafka's names: what is taken, what is refused, and what follows from what."""

from __future__ import annotations

import pytest

from barnabas.client.config import ProducerConfig
from barnabas.client.settings import producer_settings
from barnabas.records.compression import Codec


def test_kafkas_names_and_pythons_spelling() -> None:
    one = producer_settings({"bootstrap.servers": "a:1,[::1]:2,c", "linger.ms": "7"}, {})
    other = producer_settings(None, {"bootstrap_servers": ["a:1", "[::1]:2", "c"], "linger_ms": 7})
    assert one == other
    assert one.addresses == (("a", 1), ("::1", 2), ("c", 9092))
    assert one.producer.linger_ms == 7


def test_the_defaults_are_those_of_the_config() -> None:
    assert producer_settings(None, {}).producer == ProducerConfig()


@pytest.mark.parametrize(
    ("config", "options", "told"),
    [
        ({"linger.mss": 5}, {}, "unknown setting 'linger.mss'; did you mean 'linger.ms'?"),
        ({}, {"linger_mss": 5}, "unknown setting 'linger_mss'; did you mean 'linger_ms'?"),
        ({"linger_ms": 5}, {}, "did you mean 'linger.ms'"),
        ({"linger.ms": 5}, {"linger_ms": 5}, "linger.ms is given twice"),
        ({"linger.ms": "soon"}, {}, "linger.ms: 'soon' is no number"),
        ({"linger.ms": True}, {}, "no number"),
        ({"linger.ms": -1}, {}, "not between 0 and"),
        ({"acks": "2"}, {}, "none of all, -1, 0, 1"),
        ({"compression.type": "brotli"}, {}, "none of none, gzip, snappy, lz4, zstd"),
        ({"partitioner": "best"}, {}, "none of default"),
        ({"bootstrap.servers": "host:port"}, {}, "no address"),
        ({"bootstrap.servers": " , "}, {}, "bootstrap.servers is empty"),
        ({"bootstrap.servers": 9092}, {}, "no address"),
        ({"client.id": 3}, {}, "no text"),
        ({"acks": 1, "enable.idempotence": True}, {}, "needs acks=all"),
        ({"delivery.timeout.ms": 1000}, {}, "less than linger.ms"),
        ({"security.protocol": "SSL"}, {}, "none of plaintext"),
    ],
)
def test_what_is_refused(config: dict[str, object], options: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=r".*") as caught:
        producer_settings(config, options)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [{"acks": 1}, {"acks": "0"}, {"retries": 0}, {"max.in.flight.requests.per.connection": 6}],
)
def test_what_forbids_idempotence_turns_it_off(config: dict[str, object]) -> None:
    assert not producer_settings(config, {}).producer.enable_idempotence


def test_the_level_is_that_of_the_codec() -> None:
    levels = {"compression.lz4.level": 3, "compression.zstd.level": 4}
    producer = producer_settings({"compression.type": "zstd", **levels}, {}).producer
    assert (producer.compression, producer.compression_level) == (Codec.ZSTD, 4)
    assert producer_settings({**levels}, {}).producer.compression_level is None


def test_a_delivery_lasts_as_long_as_a_request_may() -> None:
    settings = producer_settings({"request.timeout.ms": 200_000, "linger.ms": 10}, {})
    assert settings.producer.delivery_timeout_ms == 200_010


def test_pauses_hold_for_connections_and_for_batches() -> None:
    client, producer = producer_settings({"retry.backoff.ms": 7}, {})[1:]
    assert (client.retry_backoff_ms, producer.retry_backoff_ms) == (7, 7)
