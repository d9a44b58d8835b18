"""The quorum-state file: epoch, leader and vote, as one line of JSON (data versions 0 and 1)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from barnabas.raft.errors import QuorumError
from barnabas.raft.types import NO_NODE, ReplicaKey
from barnabas.wire import uuids

LATEST_DATA_VERSION = 1


class ElectionState(NamedTuple):
    """What a node must not forget: its epoch, that epoch's leader, and whom it voted for."""

    epoch: int
    leader_id: int = NO_NODE
    voted: ReplicaKey | None = None

    def voted_for(self, key: ReplicaKey) -> bool:
        """Whether the vote is for `key`; a vote without directory (version 0) is for its id."""
        if self.voted is None or self.voted.id != key.id:
            return False
        return self.voted.directory_id in (uuids.ZERO, key.directory_id)


def encode_election(
    state: ElectionState, *, kraft_version: int, voter_ids: Sequence[int] = ()
) -> bytes:
    """The content of quorum-state: version 0 lists the static voters, version 1 the vote's dir."""
    voted = state.voted
    data: dict[str, Any]
    if kraft_version == 0:
        data = {
            "clusterId": "",
            "leaderId": state.leader_id,
            "leaderEpoch": state.epoch,
            "votedId": NO_NODE if voted is None else voted.id,
            "appliedOffset": 0,
            "currentVoters": [{"voterId": voter_id} for voter_id in voter_ids],
            "data_version": 0,
        }
    else:
        directory = uuids.ZERO if voted is None else voted.directory_id
        data = {
            "leaderId": state.leader_id,
            "leaderEpoch": state.epoch,
            "votedId": NO_NODE if voted is None else voted.id,
            "votedDirectoryId": uuids.to_text(directory),
            "data_version": 1,
        }
    return json.dumps(data, separators=(",", ":")).encode()


def decode_election(content: bytes) -> ElectionState:
    """Read quorum-state. Raises QuorumError: a vote that cannot be read must not be given twice."""
    try:
        data = json.loads(content)
        version = data["data_version"]
        if version not in (0, 1):
            raise QuorumError(
                f"quorum-state has data_version {version}; 0 to {LATEST_DATA_VERSION} are known"
            )
        directory = data.get("votedDirectoryId", "") if version == 1 else ""
        voted_id = _integer(data["votedId"])
        voted = ReplicaKey(voted_id, uuids.from_text(directory) if directory else uuids.ZERO)
        return ElectionState(
            _integer(data["leaderEpoch"]),
            _integer(data["leaderId"]),
            None if voted_id == NO_NODE else voted,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise QuorumError(f"quorum-state cannot be read: {error}") from error


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is not a number")
    return value
