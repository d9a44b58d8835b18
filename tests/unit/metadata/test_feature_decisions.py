"""UpdateFeatures: which levels may be set, and what that writes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from barnabas.metadata.controller.decision import Decision
from barnabas.metadata.controller.feature_updates import Quorum, update_features
from barnabas.metadata.features import LevelRange, metadata_changed
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.configs import BROKER
from barnabas.metadata.record_types import (
    ConfigRecord,
    FeatureLevelRecord,
    NoOpRecord,
    RegisterControllerRecord,
)
from barnabas.metadata.records.register_controller_record import ControllerFeature
from barnabas.records.control import ControlType
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.update_features_request import FeatureUpdateKey, UpdateFeaturesRequest
from barnabas.wire.messages.voters_record import Voter, VotersRecord
from tests.unit.metadata.cluster import after, broker, image_of, replayed, settings

UP, SAFE, UNSAFE = 1, 2, 3
MV, KRAFT, GROUP = "metadata.version", "kraft.version", "group.version"
ELR, SHARE = "eligible.leader.replicas.version", "share.version"
STATIC = Quorum(0, VotersRecord(voters=[Voter(1, bytes([9] * 16))]))
DYNAMIC = STATIC._replace(kraft_version=1)

Update = tuple[str, int, int]


@pytest.fixture
def image() -> MetadataImage:
    """One broker of this release."""
    return image_of(broker(1))


def decide(
    image: MetadataImage, *updates: Update, quorum: Quorum = STATIC, validate_only: bool = False
) -> Decision[None]:
    keys = [FeatureUpdateKey(name, level, upgrade_type=kind) for name, level, kind in updates]
    request = UpdateFeaturesRequest(1000, keys, validate_only)
    return update_features(image, settings(minimum="2"), quorum, request)


def levels(records: Sequence[Message]) -> list[tuple[str, int]]:
    return [(r.name, r.feature_level) for r in records if isinstance(r, FeatureLevelRecord)]


def refused(image: MetadataImage, *updates: Update, quorum: Quorum = STATIC) -> str:
    with pytest.raises(KafkaError) as error:
        decide(image, *updates, quorum=quorum)
    assert error.value.code is ErrorCode.INVALID_UPDATE_VERSION
    return error.value.message or ""


def test_down_and_up_again(image: MetadataImage) -> None:
    decision = decide(image, (GROUP, 0, SAFE))
    assert levels(decision.records) == [(GROUP, 0)]
    lowered = after(image, decision)
    assert lowered.features.level(GROUP) == 0
    raised = after(lowered, decide(lowered, (GROUP, 1, UP)))
    assert raised.features.level(GROUP) == 1


def test_the_present_level_is_written_again(image: MetadataImage) -> None:
    """As Kafka does, whatever the kind."""
    for kind in (UP, SAFE, UNSAFE):
        assert levels(decide(image, (GROUP, 1, kind)).records) == [(GROUP, 1)]
        assert levels(decide(image, (MV, 30, kind)).records) == [(MV, 30)]


def test_validation_alone_writes_nothing(image: MetadataImage) -> None:
    decision = decide(image, (GROUP, 0, SAFE), (KRAFT, 1, UP), validate_only=True)
    assert (decision.records, decision.control) == ((), ())


@pytest.mark.parametrize(
    "update",
    [
        (GROUP, 0, UP),
        (GROUP, 0, 0),
        (GROUP, 0, 4),
        (GROUP, -1, SAFE),
        (GROUP, 2, UP),
        (MV, 31, UP),
        (MV, 6, SAFE),
        (MV, 0, UNSAFE),
        (MV, 29, UP),
        (MV, 29, SAFE),
        (MV, 29, UNSAFE),
        (KRAFT, 2, UP),
        (KRAFT, 1, SAFE),
        ("nothing", 0, UP),
        ("nothing", 0, SAFE),
        ("nothing", 1, UP),
    ],
)
def test_what_is_refused(image: MetadataImage, update: Update) -> None:
    assert update[0] in refused(image, update)


def test_one_fault_and_nothing_is_changed(image: MetadataImage) -> None:
    assert "nothing" in refused(image, (GROUP, 0, SAFE), ("nothing", 1, UP))


def test_a_downgrade_that_only_says_so_is_refused_upwards(image: MetadataImage) -> None:
    lowered = after(image, decide(image, (GROUP, 0, SAFE)))
    refused(lowered, (GROUP, 1, SAFE))
    refused(lowered, (GROUP, 1, UNSAFE))


def test_metadata_version_goes_down_where_no_records_changed() -> None:
    image = image_of(broker(1), level=29)
    for lower in (24, 23):
        assert levels(decide(image, (MV, lower, SAFE)).records) == [(MV, lower)]
    refused(image, (MV, 22, SAFE))
    refused(image, (MV, 22, UNSAFE))
    assert levels(decide(image, (MV, 30, UP)).records) == [(MV, 30)]


def test_which_levels_changed_records() -> None:
    """3.3-IV3, 3.4-IV0, 3.5-IV2, 3.6-IV1, 3.6-IV2, 3.7-IV0, 3.7-IV2, 4.0-IV1, 4.3-IV0."""
    changed = [high for high in range(8, 31) if metadata_changed(high - 1, high)]
    assert changed == [8, 11, 13, 14, 15, 17, 23, 30]
    assert not metadata_changed(30, 30)
    assert metadata_changed(7, 30)


def test_eligible_leaders_need_a_metadata_version() -> None:
    image = image_of(broker(1), level=22)
    assert MV in refused(image, (ELR, 1, UP))
    # What the same request raises counts.
    together = decide(image, (ELR, 1, UP), (MV, 23, UP))
    assert levels(together.records) == [(ELR, 1), (MV, 23)]


def test_eligible_leaders_bring_one_min_insync_replicas_for_all() -> None:
    own = ConfigRecord(
        resource_type=BROKER, resource_name="1", name="min.insync.replicas", value="7"
    )
    image = image_of(broker(1), own, elr=False)
    raised = after(image, decide(image, (ELR, 1, UP)))
    assert raised.features.elr_enabled
    assert raised.configs.of(BROKER, "") == {"min.insync.replicas": "2"}
    assert raised.configs.of(BROKER, "1") == {}
    again = decide(raised, (ELR, 1, UP))
    assert [type(r) for r in again.records] == [FeatureLevelRecord]


def test_every_node_must_support_the_level(image: MetadataImage) -> None:
    old = broker(2)
    for feature in old.features:
        if feature.name == SHARE:
            feature.max_supported_version = 0
    with_old = replayed(image, [old])
    lowered = replayed(with_old, [FeatureLevelRecord(name=SHARE, feature_level=0)])
    assert "broker 2" in refused(lowered, (SHARE, 1, UP))
    controller = RegisterControllerRecord(
        controller_id=3, features=[ControllerFeature(MV, *LevelRange(7, 29))]
    )
    with_controller = replayed(image, [controller])
    assert "controller 3" in refused(with_controller, (MV, 30, UP))
    assert "controller 3" in refused(with_controller, (GROUP, 1, UP))
    # Its own registration is not asked: this process knows what it can.
    own = RegisterControllerRecord(controller_id=1, features=[])
    decide(replayed(image, [own]), (GROUP, 1, UP))


def test_kraft_version_is_raised_by_control_records(image: MetadataImage) -> None:
    decision = decide(image, (KRAFT, 1, UP))
    assert [kind for kind, _ in decision.control] == [
        ControlType.KRAFT_VERSION,
        ControlType.KRAFT_VOTERS,
    ]
    assert decision.control[1][1] == STATIC.voters
    assert [type(r) for r in decision.records] == [NoOpRecord]


def test_kraft_version_stays_where_it_is(image: MetadataImage) -> None:
    for quorum, update in ((DYNAMIC, (KRAFT, 1, UP)), (STATIC, (KRAFT, 0, UP))):
        decision = decide(image, update, quorum=quorum)
        assert not decision.control
        assert [type(r) for r in decision.records] == [NoOpRecord]
    for kind in (SAFE, UNSAFE):
        assert decide(image, (KRAFT, 1, kind), quorum=DYNAMIC).records == []
        refused(image, (KRAFT, 0, kind), quorum=DYNAMIC)


def test_the_last_word_on_a_feature_counts(image: MetadataImage) -> None:
    assert levels(decide(image, (GROUP, 9, UP), (GROUP, 0, SAFE)).records) == [(GROUP, 0)]


def test_nothing_asked_nothing_done(image: MetadataImage) -> None:
    assert decide(image).records == []
