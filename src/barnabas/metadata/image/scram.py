"""SCRAM credentials (KIP-900)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from barnabas.metadata.features import MV_SCRAM
from barnabas.metadata.image.changes import MapDelta
from barnabas.metadata.record_types import (
    RemoveUserScramCredentialRecord,
    UserScramCredentialRecord,
)


class ScramCredential(NamedTuple):
    """What the server keeps of a password."""

    salt: bytes
    stored_key: bytes
    server_key: bytes
    iterations: int

    def __repr__(self) -> str:
        # Credentials must not reach a log.
        return f"ScramCredential(iterations={self.iterations})"


class ScramImage(NamedTuple):
    """Credentials by (mechanism, user); mechanism 1 is SCRAM-SHA-256, 2 is SCRAM-SHA-512."""

    credentials: Mapping[tuple[int, str], ScramCredential]

    @classmethod
    def empty(cls) -> ScramImage:
        """No credentials."""
        return cls({})

    def records(self, metadata_version: int) -> Iterator[UserScramCredentialRecord]:
        """Back to records."""
        if metadata_version < MV_SCRAM:
            return
        for (mechanism, name), credential in self.credentials.items():
            yield UserScramCredentialRecord(
                name=name,
                mechanism=mechanism,
                salt=credential.salt,
                stored_key=credential.stored_key,
                server_key=credential.server_key,
                iterations=credential.iterations,
            )


class ScramDelta:
    """Folds SCRAM records."""

    __slots__ = ("credentials",)

    def __init__(self, image: ScramImage) -> None:
        self.credentials: MapDelta[tuple[int, str], ScramCredential] = MapDelta(image.credentials)

    def put(self, record: UserScramCredentialRecord) -> None:
        """Set a user's credential for a mechanism."""
        credential = ScramCredential(
            bytes(record.salt),
            bytes(record.stored_key),
            bytes(record.server_key),
            record.iterations,
        )
        self.credentials.put((record.mechanism, record.name), credential)

    def remove(self, record: RemoveUserScramCredentialRecord) -> None:
        """Drop a user's credential for a mechanism."""
        self.credentials.remove((record.mechanism, record.name))

    def apply(self) -> ScramImage:
        """The new image."""
        return ScramImage(self.credentials.apply())
