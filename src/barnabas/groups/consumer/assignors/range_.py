"""The range assignor: of each topic every member gets one contiguous piece."""

from __future__ import annotations

from collections import Counter

from barnabas.groups.consumer.assignors.spec import Assignment, GroupSpec
from barnabas.groups.consumer.member import Partitions


def assign_range(group: GroupSpec) -> Assignment:
    """Static members first, by instance id, then the others by member id.

    Members get equal pieces, the first ones one more. Members with the same topics get the same
    numbers of topics with as many partitions, so that joins of topics find their partners.
    """
    readers = Counter(topic for spec in group.members.values() for topic in spec.topics)
    given = dict.fromkeys(readers, 0)
    extra = {topic: group.partitions[topic] % count for topic, count in readers.items()}
    result: dict[str, Partitions] = {}
    for member_id in sorted(group.members, key=lambda each: _place(group, each)):
        mine: dict[bytes, tuple[int, ...]] = {}
        result[member_id] = mine
        for topic in group.members[member_id].topics:
            size = group.partitions[topic] // readers[topic]
            if extra[topic]:
                size += 1
                extra[topic] -= 1
            start = given[topic]
            given[topic] = start + size
            if size:
                mine[topic] = tuple(range(start, start + size))
    return result


def _place(group: GroupSpec, member_id: str) -> tuple[bool, bytes]:
    """Java compares strings by UTF-16 units."""
    instance = group.members[member_id].instance_id
    text = member_id if instance is None else instance
    return instance is None, text.encode("utf-16-be", "surrogatepass")
