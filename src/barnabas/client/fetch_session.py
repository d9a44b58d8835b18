"""An incremental fetch session with one node (KIP-227): what a request has to mention.

The node remembers the partitions of the session. A request names those that are new or moved, and
those that are no longer wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from barnabas.client.fetch_core import TopicPartition
from barnabas.wire.errors import ErrorCode

NO_SESSION = 0
FIRST_EPOCH = 0
"""Asks for a new session, with all partitions."""
NO_EPOCH = -1
"""Neither has a session nor wants one."""
_MAX_EPOCH = 0x7FFFFFFF


class Mentioned(NamedTuple):
    """What a request says."""

    session_id: int
    epoch: int
    partitions: list[TopicPartition]
    forgotten: list[tuple[TopicPartition, bytes]]
    """With the ids of their topics."""


class FetchSession:
    """The session with one node; without one a request names everything."""

    __slots__ = ("_enabled", "_epoch", "_id", "_known")

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled
        self._id = NO_SESSION
        self._epoch = FIRST_EPOCH if enabled else NO_EPOCH
        self._known: dict[TopicPartition, tuple[int, bytes]] = {}

    def request(self, asked: Mapping[TopicPartition, int], ids: Mapping[str, bytes]) -> Mentioned:
        """What the next request mentions. `asked`: offsets; `ids`: the topics' ids."""
        now = {name: (offset, ids.get(name[0], b"")) for name, offset in asked.items()}
        if self._epoch <= FIRST_EPOCH:
            self._known = now
            return Mentioned(self._id, self._epoch, list(asked), [])
        known = self._known
        changed = [name for name, state in now.items() if known.get(name) != state]
        # A topic that was created anew is another one.
        forgotten = [
            (name, topic_id)
            for name, (_, topic_id) in known.items()
            if name not in now or now[name][1] != topic_id
        ]
        self._known = now
        return Mentioned(self._id, self._epoch, changed, forgotten)

    def answered(self, code: ErrorCode, session_id: int) -> None:
        """What the node said about the session."""
        if code != ErrorCode.NONE or session_id == NO_SESSION:
            self.reset()
        elif self._epoch == FIRST_EPOCH:
            self._id, self._epoch = session_id, 1
        elif self._epoch > FIRST_EPOCH:
            self._epoch = self._epoch + 1 if self._epoch < _MAX_EPOCH else 1

    def reset(self) -> None:
        """The session is gone, or nobody knows: begin anew."""
        self._id = NO_SESSION
        self._epoch = FIRST_EPOCH if self._enabled else NO_EPOCH
        self._known = {}
