"""Names of metadata.version levels, and the feature levels that come with each (KIP-1022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from barnabas.metadata.features import (
    ELR_VERSION,
    GROUP_VERSION,
    KRAFT_VERSION,
    METADATA_VERSION,
    MV_LATEST,
    MV_MINIMUM,
    SHARE_VERSION,
    STREAMS_VERSION,
    TRANSACTION_VERSION,
    dependencies,
    supported_features,
)

#: (release, how many levels it has), from the lowest level that is supported.
_RELEASES: Final = (
    ("3.4", 1),
    ("3.5", 3),
    ("3.6", 3),
    ("3.7", 5),
    ("3.8", 1),
    ("3.9", 1),
    ("4.0", 4),
    ("4.1", 2),
    ("4.2", 2),
    ("4.3", 1),
)
#: 3.3 had levels before the lowest one that is supported.
_NAMES: Final = (
    "3.3-IV3",
    *(f"{release}-IV{n}" for release, count in _RELEASES for n in range(count)),
)
#: Level of a feature from which metadata.version on.
_DEFAULTS: Final = {
    TRANSACTION_VERSION: (24, 2),
    GROUP_VERSION: (22, 1),
    ELR_VERSION: (26, 1),
    SHARE_VERSION: (28, 1),
    STREAMS_VERSION: (29, 1),
}


def release_name(level: int) -> str:
    """The name of a level of metadata.version: `4.3-IV0`; the bare number of an unknown one."""
    if MV_MINIMUM <= level <= MV_LATEST:
        return _NAMES[level - MV_MINIMUM]
    return str(level)


def release_level(text: str) -> int:
    """The level that `4.3`, `4.3.1` (the last of a release) or `4.3-IV0` name. Raises ValueError."""
    name = ".".join(text.split(".")[:2])
    for level in range(MV_LATEST, MV_MINIMUM - 1, -1):
        full = release_name(level)
        if name in (full, full.partition("-")[0]):
            return level
    raise ValueError(
        f"there is no metadata.version {text!r}; known are {_NAMES[0]} to {_NAMES[-1]}"
    )


def levels_at(metadata_version: int) -> dict[str, int]:
    """Levels of all features of a cluster of that release, metadata.version first.

    Without kraft.version, which depends on how the quorum is formatted.
    """
    levels = {METADATA_VERSION: metadata_version}
    for name, (first, level) in _DEFAULTS.items():
        levels[name] = level if metadata_version >= first else 0
    return levels


def formatted_levels(
    release: int | None, features: Mapping[str, int], *, dynamic: bool
) -> dict[str, int]:
    """Levels with which a cluster is formatted: those of the release, but for `features`.

    `dynamic`: the voters are named in the metadata log, not in the configuration, which is what
    kraft.version says. Raises ValueError with a sentence.
    """
    if METADATA_VERSION in features and release is not None:
        raise ValueError(f"Give the release, or {METADATA_VERSION}, not both.")
    chosen = MV_LATEST if release is None else release
    levels = levels_at(features.get(METADATA_VERSION, chosen))
    levels[KRAFT_VERSION] = int(dynamic)
    levels |= features
    for name, level in levels.items():
        _check(name, level, levels)
    if levels[KRAFT_VERSION] != int(dynamic):
        raise ValueError(
            f"{KRAFT_VERSION} is 1 when the voters are given for the log, and 0 when the "
            "configuration has controller.quorum.voters."
        )
    return levels


def _check(name: str, level: int, levels: Mapping[str, int]) -> None:
    known = supported_features()
    if name not in known:
        raise ValueError(f"There is no feature {name}; known are {', '.join(sorted(known))}.")
    low, high = known[name]
    if not low <= level <= high:
        raise ValueError(f"{name} has levels {low} to {high}, not {level}.")
    for other, needed in dependencies(name, level).items():
        if levels[other] < needed:
            raise ValueError(f"{name} {level} needs {other} {needed} or above.")
