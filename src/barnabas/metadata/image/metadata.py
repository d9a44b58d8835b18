"""The whole image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from barnabas.metadata.image.acls import AclsImage
from barnabas.metadata.image.cluster import ClusterImage
from barnabas.metadata.image.configs import ConfigsImage
from barnabas.metadata.image.features import FeaturesImage
from barnabas.metadata.image.producer_ids import ProducerIdsImage
from barnabas.metadata.image.quotas import ClientQuotasImage
from barnabas.metadata.image.scram import ScramImage
from barnabas.metadata.image.tokens import DelegationTokensImage
from barnabas.metadata.image.topics import TopicsImage
from barnabas.wire.message import Message


class Provenance(NamedTuple):
    """The last record that an image contains: its offset, epoch and timestamp (ms); -1 if none."""

    offset: int
    epoch: int
    timestamp_ms: int


class MetadataImage(NamedTuple):
    """All areas at one offset. Immutable: share it freely, swap it in one assignment."""

    provenance: Provenance
    features: FeaturesImage
    cluster: ClusterImage
    topics: TopicsImage
    configs: ConfigsImage
    client_quotas: ClientQuotasImage
    producer_ids: ProducerIdsImage
    acls: AclsImage
    scram: ScramImage
    delegation_tokens: DelegationTokensImage

    @classmethod
    def empty(cls) -> MetadataImage:
        """Before the first record."""
        return cls(
            Provenance(-1, -1, -1),
            FeaturesImage.empty(),
            ClusterImage.empty(),
            TopicsImage.empty(),
            ConfigsImage.empty(),
            ClientQuotasImage.empty(),
            ProducerIdsImage.empty(),
            AclsImage.empty(),
            ScramImage.empty(),
            DelegationTokensImage.empty(),
        )

    def records(self) -> Iterator[Message]:
        """Everything back as records, in the order of Kafka's snapshots."""
        version = self.features.version
        yield from self.features.records()
        yield from self.cluster.records(version)
        yield from self.topics.records(version, self.features.elr_enabled)
        yield from self.configs.records()
        yield from self.client_quotas.records()
        yield from self.producer_ids.records()
        yield from self.acls.records()
        yield from self.scram.records(version)
        yield from self.delegation_tokens.records(version)
