"""The table of APIs: keys, names, versions and listeners of Apache Kafka 4.3.1.

Only stable versions are listed (`unstable.api.versions.enable=false`).
"""

from __future__ import annotations

import re
from functools import cached_property
from importlib import import_module
from typing import cast

from barnabas.wire.message import NEVER, Message


class Api:
    """One API.

    `min_version` to `max_version` are accepted; a broker lists `advertised_min` to `max_version` in
    ApiVersions (they differ for Produce alone: librdkafka turns features off when it misses version
    0 there, KAFKA-18659). `flexible` is the first flexible version. `forwarded`: a broker passes
    the request to the active controller. `internal`: a call between nodes, which needs the
    permission ClusterAction and is exempt from request quotas.
    """

    def __init__(
        self,
        key: int,
        name: str,
        min_version: int,
        max_version: int,
        flexible: int,
        *,
        on_broker: bool = False,
        on_controller: bool = False,
        forwarded: bool = False,
        internal: bool = False,
        advertised_min: int | None = None,
    ) -> None:
        self.key = key
        self.name = name
        self.min_version = min_version
        self.max_version = max_version
        self.flexible = flexible
        self.on_broker = on_broker
        self.on_controller = on_controller
        self.forwarded = forwarded
        self.internal = internal
        self.advertised_min = min_version if advertised_min is None else advertised_min

    def __repr__(self) -> str:
        return f"Api({self.key}, {self.name!r}, {self.min_version}-{self.max_version})"

    @cached_property  # a pure memo: the module is imported at the first use
    def request(self) -> type[Message]:
        """The class of its requests."""
        return _load(f"{self.name}Request")

    @cached_property  # a pure memo: the module is imported at the first use
    def response(self) -> type[Message]:
        """The class of its responses."""
        return _load(f"{self.name}Response")

    def accepts(self, version: int) -> bool:
        """Whether requests of `version` are answered."""
        return self.min_version <= version <= self.max_version

    def request_header_version(self, version: int) -> int:
        """Version of the request header: 2 for flexible versions, else 1."""
        return 2 if version >= self.flexible else 1

    def response_header_version(self, version: int) -> int:
        """Version of the response header: 1 for flexible versions, else 0.

        Always 0 for ApiVersions: its reader does not know yet what the broker speaks (KIP-511).
        """
        return 1 if version >= self.flexible and self.key != API_VERSIONS else 0


