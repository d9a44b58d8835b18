"""The examples of docs/python-client.md run as they stand, but for the address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from barnabas.client.consumer.config import ConsumerConfig
from barnabas.client.settings import CLIENT, PRODUCER
from barnabas.testing import Broker

PAGE = Path(__file__).resolve().parents[3] / "docs" / "python-client.md"
TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker() as running:
        running.create_topic("words")  # an example commits offsets of it
        yield running


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(broker: Broker, number: int) -> None:
    code = EXAMPLES[number]
    assert "localhost:9092" in code
    exec(compile(code.replace("localhost:9092", broker.bootstrap_servers), str(PAGE), "exec"), {})


def test_the_page_names_every_setting() -> None:
    levels = re.sub(
        r"\{(\w+),(\w+),(\w+)\}\.level", r"\1.level compression.\2.level compression.\3.level", TEXT
    )
    consumer = [field.name.replace("_", ".") for field in fields(ConsumerConfig)]
    missing = [name for name in (*CLIENT, *PRODUCER, *consumer) if name not in levels]
    assert missing == []
    assert len(EXAMPLES) == 11
