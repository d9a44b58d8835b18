"""IncrementalAlterConfigs, AlterConfigs, and placement of replicas."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barnabas.metadata import record_types as r
from barnabas.metadata.controller.configs import alter_configs, incremental_alter_configs
from barnabas.metadata.controller.placement import UsableBroker, place, usable_brokers
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.configs import BROKER, BROKER_LOGGER, GROUP, TOPIC
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages import alter_configs_request as legacy
from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from tests.unit.metadata.cluster import after, broker, directory, image_of, settings, topic

T1 = bytes([1] * 16)
SET, DELETE, APPEND, SUBTRACT = range(4)


def base(*records: Any, elr: bool = True) -> MetadataImage:
    """Broker 1 and topic t."""
    return image_of(broker(1), *topic("t", T1, [(1,)]), *records, elr=elr)


def alter(
    image: MetadataImage,
    *resources: AlterConfigsResource,
    validate_only: bool = False,
    forwarded: bool = True,
) -> tuple[list[ErrorCode], MetadataImage]:
    """Codes, and the image afterwards."""
    request = IncrementalAlterConfigsRequest(list(resources), validate_only)
    decision = incremental_alter_configs(image, settings(), request, forwarded=forwarded)
    codes = [ErrorCode(x.error_code) for x in decision.response.responses]
    assert [(x.resource_type, x.resource_name) for x in decision.response.responses] == [
        (x.resource_type, x.resource_name) for x in resources
    ]
    return codes, after(image, decision)


def on_topic(*changes: tuple[str, int, str | None], name: str = "t") -> AlterConfigsResource:
    """Changes to a topic."""
    return AlterConfigsResource(TOPIC, name, [AlterableConfig(*change) for change in changes])


def on_broker(*changes: tuple[str, int, str | None], name: str = "") -> AlterConfigsResource:
    """Changes to a broker or the cluster."""
    return AlterConfigsResource(BROKER, name, [AlterableConfig(*change) for change in changes])


def test_set_and_delete() -> None:
    codes, image = alter(base(), on_topic(("a", SET, "1"), ("b", SET, "2")))
    assert codes == [ErrorCode.NONE]
    _, image = alter(image, on_topic(("a", DELETE, None), ("b", SET, "3")))
    assert image.configs.of(TOPIC, "t") == {"b": "3"}


def test_lists_grow_and_shrink_from_their_default() -> None:
    _, image = alter(base(), on_topic(("cleanup.policy", APPEND, "compact,delete")))
    assert image.configs.of(TOPIC, "t") == {"cleanup.policy": "delete,compact"}
    _, image = alter(image, on_topic(("cleanup.policy", SUBTRACT, "delete,x")))
    assert image.configs.of(TOPIC, "t") == {"cleanup.policy": "compact"}


def test_an_unchanged_value_is_written_again_only_for_brokers() -> None:
    image = base(r.ConfigRecord(TOPIC, "t", "a", "1"), r.ConfigRecord(BROKER, "1", "a", "1"))
    request = IncrementalAlterConfigsRequest(
        [on_topic(("a", SET, "1")), on_broker(("a", SET, "1"), name="1")]
    )
    (record,) = incremental_alter_configs(image, settings(), request).records
    assert record == r.ConfigRecord(BROKER, "1", "a", "1")


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        (on_topic(("a", SET, "bad")), ErrorCode.INVALID_CONFIG),
        (on_topic(("a", APPEND, "x")), ErrorCode.INVALID_CONFIG),
        (on_topic(("a", SET, "x" * 32_768)), ErrorCode.INVALID_CONFIG),
        (on_topic(("a", SET, None)), ErrorCode.INVALID_REQUEST),
        (on_topic(("cleanup.policy", APPEND, None)), ErrorCode.INVALID_REQUEST),
        (on_topic(("a", SET, "1"), ("a", SET, "2")), ErrorCode.INVALID_REQUEST),
        (on_topic(("a", 9, "1")), ErrorCode.INVALID_REQUEST),
        (on_topic(("a", SET, "1"), name="x"), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (on_broker(("a", SET, "1"), name="x"), ErrorCode.INVALID_REQUEST),
        (on_broker(("a", SET, "1"), name="-1"), ErrorCode.INVALID_REQUEST),
        (on_broker(("a", SET, "1"), name="9"), ErrorCode.BROKER_ID_NOT_REGISTERED),
        (AlterConfigsResource(BROKER_LOGGER, "1"), ErrorCode.INVALID_REQUEST),
        (AlterConfigsResource(77, "x"), ErrorCode.INVALID_REQUEST),
        (on_broker(("min.insync.replicas", DELETE, None)), ErrorCode.INVALID_CONFIG),
        (on_broker(("min.insync.replicas", SET, "2"), name="1"), ErrorCode.INVALID_CONFIG),
    ],
)
def test_refusals_leave_a_resource_as_it_was(
    resource: AlterConfigsResource, code: ErrorCode
) -> None:
    good = on_broker(("ok", SET, "1"))
    codes, image = alter(base(), resource, *([] if resource.resource_name == "" else [good]))
    assert codes[0] is code
    assert image.configs.of(resource.resource_type, resource.resource_name) in (
        {},
        {"min.insync.replicas": "1"},
        {"ok": "1"},
    )
    assert codes[1:] in ([], [ErrorCode.NONE])


def test_a_resource_twice_in_a_request_is_refused_twice() -> None:
    codes, image = alter(base(), on_topic(("a", SET, "1")), on_topic(("b", SET, "1")))
    assert codes == [ErrorCode.INVALID_REQUEST] * 2
    assert image.configs.of(TOPIC, "t") == {}


def test_validation_only_writes_nothing() -> None:
    codes, image = alter(base(), on_topic(("a", SET, "1")), validate_only=True)
    assert codes == [ErrorCode.NONE]
    assert image.configs.of(TOPIC, "t") == {}


def test_groups_and_client_metrics_need_not_exist() -> None:
    resource = AlterConfigsResource(GROUP, "g", [AlterableConfig("a", SET, "1")])
    codes, image = alter(base(), resource)
    assert codes == [ErrorCode.NONE]
    assert image.configs.of(GROUP, "g") == {"a": "1"}


@pytest.mark.parametrize(
    ("resource", "cleared"),
    [
        (on_topic(("min.insync.replicas", SET, "2")), "t"),
        (on_broker(("min.insync.replicas", SET, "2")), ""),
    ],
)
def test_a_new_minimum_clears_eligible_leaders(
    resource: AlterConfigsResource, cleared: str
) -> None:
    request = IncrementalAlterConfigsRequest([resource])
    records = incremental_alter_configs(base(), settings(), request).records
    assert records[-1] == r.ClearElrRecord(cleared)
    without = incremental_alter_configs(base(elr=False), settings(), request).records
    assert [x.NAME for x in without] == ["ConfigRecord"]


def test_without_elr_the_minimum_is_free() -> None:
    codes, _ = alter(base(elr=False), on_broker(("min.insync.replicas", SET, "2"), name="1"))
    assert codes == [ErrorCode.NONE]


@pytest.mark.parametrize(
    ("value", "forwarded", "code"),
    [
        ("/a,/b", True, ErrorCode.NONE),
        ("/a,/b", False, ErrorCode.INVALID_CONFIG),
        ("/a", False, ErrorCode.NONE),
        ("", False, ErrorCode.NONE),
    ],
)
def test_cordoning_straight_at_a_controller_can_only_let_go(
    value: str, forwarded: bool, code: ErrorCode
) -> None:
    image = base(r.ConfigRecord(BROKER, "1", "cordoned.log.dirs", "/c, /a"))
    resource = on_broker(("cordoned.log.dirs", SET, value), name="1")
    assert alter(image, resource, forwarded=forwarded)[0] == [code]


def test_cordoning_needs_4_3() -> None:
    image = image_of(level=29)
    resource = on_broker(("cordoned.log.dirs", SET, "/a"))
    assert alter(image, resource)[0] == [ErrorCode.INVALID_CONFIG]


def test_legacy_alter_replaces_everything() -> None:
    image = base(r.ConfigRecord(TOPIC, "t", "a", "1"), r.ConfigRecord(TOPIC, "t", "b", "2"))
    resource = legacy.AlterConfigsResource(
        TOPIC, "t", [legacy.AlterableConfig("b", "2"), legacy.AlterableConfig("c", "3")]
    )
    decision = alter_configs(image, settings(), legacy.AlterConfigsRequest([resource]))
    assert [x.error_code for x in decision.response.responses] == [0]
    assert after(image, decision).configs.of(TOPIC, "t") == {"b": "2", "c": "3"}
    image = base(r.ConfigRecord(BROKER, "", "min.insync.replicas", "1"))
    cluster = legacy.AlterConfigsResource(BROKER, "", [legacy.AlterableConfig("x", "1")])
    decision = alter_configs(image, settings(), legacy.AlterConfigsRequest([cluster]))
    # It would remove the cluster's min.insync.replicas, which eligible leaders need.
    assert [x.error_code for x in decision.response.responses] == [ErrorCode.INVALID_CONFIG]


def test_too_many_changes_at_once() -> None:
    resources = [
        AlterConfigsResource(
            GROUP, f"g{n}", [AlterableConfig(str(k), SET, "1") for k in range(1_001)]
        )
        for n in range(10)
    ]
    with pytest.raises(KafkaError) as refused:
        alter(base(), *resources)
    assert refused.value.code is ErrorCode.POLICY_VIOLATION


# Placement


def brokers(racks: str, fenced: str = "") -> list[UsableBroker]:
    """Broker n in the rack of the n-th letter; `fenced` lists ids."""
    return [UsableBroker(n, rack, str(n) in fenced) for n, rack in enumerate(racks)]


def test_three_racks_are_striped() -> None:
    found = place(brokers("aabbcc"), 3, 3, lambda _: 0)
    assert found == [[0, 2, 4], [3, 5, 1], [4, 0, 2]]


def test_a_fenced_broker_never_leads_and_comes_last() -> None:
    for replicas in place(brokers("aaa", fenced="1"), 20, 3, Random(1).randrange):
        assert replicas[-1] == 1
    for replicas in place(brokers("aab", fenced="2"), 20, 2, Random(1).randrange):
        assert replicas[0] != 2


@pytest.mark.parametrize(
    ("usable", "factor"),
    [(brokers("ab"), 3), (brokers("ab"), 0), ([], 1), (brokers("ab", fenced="01"), 1)],
)
def test_what_cannot_be_placed(usable: list[UsableBroker], factor: int) -> None:
    with pytest.raises(KafkaError) as refused:
        place(usable, 1, factor, lambda _: 0)
    assert refused.value.code is ErrorCode.INVALID_REPLICATION_FACTOR


def test_cordoned_and_leaving_brokers_get_nothing_new() -> None:
    cordoned = broker(2)
    cordoned.cordoned_log_dirs = [directory(2)]
    image = image_of(broker(1), cordoned, broker(3, shutdown=True), broker(4, rack="r"))
    assert usable_brokers(image.cluster) == [
        UsableBroker(1, None, False),
        UsableBroker(4, "r", False),
    ]


@given(
    racks=st.lists(st.sampled_from([None, "a", "b", "c"]), min_size=1, max_size=8),
    fenced=st.sets(st.integers(0, 7)),
    partitions=st.integers(1, 30),
    factor=st.integers(1, 8),
    seed=st.integers(0, 2**32),
)
def test_placements_are_sound_and_spread(
    racks: list[str | None], fenced: set[int], partitions: int, factor: int, seed: int
) -> None:
    usable = [UsableBroker(n, rack, n in fenced) for n, rack in enumerate(racks)]
    alive = {b.id for b in usable if not b.fenced}
    if factor > len(usable) or not alive:
        with pytest.raises(KafkaError):
            place(usable, partitions, factor, Random(seed).randrange)
        return
    found = place(usable, partitions, factor, Random(seed).randrange)
    assert len(found) == partitions
    for replicas in found:
        assert len(set(replicas)) == len(replicas) == factor
        assert replicas[0] in alive
        spread = Counter(racks[b] for b in replicas)
        if not fenced:
            # No rack gets a second replica while another one has none.
            assert len(spread) == min(factor, len(set(racks)))
