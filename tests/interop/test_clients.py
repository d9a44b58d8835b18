"""Each client's tour through our node; and through a real Kafka, which shows that the tour is right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.conftest import KEEP_OLD
from tests.interop.kafka import BarnabasProcess, KafkaProcess, Node
from tests.interop.programs import PROGRAMS, Program


@pytest.fixture(scope="module", params=["barnabas", "kafka"])
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """A node of ours, then a real Kafka."""
    kind: type[Node] = BarnabasProcess
    if request.param == "kafka":
        request.getfixturevalue("java")
        kind = KafkaProcess
    with kind(tmp_path_factory.mktemp("target"), KEEP_OLD) as running:
        yield running


@pytest.mark.parametrize("program", PROGRAMS, ids=[program.name for program in PROGRAMS])
def test_tour(target: Node, program: Program) -> None:
    assert program.tour(target, program.stops) == [f"ok {stop}" for stop in program.stops]
