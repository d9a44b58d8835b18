"""UpdateFeatures (KIP-584, KIP-778): new finalised levels, all of a request's or none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from barnabas.metadata.controller.decision import (
    MIN_INSYNC_REPLICAS,
    ControllerSettings,
    Decision,
)
from barnabas.metadata.features import (
    ELR_VERSION,
    KRAFT_VERSION,
    METADATA_VERSION,
    MV_CONTROLLER_REGISTRATION,
    LevelRange,
    dependencies,
    metadata_changed,
    supported_features,
)
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.configs import BROKER, TOPIC
from barnabas.metadata.record_types import ConfigRecord, FeatureLevelRecord, NoOpRecord
from barnabas.records.control import ControlType
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.kraft_version_record import KRaftVersionRecord
from barnabas.wire.messages.update_features_request import UpdateFeaturesRequest
from barnabas.wire.messages.voters_record import VotersRecord

UPGRADE = 1
SAFE_DOWNGRADE = 2
UNSAFE_DOWNGRADE = 3


class Quorum(NamedTuple):
    """kraft.version as appended, and the record that names the voters from level 1 on."""

    kraft_version: int
    voters: VotersRecord


class FeatureUpdate(NamedTuple):
    """What is wanted of one feature; `kind` is one of the three constants, or unknown."""

    name: str
    level: int
    kind: int


def update_features(
    image: MetadataImage,
    settings: ControllerSettings,
    quorum: Quorum,
    request: UpdateFeaturesRequest,
) -> Decision[None]:
    """Set levels. Raises KafkaError INVALID_UPDATE_VERSION that names the first feature at fault.

    Of a feature that is named twice the last word counts. kraft.version lives in control records:
    raising it writes those, and a NoOpRecord beside them.
    """
    updates = {
        u.feature: FeatureUpdate(u.feature, u.max_version_level, u.upgrade_type)
        for u in request.feature_updates
    }
    current = _current_levels(image, quorum)
    proposed = current | {name: update.level for name, update in updates.items()}
    records: list[Message] = []
    control: list[tuple[ControlType, Message]] = []
    for update in updates.values():
        _check(image, settings, update, current.get(update.name, 0))
        if update.name == METADATA_VERSION:
            _check_metadata_version(current[METADATA_VERSION], update)
        elif update.name == KRAFT_VERSION:
            control += _kraft_version_records(quorum, update)
            if update.kind == UPGRADE:
                records.append(NoOpRecord())
            continue
        else:
            _check_dependencies(update, proposed)
        records.append(FeatureLevelRecord(name=update.name, feature_level=update.level))
    if request.validate_only:
        return Decision((), None)
    if proposed.get(ELR_VERSION, 0) > 0 and ELR_VERSION in updates:
        records = [*_one_min_isr(image, settings), *records]
    return Decision(records, None, control=control)


def _current_levels(image: MetadataImage, quorum: Quorum) -> dict[str, int]:
    return {
        **image.features.levels(),
        METADATA_VERSION: image.features.version,
        KRAFT_VERSION: quorum.kraft_version,
    }


def _check(
    image: MetadataImage, settings: ControllerSettings, update: FeatureUpdate, current: int
) -> None:
    """What holds for every feature: ranges of all nodes, and up only upwards, down only downwards."""
    if update.kind not in (UPGRADE, SAFE_DOWNGRADE, UNSAFE_DOWNGRADE):
        raise _refused(update, f"there is no kind {update.kind} of upgrade")
    if update.level < 0:
        raise _refused(update, "a level cannot be below 0")
    for who, ranges in _nodes(image, settings):
        low, high = ranges.get(update.name, LevelRange(0, 0))
        if not low <= update.level <= high:
            what = f"levels {low} to {high} of it" if high > 0 else "no such feature"
            raise _refused(update, f"{who} supports {what}")
    if update.level < current and update.kind == UPGRADE:
        raise _refused(update, f"this is a downgrade from {current}, which has to be asked for")
    if update.level > current and update.kind != UPGRADE:
        raise _refused(update, f"this is no downgrade from {current}")


def _nodes(
    image: MetadataImage, settings: ControllerSettings
) -> Iterator[tuple[str, Mapping[str, LevelRange]]]:
    yield f"controller {settings.node_id}", supported_features()
    for broker in image.cluster.brokers.values():
        yield f"broker {broker.id}", broker.features
    if image.features.version >= MV_CONTROLLER_REGISTRATION:
        for controller in image.cluster.controllers.values():
            if controller.id != settings.node_id:
                yield f"controller {controller.id}", controller.features


def _check_metadata_version(current: int, update: FeatureUpdate) -> None:
    """A downgrade may not lose what is in the log, not even when asked to (KAFKA-13896)."""
    if update.level < current and metadata_changed(update.level, current):
        raise _refused(update, f"a downgrade from {current} could lose metadata")


def _check_dependencies(update: FeatureUpdate, proposed: Mapping[str, int]) -> None:
    if update.name not in supported_features():
        raise _refused(update, "there is no such feature")
    for name, level in dependencies(update.name, update.level).items():
        if proposed.get(name, 0) < level:
            raise _refused(update, f"it needs {name} at {level} or above")


def _kraft_version_records(
    quorum: Quorum, update: FeatureUpdate
) -> list[tuple[ControlType, Message]]:
    if update.level == quorum.kraft_version:
        return []
    if update.kind != UPGRADE:
        raise _refused(update, "the quorum cannot forget what it has learnt of its voters")
    return [
        (ControlType.KRAFT_VERSION, KRaftVersionRecord(kraft_version=update.level)),
        (ControlType.KRAFT_VOTERS, quorum.voters),
    ]


def _one_min_isr(image: MetadataImage, settings: ControllerSettings) -> Iterator[ConfigRecord]:
    """Eligible leaders need one min.insync.replicas for the whole cluster (KIP-966)."""
    if MIN_INSYNC_REPLICAS not in image.configs.of(BROKER, ""):
        value = settings.schema.default(TOPIC, MIN_INSYNC_REPLICAS)
        yield ConfigRecord(
            resource_type=BROKER, resource_name="", name=MIN_INSYNC_REPLICAS, value=value
        )
    for (resource_type, name), values in image.configs.resources.items():
        if resource_type == BROKER and name and MIN_INSYNC_REPLICAS in values:
            yield ConfigRecord(
                resource_type=BROKER, resource_name=name, name=MIN_INSYNC_REPLICAS, value=None
            )


def _refused(update: FeatureUpdate, why: str) -> KafkaError:
    return KafkaError(
        ErrorCode.INVALID_UPDATE_VERSION,
        f"None of the features was changed: {update.name} cannot be set to {update.level}, {why}.",
    )