def module_name(name: str) -> str:
    """The module of the message class `name`: "FetchRequest" is in `fetch_request`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _load(name: str) -> type[Message]:
    module = import_module(f"barnabas.wire.messages.{module_name(name)}")
    return cast("type[Message]", getattr(module, name))


API_VERSIONS = 18

# fmt: off
_TABLE = (
    Api(0, "Produce", 3, 13, 9, on_broker=True, advertised_min=0),
    Api(1, "Fetch", 4, 18, 12, on_broker=True, on_controller=True),
    Api(2, "ListOffsets", 1, 11, 6, on_broker=True),
    Api(3, "Metadata", 0, 13, 9, on_broker=True),
    Api(8, "OffsetCommit", 2, 10, 8, on_broker=True),
    Api(9, "OffsetFetch", 1, 10, 6, on_broker=True),
    Api(10, "FindCoordinator", 0, 6, 3, on_broker=True),
    Api(11, "JoinGroup", 0, 9, 6, on_broker=True),
    Api(12, "Heartbeat", 0, 4, 4, on_broker=True),
    Api(13, "LeaveGroup", 0, 5, 4, on_broker=True),
    Api(14, "SyncGroup", 0, 5, 4, on_broker=True),
    Api(15, "DescribeGroups", 0, 6, 5, on_broker=True),
    Api(16, "ListGroups", 0, 5, 3, on_broker=True),
    Api(17, "SaslHandshake", 0, 1, NEVER, on_broker=True, on_controller=True),
    Api(18, "ApiVersions", 0, 4, 3, on_broker=True, on_controller=True),
    Api(19, "CreateTopics", 2, 7, 5, on_broker=True, on_controller=True, forwarded=True),
    Api(20, "DeleteTopics", 1, 6, 4, on_broker=True, on_controller=True, forwarded=True),
    Api(21, "DeleteRecords", 0, 2, 2, on_broker=True),
    Api(22, "InitProducerId", 0, 5, 2, on_broker=True),
    Api(23, "OffsetForLeaderEpoch", 2, 4, 4, on_broker=True),
    Api(24, "AddPartitionsToTxn", 0, 5, 3, on_broker=True),
    Api(25, "AddOffsetsToTxn", 0, 4, 3, on_broker=True),
    Api(26, "EndTxn", 0, 5, 3, on_broker=True),
    Api(27, "WriteTxnMarkers", 1, 2, 1, on_broker=True, internal=True),
    Api(28, "TxnOffsetCommit", 0, 5, 3, on_broker=True),
    Api(29, "DescribeAcls", 1, 3, 2, on_broker=True, on_controller=True),
    Api(30, "CreateAcls", 1, 3, 2, on_broker=True, on_controller=True, forwarded=True),
    Api(31, "DeleteAcls", 1, 3, 2, on_broker=True, on_controller=True, forwarded=True),
    Api(32, "DescribeConfigs", 1, 4, 4, on_broker=True, on_controller=True),
    Api(33, "AlterConfigs", 0, 2, 2, on_broker=True, on_controller=True, forwarded=True),
    Api(34, "AlterReplicaLogDirs", 1, 2, 2, on_broker=True),
    Api(35, "DescribeLogDirs", 1, 5, 2, on_broker=True),
    Api(36, "SaslAuthenticate", 0, 2, 2, on_broker=True, on_controller=True),
    Api(37, "CreatePartitions", 0, 3, 2, on_broker=True, on_controller=True, forwarded=True),
    Api(38, "CreateDelegationToken", 1, 3, 2, on_broker=True, on_controller=True, forwarded=True),
    Api(39, "RenewDelegationToken", 1, 2, 2, on_broker=True, on_controller=True, forwarded=True),
    Api(40, "ExpireDelegationToken", 1, 2, 2, on_broker=True, on_controller=True, forwarded=True),
    Api(41, "DescribeDelegationToken", 1, 3, 2, on_broker=True, on_controller=True),
    Api(42, "DeleteGroups", 0, 2, 2, on_broker=True),
    Api(43, "ElectLeaders", 0, 2, 2, on_broker=True, on_controller=True, forwarded=True),
    Api(44, "IncrementalAlterConfigs", 0, 1, 1, on_broker=True, on_controller=True, forwarded=True),
    Api(45, "AlterPartitionReassignments", 0, 1, 0, on_broker=True, on_controller=True, forwarded=True),
    Api(46, "ListPartitionReassignments", 0, 0, 0, on_broker=True, on_controller=True, forwarded=True),
    Api(47, "OffsetDelete", 0, 0, NEVER, on_broker=True),
    Api(48, "DescribeClientQuotas", 0, 1, 1, on_broker=True),
    Api(49, "AlterClientQuotas", 0, 1, 1, on_broker=True, on_controller=True, forwarded=True),
    Api(50, "DescribeUserScramCredentials", 0, 0, 0, on_broker=True, on_controller=True),
    Api(51, "AlterUserScramCredentials", 0, 0, 0, on_broker=True, on_controller=True, forwarded=True),
    Api(52, "Vote", 0, 2, 0, on_controller=True, internal=True),
    Api(53, "BeginQuorumEpoch", 0, 1, 1, on_controller=True, internal=True),
    Api(54, "EndQuorumEpoch", 0, 1, 1, on_controller=True, internal=True),
    Api(55, "DescribeQuorum", 0, 2, 0, on_broker=True, on_controller=True, forwarded=True, internal=True),
    Api(56, "AlterPartition", 2, 3, 0, on_controller=True, internal=True),
    Api(57, "UpdateFeatures", 0, 2, 0, on_broker=True, on_controller=True, forwarded=True, internal=True),
    Api(58, "Envelope", 0, 0, 0, on_controller=True, internal=True),
    Api(59, "FetchSnapshot", 0, 1, 0, on_controller=True),
    Api(60, "DescribeCluster", 0, 2, 0, on_broker=True, on_controller=True),
    Api(61, "DescribeProducers", 0, 0, 0, on_broker=True),
    Api(62, "BrokerRegistration", 0, 4, 0, on_controller=True, internal=True),
    Api(63, "BrokerHeartbeat", 0, 2, 0, on_controller=True, internal=True),
    Api(64, "UnregisterBroker", 0, 0, 0, on_broker=True, on_controller=True, forwarded=True),
    Api(65, "DescribeTransactions", 0, 0, 0, on_broker=True),
    Api(66, "ListTransactions", 0, 2, 0, on_broker=True),
    Api(67, "AllocateProducerIds", 0, 0, 0, on_controller=True, forwarded=True, internal=True),
    Api(68, "ConsumerGroupHeartbeat", 0, 1, 0, on_broker=True),
    Api(69, "ConsumerGroupDescribe", 0, 1, 0, on_broker=True),
    Api(70, "ControllerRegistration", 0, 0, 0, on_controller=True),
    Api(71, "GetTelemetrySubscriptions", 0, 0, 0, on_broker=True),
    Api(72, "PushTelemetry", 0, 0, 0, on_broker=True),
    Api(73, "AssignReplicasToDirs", 0, 0, 0, on_controller=True),
    Api(74, "ListConfigResources", 0, 1, 0, on_broker=True),
    Api(75, "DescribeTopicPartitions", 0, 0, 0, on_broker=True),
    Api(76, "ShareGroupHeartbeat", 1, 1, 0, on_broker=True),
    Api(77, "ShareGroupDescribe", 1, 1, 0, on_broker=True),
    Api(78, "ShareFetch", 1, 2, 0, on_broker=True),
    Api(79, "ShareAcknowledge", 1, 2, 0, on_broker=True),
    Api(80, "AddRaftVoter", 0, 1, 0, on_broker=True, on_controller=True, forwarded=True),
    Api(81, "RemoveRaftVoter", 0, 0, 0, on_broker=True, on_controller=True, forwarded=True),
    Api(82, "UpdateRaftVoter", 0, 0, 0, on_controller=True),
    Api(83, "InitializeShareGroupState", 0, 0, 0, on_broker=True, internal=True),
    Api(84, "ReadShareGroupState", 0, 0, 0, on_broker=True, internal=True),
    Api(85, "WriteShareGroupState", 0, 1, 0, on_broker=True, internal=True),
    Api(86, "DeleteShareGroupState", 0, 0, 0, on_broker=True, internal=True),
    Api(87, "ReadShareGroupStateSummary", 0, 1, 0, on_broker=True, internal=True),
    Api(88, "StreamsGroupHeartbeat", 0, 0, 0, on_broker=True),
    Api(89, "StreamsGroupDescribe", 0, 0, 0, on_broker=True),
    Api(90, "DescribeShareGroupOffsets", 0, 1, 0, on_broker=True),
    Api(91, "AlterShareGroupOffsets", 0, 0, 0, on_broker=True),
    Api(92, "DeleteShareGroupOffsets", 0, 0, 0, on_broker=True),
)
# fmt: on

API: dict[int, Api] = {api.key: api for api in _TABLE}
"""Every API by its key. Constant."""
