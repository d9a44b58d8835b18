"""The fold: records onto an image, and what changed on the way."""

from __future__ import annotations

from collections.abc import Iterable

from barnabas.metadata import record_types as r
from barnabas.metadata.errors import MetadataError
from barnabas.metadata.image.acls import AclsDelta
from barnabas.metadata.image.cluster import ClusterDelta
from barnabas.metadata.image.configs import ConfigsDelta
from barnabas.metadata.image.features import FeaturesDelta
from barnabas.metadata.image.metadata import MetadataImage, Provenance
from barnabas.metadata.image.producer_ids import ProducerIdsImage
from barnabas.metadata.image.quotas import ClientQuotasDelta
from barnabas.metadata.image.scram import ScramDelta
from barnabas.metadata.image.tokens import DelegationTokensDelta
from barnabas.metadata.image.topics import TopicsDelta
from barnabas.wire.message import Message


class MetadataDelta:
    """Changes on top of `image`. An area that no record touched stays None.

    After `replay` raised MetadataError the delta is half done and must be thrown away.
    """

    __slots__ = (
        "acls",
        "client_quotas",
        "cluster",
        "configs",
        "delegation_tokens",
        "features",
        "image",
        "producer_ids",
        "scram",
        "topics",
    )

    def __init__(self, image: MetadataImage) -> None:
        self.image = image
        self.features: FeaturesDelta | None = None
        self.cluster: ClusterDelta | None = None
        self.topics: TopicsDelta | None = None
        self.configs: ConfigsDelta | None = None
        self.client_quotas: ClientQuotasDelta | None = None
        self.producer_ids: ProducerIdsImage | None = None
        self.acls: AclsDelta | None = None
        self.scram: ScramDelta | None = None
        self.delegation_tokens: DelegationTokensDelta | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing was touched."""
        return all(getattr(self, name) is None for name in self.__slots__ if name != "image")

    def replay_all(self, records: Iterable[Message]) -> None:
        """Fold records in order. Raises MetadataError."""
        for record in records:
            self.replay(record)

    def replay(self, record: Message) -> None:
        """Fold one record. Raises MetadataError when it does not fit the state."""
        match record:
            case r.TopicRecord():
                self._topics().create(record)
            case r.PartitionRecord():
                self._topics().put_partition(record)
            case r.PartitionChangeRecord():
                self._topics().change_partition(record)
            case r.RemoveTopicRecord():
                self._configs().remove_topic(self._topics().remove(record))
            case r.ClearElrRecord():
                self._topics().clear_elr(record)
            case r.ConfigRecord():
                self._configs().replay(record)
            case r.FeatureLevelRecord():
                self._features().replay(record)
            case r.ClientQuotaRecord():
                self._quotas().replay(record)
            case r.ProducerIdsRecord():
                self.producer_ids = ProducerIdsImage(record.next_producer_id)
            case r.NoOpRecord() | r.ZkMigrationStateRecord():
                # A heartbeat of Kafka's controller; a left-over of a finished migration.
                return
            case _:
                if not (self._replay_cluster(record) or self._replay_security(record)):
                    raise MetadataError(f"{record.NAME} cannot be replayed")

    def apply(self, provenance: Provenance) -> MetadataImage:
        """The new image, which ends at `provenance`."""
        old = self.image
        return MetadataImage(
            provenance,
            old.features if self.features is None else self.features.apply(),
            old.cluster if self.cluster is None else self.cluster.apply(),
            old.topics if self.topics is None else self.topics.apply(),
            old.configs if self.configs is None else self.configs.apply(),
            old.client_quotas if self.client_quotas is None else self.client_quotas.apply(),
            old.producer_ids if self.producer_ids is None else self.producer_ids,
            old.acls if self.acls is None else self.acls.apply(),
            old.scram if self.scram is None else self.scram.apply(),
            old.delegation_tokens
            if self.delegation_tokens is None
            else self.delegation_tokens.apply(),
        )

    def _replay_cluster(self, record: Message) -> bool:
        match record:
            case r.RegisterBrokerRecord():
                self._cluster().register_broker(record)
            case r.UnregisterBrokerRecord():
                self._cluster().unregister_broker(record)
            case r.RegisterControllerRecord():
                self._cluster().register_controller(record)
            case r.BrokerRegistrationChangeRecord():
                self._cluster().change_broker(record)
            case r.FenceBrokerRecord():
                self._cluster().set_fenced(record.id, record.epoch, True)
            case r.UnfenceBrokerRecord():
                self._cluster().set_fenced(record.id, record.epoch, False)
            case _:
                return False
        return True

    def _replay_security(self, record: Message) -> bool:
        match record:
            case r.AccessControlEntryRecord():
                self._acls().add(record)
            case r.RemoveAccessControlEntryRecord():
                self._acls().remove(record)
            case r.UserScramCredentialRecord():
                self._scram().put(record)
            case r.RemoveUserScramCredentialRecord():
                self._scram().remove(record)
            case r.DelegationTokenRecord():
                self._tokens().put(record)
            case r.RemoveDelegationTokenRecord():
                self._tokens().remove(record)
            case _:
                return False
        return True

    def _features(self) -> FeaturesDelta:
        if self.features is None:
            self.features = FeaturesDelta(self.image.features)
        return self.features

    def _cluster(self) -> ClusterDelta:
        if self.cluster is None:
            self.cluster = ClusterDelta(self.image.cluster)
        return self.cluster

    def _topics(self) -> TopicsDelta:
        if self.topics is None:
            self.topics = TopicsDelta(self.image.topics)
        return self.topics

    def _configs(self) -> ConfigsDelta:
        if self.configs is None:
            self.configs = ConfigsDelta(self.image.configs)
        return self.configs

    def _quotas(self) -> ClientQuotasDelta:
        if self.client_quotas is None:
            self.client_quotas = ClientQuotasDelta(self.image.client_quotas)
        return self.client_quotas

    def _acls(self) -> AclsDelta:
        if self.acls is None:
            self.acls = AclsDelta(self.image.acls)
        return self.acls

    def _scram(self) -> ScramDelta:
        if self.scram is None:
            self.scram = ScramDelta(self.image.scram)
        return self.scram

    def _tokens(self) -> DelegationTokensDelta:
        if self.delegation_tokens is None:
            self.delegation_tokens = DelegationTokensDelta(self.image.delegation_tokens)
        return self.delegation_tokens
