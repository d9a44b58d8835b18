"""Delegation tokens (KIP-48, KIP-900)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from barnabas.metadata.features import MV_DELEGATION_TOKENS
from barnabas.metadata.image.changes import MapDelta
from barnabas.metadata.record_types import DelegationTokenRecord, RemoveDelegationTokenRecord


class DelegationToken(NamedTuple):
    """A token without its secret, which every node derives. Timestamps in ms."""

    owner: str
    requester: str
    renewers: tuple[str, ...]
    issue_timestamp: int
    max_timestamp: int
    expiration_timestamp: int


class DelegationTokensImage(NamedTuple):
    """Tokens by token id."""

    tokens: Mapping[str, DelegationToken]

    @classmethod
    def empty(cls) -> DelegationTokensImage:
        """No tokens."""
        return cls({})

    def records(self, metadata_version: int) -> Iterator[DelegationTokenRecord]:
        """Back to records."""
        if metadata_version < MV_DELEGATION_TOKENS:
            return
        for token_id, token in self.tokens.items():
            yield DelegationTokenRecord(
                owner=token.owner,
                requester=token.requester,
                renewers=list(token.renewers),
                issue_timestamp=token.issue_timestamp,
                max_timestamp=token.max_timestamp,
                expiration_timestamp=token.expiration_timestamp,
                token_id=token_id,
            )


class DelegationTokensDelta:
    """Folds delegation token records."""

    __slots__ = ("tokens",)

    def __init__(self, image: DelegationTokensImage) -> None:
        self.tokens: MapDelta[str, DelegationToken] = MapDelta(image.tokens)

    def put(self, record: DelegationTokenRecord) -> None:
        """A new or renewed token."""
        token = DelegationToken(
            record.owner,
            record.requester,
            tuple(record.renewers),
            record.issue_timestamp,
            record.max_timestamp,
            record.expiration_timestamp,
        )
        self.tokens.put(record.token_id, token)

    def remove(self, record: RemoveDelegationTokenRecord) -> None:
        """An expired or revoked token."""
        self.tokens.remove(record.token_id)

    def apply(self) -> DelegationTokensImage:
        """The new image."""
        return DelegationTokensImage(self.tokens.apply())
