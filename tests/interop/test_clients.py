"""Each client's tour through the node."""

from __future__ import annotations

import pytest

from tests.interop.kafka import Node
from tests.interop.programs import PROGRAMS, Program


@pytest.mark.parametrize("program", PROGRAMS, ids=[program.name for program in PROGRAMS])
def test_tour(each_node: Node, program: Program) -> None:
    assert program.tour(each_node, program.stops) == [f"ok {stop}" for stop in program.stops]
