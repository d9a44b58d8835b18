"""How this process joins its cluster: registrations and heartbeats, as controller decisions.

In a quorum of one the broker and its controller share a process, so a heartbeat is a decision like
any other and needs no timer: they live and die together.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from barnabas.config.broker import BrokerConfig
from barnabas.metadata.controller.decision import ControllerSettings, Decision
from barnabas.metadata.controller.heartbeat import heartbeat
from barnabas.metadata.controller.registration import register_broker, register_controller
from barnabas.metadata.controller.replica_directories import assign_replicas
from barnabas.metadata.controller.sessions import BrokerSessions
from barnabas.metadata.delta import MetadataDelta
from barnabas.metadata.features import (
    MV_CONTROLLER_REGISTRATION,
    MV_DIRECTORY_ASSIGNMENT,
    supported_features,
)
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
        self._controller: controller_messages.ControllerRegistrationRequest | None = None
        self._broker: broker_messages.BrokerRegistrationRequest | None = None
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
        self._controller = controller_messages.ControllerRegistrationRequest(
            node_id,
            self._incarnation_id,
            False,
            [controller_messages.Listener(*endpoint) for endpoint in controllers],
            [controller_messages.Feature(n, r.min, r.max) for n, r in features],
        )
        self._broker = broker_messages.BrokerRegistrationRequest(
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
        await self._register_controller()
        await self._register_broker()

    def follow(self, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """From now on register anew what a raised metadata.version can say for the first time."""

        def committed(old: MetadataImage, new: MetadataImage, _: MetadataDelta) -> None:
            if old.features.version < new.features.version:
                spawn(self._register_more())

        self._metadata.subscribe(committed)

    async def _register_more(self) -> None:
        image = self._metadata.image
        node_id, version = self._config.node_id, image.features.version
        if node_id not in image.cluster.controllers:
            await self._register_controller()
        broker = image.cluster.brokers.get(node_id)
        if broker is not None and not broker.directories and version >= MV_DIRECTORY_ASSIGNMENT:
            await self._register_broker()

    async def _register_controller(self) -> None:
        request = self._controller
        assert request is not None
        # Before that level controllers do not register.
        if self._metadata.image.features.version >= MV_CONTROLLER_REGISTRATION:
            await self._metadata.submit(lambda image: register_controller(image, request))

    async def _register_broker(self) -> None:
        request = self._broker
        assert request is not None
        response = await self._metadata.submit(
            lambda image: register_broker(
                image,
                self._settings,
                self._sessions,
                request,
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
        broker = self._metadata.image.cluster.brokers.get(self._config.node_id)
        if broker is None:  # unregistered in the meantime
            return
        if sorted(self._cordoned()) != sorted(broker.cordoned_directories or ()):
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
