"""What all decisions about groups share: the groups of one shard, their offsets, settings, new ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from barnabas.groups.classic.group import ClassicGroup
from barnabas.groups.offsets.table import OffsetTable

if TYPE_CHECKING:
    from barnabas.groups.settings import GroupSettings

AnyGroup: TypeAlias = ClassicGroup
"""A group of any kind: what offsets and administration need of one."""


class GroupsState:
    """The groups of one partition of __consumer_offsets, by id.

    `settings` may be replaced at any time. `new_id()` gives text that was never given before.
    """

    def __init__(self, settings: GroupSettings, new_id: Callable[[], str]) -> None:
        self.settings = settings
        self.new_id = new_id
        self.groups: dict[str, AnyGroup] = {}
        self.offsets = OffsetTable()

    def classic(self, group_id: str) -> ClassicGroup | None:
        """The classic group of this id, if it is one."""
        return self.groups.get(group_id)
