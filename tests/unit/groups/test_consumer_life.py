"""Random lives of consumer groups: short ways lead where the long ones do."""

from __future__ import annotations

from unittest import mock

from barnabas.groups.consumer import target
from tests.unit.groups.consumer_life import Life

LIVES = 10
STEPS = 60


def test_members_that_read_the_same_share_as_if_everything_were_looked_at(seed: int) -> None:
    """The targets of the usual group are found from what is kept; else from the whole of it."""
    taken = 0

    def share(*given: object) -> object:
        nonlocal taken
        found = usual(*given)  # type: ignore[arg-type]
        taken += found is not None
        return found

    usual = target.share
    for number in range(LIVES):
        name = f"{seed}-{number}"
        with mock.patch.object(target, "share", share):
            short = Life(name).live(STEPS)
        with mock.patch.object(target, "share", return_value=None):
            long = Life(name).live(STEPS)
        assert short.desk.log == long.desk.log
        assert short.answers == long.answers
    assert taken > LIVES
