"""`check_events`: nothing is wrong with a clean history, and each planted fault is found."""

from __future__ import annotations

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from barnabas.testing.checkers import (
    check_events,
    check_transformed,
    from_json,
    read_events,
    to_json,
)
from barnabas.testing.checkers.events import Event
from tests.property.testing.faults import FAULTS
from tests.property.testing.histories import clean_history

SEEDS = st.integers(0, 2**32)


def rules(events: list[Event]) -> set[str]:
    """The rules that are broken."""
    return {violation.rule for violation in check_events(events)}


@given(SEEDS)
def test_nothing_is_wrong_with_a_clean_history(seed: int) -> None:
    assert check_events(clean_history(seed)) == []


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found(name: str) -> None:
    fault, rule = FAULTS[name]
    planted = 0
    for seed in range(40):
        spoilt = fault(clean_history(seed), random.Random(seed))
        if spoilt is not None:
            planted += 1
            assert rule in rules(spoilt), seed
    assert planted >= 10


@given(SEEDS, st.sampled_from(sorted(FAULTS)), SEEDS)
def test_faults_at_random_are_found(seed: int, name: str, chance: int) -> None:
    fault, rule = FAULTS[name]
    spoilt = fault(clean_history(seed), random.Random(chance))
    assume(spoilt is not None)
    assert spoilt is not None
    assert rule in rules(spoilt)


@given(SEEDS)
def test_a_history_survives_its_lines(seed: int) -> None:
    events = clean_history(seed)
    assert read_events([to_json(event) for event in events]) == events


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "{}",
        '{"event":"stolen","client":"c","at":1}',
        '{"event":"crashed","client":"c"}',
        '{"event":"crashed","client":"c","at":"1"}',
        '{"event":"crashed","client":"c","at":1,"why":"?"}',
        '{"event":"begun","client":"c","at":1,"transaction":7}',
        '{"event":"revoked","client":"c","at":1,"group":"g","partitions":"t-0"}',
        '{"event":"revoked","client":"c","at":1,"group":"g","partitions":[["t"]]}',
    ],
)
def test_what_is_no_event_is_told(line: str) -> None:
    with pytest.raises(ValueError, match="no event of a client"):
        from_json(line)


def test_a_history_that_goes_on_is_not_held_to_what_nobody_has_reached() -> None:
    events = clean_history(3)
    last = max(event.at for event in events)
    lines = [
        f'{{"event":"produced","client":"p1","at":{last + 1},"topic":"orders","value":"late"}}',
        f'{{"event":"acked","client":"p1","at":{last + 2},"topic":"orders","partition":0,'
        '"offset":9999,"value":"late"}',
    ]
    events += read_events(lines)
    assert {each.rule for each in check_events(events)} == {"lost"}
    assert check_events(events, complete=False) == []


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        ([["A1", "A2"], ["B1"]], set()),
        ([["B1", "A1"], ["A2"]], set()),
        ([["A2", "A1"], ["B1"]], {"reordered"}),
        ([["A1"], ["B1"]], {"lost"}),
        ([["A1", "A2", "A2"], ["B1"]], {"duplicated"}),
        ([["A1", "A2"], ["B1", "C1"]], {"phantom"}),
    ],
)
def test_the_output_of_a_loop_is_exactly_that_of_its_input(
    outputs: list[list[str]], found: set[str]
) -> None:
    inputs = [["a1", "b1"], ["a2"]]
    checked = check_transformed(inputs, outputs, str.upper, lambda value: value[0])
    assert {violation.rule for violation in checked} == found


def test_who_learns_that_it_lost_all_may_have_given_back_what_was_lost() -> None:
    """An answer of before it was put out came late; a commit in between shows that it was in."""
    lines = [
        '{"event":"assigned","client":"a","at":1,"group":"g","generation":1,"partitions":[["t",0],["t",1]]}',
        '{"event":"assigned","client":"b","at":5,"group":"g","generation":2,"partitions":[["t",0],["t",1]]}',
        '{"event":"revoked","client":"a","at":6,"group":"g","partitions":[["t",0]]}',
        '{"event":"assigned","client":"a","at":7,"group":"g","generation":1,"partitions":[]}',
        '{"event":"lost","client":"a","at":9,"group":"g","partitions":[["t",1]]}',
    ]
    assert rules(read_events(lines)) == set()
    assert rules(read_events(lines[:-1])) == {"owned twice"}
    commit = '{"event":"committed","client":"a","at":8,"group":"g","begun":7,"offsets":[["t",1,1]]}'
    assert "owned twice" in rules(read_events([*lines, commit]))


def test_who_is_killed_may_have_been_put_out_before() -> None:
    """It had no time to learn it; that it was a member still is shown by a commit alone."""
    mine = '"group":"g","partitions":[["t",0]]'
    lines = [
        f'{{"event":"assigned","client":"a","at":1,{mine}}}',
        f'{{"event":"assigned","client":"b","at":5,{mine}}}',
        '{"event":"crashed","client":"a","at":9}',
    ]
    assert rules(read_events(lines)) == set()
    assert rules(read_events(lines[:2])) == {"owned twice"}
    commit = '"group":"g","begun":6,"offsets":[["t",0,3]]'
    lines.append(f'{{"event":"committed","client":"a","at":7,{commit}}}')
    assert rules(read_events(lines)) == {"fenced"}
