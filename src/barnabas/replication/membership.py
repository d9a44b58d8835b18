"""What the log's control records say of the quorum itself: kraft.version and the voters (KIP-853)."""

from __future__ import annotations

from collections.abc import Sequence

from barnabas.metadata.errors import MetadataError
from barnabas.metadata.snapshot import BATCH_LIMIT
from barnabas.ports import Buffer
from barnabas.raft.types import Endpoint, ReplicaKey, Voter, VoterSet
from barnabas.records.control import ControlType, read_control
from barnabas.records.errors import CorruptRecord
from barnabas.records.record import read_records
from barnabas.wire.message import Message
from barnabas.wire.messages.kraft_version_record import KRaftVersionRecord
from barnabas.wire.messages.voters_record import VotersRecord


class Membership:
    """kraft.version and voters as control records say (KIP-853).

    `record` is None under static voters; `offset` is where it stands in the log, -1 when only the
    bootstrap snapshot has it.
    """

    __slots__ = ("kraft_version", "offset", "record")

    def __init__(self) -> None:
        self.kraft_version = 0
        self.record: VotersRecord | None = None
        self.offset = -1

    def feed(self, data: Buffer, position: int) -> None:
        """Take the control batch at `position`. Raises MetadataError."""
        try:
            for record in read_records(data, position, limit=BATCH_LIMIT):
                self._learn(read_control(record), record.offset)
        except CorruptRecord as error:
            raise MetadataError(f"damaged control batch: {error}") from error

    def take(self, messages: Sequence[tuple[ControlType, Message]], base_offset: int) -> None:
        """Take what was committed from `base_offset` on."""
        for offset, (_, message) in enumerate(messages, base_offset):
            self._learn(message, offset)

    def _learn(self, message: Message | None, offset: int) -> None:
        match message:
            case KRaftVersionRecord():
                self.kraft_version = message.kraft_version
            case VotersRecord():
                self.record = message
                self.offset = offset

    def voters(self, static: VoterSet) -> VoterSet:
        """The voter set in force."""
        if self.kraft_version == 0 or self.record is None:
            return static
        return VoterSet(
            {
                v.voter_id: Voter(
                    ReplicaKey(v.voter_id, v.voter_directory_id),
                    tuple(Endpoint(e.name, e.host, e.port) for e in v.endpoints),
                )
                for v in self.record.voters
            }
        )
