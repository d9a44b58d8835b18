"""Subscriptions by regular expression: facts/coordinators.md, section 3."""

from __future__ import annotations

import pytest

from barnabas.groups.consumer.regex import check_regex, resolve_slowly
from barnabas.groups.records.consumer_group_regular_expression_value import (
    ConsumerGroupRegularExpressionValue,
)
from barnabas.wire.errors import ErrorCode, KafkaError
from tests.unit.groups.consumer_desk import ConsumerDesk

TOPICS = {"t-a": 2, "t-b": 2, "x": 2}


def desk_with(*regexes: str) -> ConsumerDesk:
    desk = ConsumerDesk(TOPICS)
    for number, regex in enumerate(regexes):
        desk.note(f"m{number}", desk.start(f"m{number}", None, subscribed_topic_regex=regex))
    return desk


def test_the_topics_are_looked_up_aside_and_then_bump_the_group() -> None:
    desk = desk_with("t-.*")
    assert desk.member("m0").epoch == 1  # nothing is known yet: the group has not gone on
    assert desk.answer_regexes() == 1
    assert desk.consumers().epoch == 2
    desk.live("m0")
    assert (desk.held("m0", "t-a"), desk.held("m0", "t-b")) == ([0, 1], [0, 1])
    value = desk.records()[-4].value
    found = [
        each.value
        for each in desk.records()
        if isinstance(each.value, ConsumerGroupRegularExpressionValue)
    ]
    assert value is not None
    assert [(v.topics, v.version, v.timestamp) for v in found] == [
        (["t-a", "t-b"], 1, desk.now.wall)
    ]


def test_a_whole_name_has_to_match() -> None:
    desk = desk_with("t-")
    desk.answer_regexes()
    assert not desk.consumers().resolved["t-"].topics


def test_only_topics_that_the_member_may_describe_count() -> None:
    desk = ConsumerDesk(TOPICS)
    desk.start("m", None, subscribed_topic_regex=".*", may_describe=lambda name: name != "x")
    desk.answer_regexes()
    desk.live("m")
    assert desk.consumers().topics == {"t-a", "t-b"}


def test_a_new_topic_is_found_no_sooner_than_10_s_after_the_last_look() -> None:
    desk = desk_with("t-.*")
    desk.answer_regexes()
    desk.topic("t-c", 1)
    desk.advance(10_000)
    desk.live("m0")
    assert not desk.answer_regexes()
    desk.advance(1)
    desk.live("m0", rounds=1)
    assert desk.answer_regexes() == 1
    desk.live("m0")
    assert desk.held("m0", "t-c") == [0]


def test_the_topics_are_looked_up_again_after_10_minutes() -> None:
    """The rights of the member may have changed."""
    desk = desk_with("t-.*")
    desk.answer_regexes()
    for _ in range(20):
        desk.advance(30_000)
        desk.live("m0", rounds=1)
    assert not desk.answer_regexes()
    desk.advance(1)
    desk.live("m0", rounds=1)
    assert desk.answer_regexes() == 1


def test_one_look_at_a_time() -> None:
    desk = desk_with("t-.*", "x")
    assert desk.answer_regexes() == 1
    desk.advance(10_001)
    desk.live("m0", "m1", rounds=1)
    assert desk.answer_regexes() == 1
    desk.live("m0", "m1")
    assert desk.held("m1", "x") == [0, 1]


def test_a_known_expression_of_another_member_is_not_looked_up_again() -> None:
    desk = desk_with("t-.*")
    desk.answer_regexes()
    desk.live("m0")
    desk.note("m1", desk.start("m1", None, subscribed_topic_regex="t-.*"))
    assert not desk.answer_regexes()
    desk.live("m0", "m1")
    assert len(desk.held("m0", "t-a")) + len(desk.held("m0", "t-b")) == 2


def test_an_expression_without_members_is_forgotten() -> None:
    desk = desk_with("t-.*", "t-.*")
    desk.answer_regexes()
    desk.beat("m0", -1)
    assert desk.consumers().resolved
    before = len(desk.log)
    desk.beat("m1", -1)
    assert "-ConsumerGroupRegularExpression" in desk.written(before)
    assert not desk.consumers().resolved
    assert not desk.consumers().topics


def test_names_in_the_place_of_an_expression() -> None:
    desk = desk_with("t-.*")
    desk.answer_regexes()
    desk.live("m0")
    before = len(desk.log)
    owned = desk.owned["m0"]
    desk.beat("m0", subscribed_topic_names=["x"], subscribed_topic_regex="", owned=owned)
    assert "-ConsumerGroupRegularExpression" in desk.written(before)
    desk.owned["m0"] = {}
    desk.live("m0")
    assert (desk.held("m0", "x"), desk.held("m0", "t-a")) == ([0, 1], [])


def test_resolved_expressions_survive_a_load() -> None:
    desk = desk_with("t-.*", "x")
    desk.answer_regexes()
    before = desk.consumers()
    desk.reload()
    assert desk.consumers().resolved == before.resolved
    assert desk.consumers().by_regex == before.by_regex
    assert desk.consumers().regexes == before.regexes


def test_an_answer_for_a_group_that_is_gone_changes_nothing() -> None:
    desk = desk_with("t-.*")
    desk.beat("m0", -1)
    before = len(desk.log)
    desk.answer_regexes()
    assert not [kind for kind in desk.written(before) if "Regular" in kind]


@pytest.mark.parametrize(
    "regex", ["(", "a{2000}", "[z-a]", "(?=a)", r"(a)\1", "*", "a**", "\ud800"]
)
def test_what_re2_does_not_take(regex: str) -> None:
    with pytest.raises(KafkaError) as caught:
        check_regex(regex)
    assert caught.value.code == ErrorCode.INVALID_REGULAR_EXPRESSION


@pytest.mark.parametrize(
    ("regex", "name", "matches"),
    [
        ("t.*", "topic", True),
        ("(?i)TOPIC", "topic", True),
        (r"\w+-\d{2}", "a-12", True),
        ("a|b", "ab", False),
        ("^a$", "a", True),
        (r"\Qa.b\E", "a.b", True),
        (r"\pL+", "abc", True),
        ("(?P<x>a)", "a", True),
        ("", "a", False),
    ],
)
def test_what_re2_makes_of_it(regex: str, name: str, *, matches: bool) -> None:
    found: dict[str, set[str]] = {}
    assert len(list(resolve_slowly([regex], [name], found))) == 1
    assert (name in found[regex]) is matches


def test_a_bad_expression_takes_linear_time() -> None:
    """One that makes a backtracking engine hang."""
    found: dict[str, set[str]] = {}
    list(resolve_slowly(["(a*)*b"], ["a" * 249] * 100, found))
    assert not found["(a*)*b"]


def test_many_topics_are_looked_at_a_few_at_a_time() -> None:
    found: dict[str, set[str]] = {}
    names = [f"t{n}" for n in range(10_000)]
    assert len(list(resolve_slowly(["t1.*", "t2.*", "t3.*"], names, found))) == 3 + 10
    assert len(found["t1.*"]) == 1_111
