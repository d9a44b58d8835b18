"""What the members of a group are to own, with what an assignor would otherwise count each time."""

from __future__ import annotations

from collections.abc import Iterable

from barnabas.groups.consumer.member import Partitions


class Targets:
    """The target assignment, kept as it changes.

    `of` is the target of each member, `sizes` how many partitions that is. Change them by `put` and
    `remove` only. A partition may be its next owner's before the last one gives it up.
    """

    __slots__ = ("_highest", "_owners", "of", "sizes")

    def __init__(self) -> None:
        self.of: dict[str, Partitions] = {}
        self.sizes: dict[str, int] = {}
        self._owners: dict[bytes, dict[int, str]] = {}
        """Topic id -> partition -> who is to own it."""
        self._highest: dict[bytes, int] = {}
        """Topic id -> no partition in `_owners` is higher."""

    def put(self, member_id: str, partitions: Partitions) -> None:
        """A member has another target."""
        old = self.of.get(member_id)
        if old:
            self._take(member_id, old, partitions)
        size = 0
        for topic, parts in partitions.items():
            if not parts:
                continue
            size += len(parts)
            owners = self._owners.get(topic)
            if owners is None:
                owners = self._owners[topic] = {}
                self._highest[topic] = -1
            had = old.get(topic, ()) if old else ()
            if had[: len(parts)] == parts:
                continue  # fewer than before, or the same
            new = parts[len(had) :] if parts[: len(had)] == had else parts
            owners.update(dict.fromkeys(new, member_id))
            self._highest[topic] = max(self._highest[topic], parts[-1])
        self.of[member_id] = partitions
        self.sizes[member_id] = size

    def remove(self, member_id: str) -> None:
        """A member is gone."""
        old = self.of.pop(member_id, None)
        if old is not None:
            del self.sizes[member_id]
            self._take(member_id, old, {})

    def _take(self, member_id: str, old: Partitions, new: Partitions) -> None:
        """What a member had and does not keep is nobody's, unless it is meanwhile another one's."""
        for topic, parts in old.items():
            kept = new.get(topic, ())
            if parts is kept:
                continue
            gone = (
                parts[len(kept) :]
                if parts[: len(kept)] == kept
                else frozenset(parts).difference(kept)
            )
            owners = self._owners.get(topic)
            if not gone or owners is None:
                continue
            for partition in gone:
                if owners.get(partition) == member_id:
                    del owners[partition]
            if not owners:
                del self._owners[topic], self._highest[topic]

    @property
    def topics(self) -> Iterable[bytes]:
        """The topics of which somebody is to own a partition."""
        return self._owners.keys()

    def unassigned(self, topic: bytes, count: int) -> tuple[int, ...]:
        """Which of the first `count` partitions of a topic nobody is to own, ascending."""
        owners = self._owners.get(topic)
        if owners is None:
            return tuple(range(count))
        if len(owners) == count and self._highest[topic] < count:
            return ()  # the usual case, and a long way for 10,000 partitions
        return tuple([number for number in range(count) if number not in owners])
