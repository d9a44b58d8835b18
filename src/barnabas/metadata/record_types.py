"""Every metadata record type of Apache Kafka 4.3.1 in one place, and the table by type number."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from barnabas.metadata.records.abort_transaction_record import AbortTransactionRecord
from barnabas.metadata.records.access_control_entry_record import AccessControlEntryRecord
from barnabas.metadata.records.begin_transaction_record import BeginTransactionRecord
from barnabas.metadata.records.broker_registration_change_record import (
    BrokerRegistrationChangeRecord,
)
from barnabas.metadata.records.clear_elr_record import ClearElrRecord
from barnabas.metadata.records.client_quota_record import ClientQuotaRecord
from barnabas.metadata.records.config_record import ConfigRecord
from barnabas.metadata.records.delegation_token_record import DelegationTokenRecord
from barnabas.metadata.records.end_transaction_record import EndTransactionRecord
from barnabas.metadata.records.feature_level_record import FeatureLevelRecord
from barnabas.metadata.records.fence_broker_record import FenceBrokerRecord
from barnabas.metadata.records.no_op_record import NoOpRecord
from barnabas.metadata.records.partition_change_record import PartitionChangeRecord
from barnabas.metadata.records.partition_record import PartitionRecord
from barnabas.metadata.records.producer_ids_record import ProducerIdsRecord
from barnabas.metadata.records.register_broker_record import RegisterBrokerRecord
from barnabas.metadata.records.register_controller_record import RegisterControllerRecord
from barnabas.metadata.records.remove_access_control_entry_record import (
    RemoveAccessControlEntryRecord,
)
from barnabas.metadata.records.remove_delegation_token_record import RemoveDelegationTokenRecord
from barnabas.metadata.records.remove_topic_record import RemoveTopicRecord
from barnabas.metadata.records.remove_user_scram_credential_record import (
    RemoveUserScramCredentialRecord,
)
from barnabas.metadata.records.topic_record import TopicRecord
from barnabas.metadata.records.unfence_broker_record import UnfenceBrokerRecord
from barnabas.metadata.records.unregister_broker_record import UnregisterBrokerRecord
from barnabas.metadata.records.user_scram_credential_record import UserScramCredentialRecord
from barnabas.metadata.records.zk_migration_state_record import ZkMigrationStateRecord
from barnabas.wire.message import Message

__all__ = [
    "RECORD_TYPES",
    "AbortTransactionRecord",
    "AccessControlEntryRecord",
    "BeginTransactionRecord",
    "BrokerRegistrationChangeRecord",
    "ClearElrRecord",
    "ClientQuotaRecord",
    "ConfigRecord",
    "DelegationTokenRecord",
    "EndTransactionRecord",
    "FeatureLevelRecord",
    "FenceBrokerRecord",
    "NoOpRecord",
    "PartitionChangeRecord",
    "PartitionRecord",
    "ProducerIdsRecord",
    "RegisterBrokerRecord",
    "RegisterControllerRecord",
    "RemoveAccessControlEntryRecord",
    "RemoveDelegationTokenRecord",
    "RemoveTopicRecord",
    "RemoveUserScramCredentialRecord",
    "TopicRecord",
    "UnfenceBrokerRecord",
    "UnregisterBrokerRecord",
    "UserScramCredentialRecord",
    "ZkMigrationStateRecord",
]

RECORD_TYPES: Mapping[int, type[Message]] = MappingProxyType(
    {
        record.API_KEY: record
        for record in (
            AbortTransactionRecord,
            AccessControlEntryRecord,
            BeginTransactionRecord,
            BrokerRegistrationChangeRecord,
            ClearElrRecord,
            ClientQuotaRecord,
            ConfigRecord,
            DelegationTokenRecord,
            EndTransactionRecord,
            FeatureLevelRecord,
            FenceBrokerRecord,
            NoOpRecord,
            PartitionChangeRecord,
            PartitionRecord,
            ProducerIdsRecord,
            RegisterBrokerRecord,
            RegisterControllerRecord,
            RemoveAccessControlEntryRecord,
            RemoveDelegationTokenRecord,
            RemoveTopicRecord,
            RemoveUserScramCredentialRecord,
            TopicRecord,
            UnfenceBrokerRecord,
            UnregisterBrokerRecord,
            UserScramCredentialRecord,
            ZkMigrationStateRecord,
        )
    }
)
"""Record class by type number. Kafka retired 6, 13 and 16."""
