"""Names of metadata.version levels, and what comes with them."""

from __future__ import annotations

import pytest

from barnabas.metadata.features import MV_LATEST, MV_MINIMUM, initial_levels, supported_features
from barnabas.metadata.releases import levels_at, release_level, release_name


def test_every_level_has_a_name_and_every_name_a_level() -> None:
    names = [release_name(level) for level in range(MV_MINIMUM, MV_LATEST + 1)]
    assert len(set(names)) == len(names)
    assert [release_level(name) for name in names] == list(range(MV_MINIMUM, MV_LATEST + 1))
    assert (names[0], names[-1]) == ("3.3-IV3", "4.3-IV0")
    assert release_name(31) == "31"


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("3.3", 7), ("3.4", 8), ("3.5", 11), ("3.6", 14), ("3.7", 19), ("3.8", 20), ("3.9", 21),
        ("4.0", 25), ("4.1", 27), ("4.2", 29), ("4.3", 30), ("3.9.1", 21), ("3.7.x", 19),
        ("4.0-IV1", 23), ("4.3.1", 30),
    ],
)  # fmt: skip
def test_a_release_stands_for_its_last_level(text: str, level: int) -> None:
    assert release_level(text) == level


@pytest.mark.parametrize("text", ["", "4", "3.2", "4.4", "4.3-IV1", "latest", "30"])
def test_unknown_releases(text: str) -> None:
    with pytest.raises(ValueError, match=r"no metadata\.version"):
        release_level(text)


def test_levels_of_a_release() -> None:
    assert levels_at(MV_LATEST) == initial_levels()
    assert set(levels_at(MV_MINIMUM).values()) == {MV_MINIMUM, 0}
    for release in range(MV_MINIMUM, MV_LATEST + 1):
        for name, level in levels_at(release).items():
            low, high = supported_features()[name]
            assert low <= level <= high
