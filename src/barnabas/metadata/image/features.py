"""Finalised feature levels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from barnabas.metadata.errors import MetadataError
from barnabas.metadata.features import (
    ELR_VERSION,
    KRAFT_VERSION,
    METADATA_VERSION,
    MV_MINIMUM,
    supported_features,
)
from barnabas.metadata.image.changes import MapDelta
from barnabas.metadata.record_types import FeatureLevelRecord


class FeaturesImage(NamedTuple):
    """`metadata_version` is None until the log says; `finalized` holds the others, level > 0."""

    metadata_version: int | None
    finalized: Mapping[str, int]

    @classmethod
    def empty(cls) -> FeaturesImage:
        """Before any record."""
        return cls(None, {})

    def level(self, name: str) -> int:
        """The finalised level, 0 when the feature is off."""
        if name == METADATA_VERSION:
            return self.metadata_version or 0
        return self.finalized.get(name, 0)

    @property
    def elr_enabled(self) -> bool:
        """Whether eligible leader replicas are kept (KIP-966)."""
        return self.finalized.get(ELR_VERSION, 0) > 0

    @property
    def version(self) -> int:
        """metadata.version; an image without one is at the lowest level a 4.x node knows."""
        return MV_MINIMUM if self.metadata_version is None else self.metadata_version

    def levels(self) -> dict[str, int]:
        """Every finalised level, metadata.version included (the ApiVersions answer)."""
        levels = dict(self.finalized)
        if self.metadata_version is not None:
            levels[METADATA_VERSION] = self.metadata_version
        return levels

    def records(self) -> Iterator[FeatureLevelRecord]:
        """Back to records. metadata.version comes first: it decides how the rest is read."""
        if self.metadata_version is not None:
            yield FeatureLevelRecord(name=METADATA_VERSION, feature_level=self.metadata_version)
        for name, level in self.finalized.items():
            yield FeatureLevelRecord(name=name, feature_level=level)


class FeaturesDelta:
    """Folds FeatureLevelRecords."""

    __slots__ = ("image", "levels", "metadata_version")

    def __init__(self, image: FeaturesImage) -> None:
        self.image = image
        self.metadata_version = image.metadata_version
        self.levels: MapDelta[str, int] = MapDelta(image.finalized)

    def replay(self, record: FeatureLevelRecord) -> None:
        """Level 0 removes. Raises MetadataError for a metadata.version this node cannot run."""
        if record.name == METADATA_VERSION:
            allowed = supported_features()[METADATA_VERSION]
            if not allowed.min <= record.feature_level <= allowed.max:
                raise MetadataError(
                    f"metadata.version {record.feature_level} is outside of what this node "
                    f"supports ({allowed.min} to {allowed.max})"
                )
            self.metadata_version = record.feature_level
        elif record.name == KRAFT_VERSION:
            # It lives in control records; data records for it were once written by mistake.
            return
        elif record.feature_level == 0:
            self.levels.remove(record.name)
        else:
            self.levels.put(record.name, record.feature_level)

    def apply(self) -> FeaturesImage:
        """The new image."""
        return FeaturesImage(self.metadata_version, self.levels.apply())
