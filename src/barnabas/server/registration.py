"""How this process joins its cluster: registrations and heartbeats, as controller decisions.

In a quorum of one the broker and its controller share a process, so a heartbeat is a decision like
any other and needs no timer: they live and die together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from barnabas.config.broker import BrokerConfig
from barnabas.metadata.controller.decision import ControllerSettings, Decision
from barnabas.metadata.controller.heartbeat import heartbeat
from barnabas.metadata.controller.registration import register_broker, register_controller
from barnabas.metadata.controller.replica_directories import assign_replicas
from barnabas.metadata.controller.sessions import BrokerSessions
from barnabas.metadata.features import supported_features
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.cluster import Endpoint
from barnabas.ports import Clock
from barnabas.replication.metadata_log import MetadataLog
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages import (
    assign_replicas_to_dirs_request as assign_messages,
)
from barnabas.wire.messages import (
    broker_registration_request as broker_messages,
)
from barnabas.wire.messages import (
    controller_registration_request as controller_messages,
)
from barnabas.wire.messages.broker_heartbeat_request import BrokerHeartbeatRequest
from barnabas.wire.messages.broker_heartbeat_response import BrokerHeartbeatResponse

REGISTRATION_VERSION = 4


class Registration:
    """This node's entry in the cluster."""

    def __init__(
        self,
        config: BrokerConfig,
        settings: ControllerSettings,
        metadata: MetadataLog,
        clock: Clock,
        incarnation_id: bytes,
        cordoned: Callable[[], list[bytes]],
    ) -> None:
        """`cordoned`: ids of the directories that get no new partitions at the moment."""
        self._config = config
        self._settings = settings
        self._metadata = metadata
        self._clock = clock
        self._incarnation_id = incarnation_id
        self._cordoned = cordoned
        self._sessions = BrokerSessions(config.get_int("broker.session.timeout.ms"))
        self.broker_epoch = -1
        metadata.subscribe(lambda _, new, delta: self._sessions.committed(new, delta))

    async def register(
        self,
        *,
        brokers: Sequence[Endpoint],
        controllers: Sequence[Endpoint],
        directories: Sequence[bytes],
        previous_epoch: int,
    ) -> None:
        """Register controller and broker; the broker stays fenced until `unfence`."""
        node_id = self._config.node_id
        features = supported_features().items()
        controller = controller_messages.ControllerRegistrationRequest(
            node_id,
            self._incarnation_id,
            False,
            [controller_messages.Listener(*endpoint) for endpoint in controllers],
            [controller_messages.Feature(n, r.min, r.max) for n, r in features],
        )
        await self._metadata.submit(lambda image: register_controller(image, controller))
        broker = broker_messages.BrokerRegistrationRequest(
            node_id,
            self._settings.cluster_id,
            self._incarnation_id,
            [broker_messages.Listener(*endpoint) for endpoint in brokers],
            [broker_messages.Feature(n, r.min, r.max) for n, r in features],
            self._config.get_str_or_none("broker.rack"),
            False,
            sorted(directories),
            previous_epoch,
        )
        response = await self._metadata.submit(
            lambda image: register_broker(
                image,
                self._settings,
                self._sessions,
                broker,
                version=REGISTRATION_VERSION,
                now_ms=self._clock.monotonic_ms(),
            )
        )
        self.broker_epoch = response.broker_epoch

    async def unfence(self) -> None:
        """The logs are ready: leaders may be elected here."""
        await self._heartbeat(want_fence=False)

    async def report_offline(self, directories: Sequence[bytes]) -> None:
        """Tell the controller which log directories failed, if any did."""
        if directories:
            with _unless_unregistered():
                await self._heartbeat(want_fence=False, offline=directories)

    async def report_cordoned(self) -> None:
        """Tell the controller which directories get no new partitions, where that is news."""
        cordoned = self._metadata.image.cluster.brokers[self._config.node_id].cordoned_directories
        if sorted(self._cordoned()) != sorted(cordoned or ()):
            with _unless_unregistered():
                await self._heartbeat(want_fence=False)

    async def report_placements(
        self, assignments: Mapping[bytes, Sequence[tuple[bytes, int]]]
    ) -> None:
        """Tell the controller in which directory (by id) replicas (topic id, partition) are."""
        directories = []
        for directory, replicas in assignments.items():
            topics: dict[bytes, assign_messages.TopicData] = {}
            for topic_id, index in replicas:
                topic = topics.setdefault(topic_id, assign_messages.TopicData(topic_id))
                topic.partitions.append(assign_messages.PartitionData(index))
            directories.append(assign_messages.DirectoryData(directory, list(topics.values())))
        request = assign_messages.AssignReplicasToDirsRequest(
            self._config.node_id, self.broker_epoch, directories
        )
        with _unless_unregistered():
            await self._metadata.submit(
                lambda image: assign_replicas(image, self._settings, request)
            )

    async def _heartbeat(
        self, *, want_fence: bool, offline: Sequence[bytes] = ()
    ) -> BrokerHeartbeatResponse:
        def decide(image: MetadataImage) -> Decision[BrokerHeartbeatResponse]:
            request = BrokerHeartbeatRequest(
                self._config.node_id,
                self.broker_epoch,
                image.provenance.offset,
                want_fence,
                False,
                list(offline),
                self._cordoned(),
            )
            return heartbeat(
                image, self._settings, self._sessions, request, self._clock.monotonic_ms()
            )

        return await self._metadata.submit(decide)


@contextmanager
def _unless_unregistered() -> Iterator[None]:
    """The broker was unregistered in the meantime: there is nobody whose directories these are."""
    try:
        yield
    except KafkaError as error:
        if error.code is not ErrorCode.STALE_BROKER_EPOCH:
            raise
