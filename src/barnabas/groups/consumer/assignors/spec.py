"""What an assignor is told, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from barnabas.groups.consumer.member import Partitions

Assignment: TypeAlias = Mapping[str, Partitions]
"""Member id -> topic id -> partitions; a member without any may be missing."""


class MemberSpec(NamedTuple):
    """One member: the topics (by id) that it reads and that exist, and what it was to own."""

    topics: Sequence[bytes]
    target: Partitions
    instance_id: str | None = None
    rack_id: str | None = None


class GroupSpec(NamedTuple):
    """The whole group. The order of `members` decides between equals.

    `partitions`: topic id -> how many partitions it has, of every topic that a member reads.
    `alike`: all members read the same topics.
    """

    members: Mapping[str, MemberSpec]
    partitions: Mapping[bytes, int]
    alike: bool
