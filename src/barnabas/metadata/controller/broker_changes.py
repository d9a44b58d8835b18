"""What happens to partitions when a broker comes, goes, fails or loses a directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from barnabas.metadata.controller.decision import ControllerSettings
from barnabas.metadata.controller.leadership import (
    begin_change,
    effective_min_isr,
    unclean_election_enabled,
)
from barnabas.metadata.controller.partition_change import Election
from barnabas.metadata.image import MetadataImage, Partition
from barnabas.metadata.image.cluster import ENTER_CONTROLLED_SHUTDOWN, FENCE, UNFENCE
from barnabas.metadata.image.partition import NO_LEADER
from barnabas.metadata.record_types import (
    BrokerRegistrationChangeRecord,
    PartitionChangeRecord,
    UnregisterBrokerRecord,
)
from barnabas.wire.message import Message

Selection = Callable[[Partition], bool]


def fence_broker(
    image: MetadataImage, settings: ControllerSettings, broker_id: int
) -> list[Message]:
    """The broker leaves every ISR and loses its leaderships."""
    broker = image.cluster.brokers[broker_id]
    records: list[Message] = [*_leave_isrs(image, settings, broker_id)]
    records.append(
        BrokerRegistrationChangeRecord(broker_id=broker_id, broker_epoch=broker.epoch, fenced=FENCE)
    )
    return records


def unfence_broker(
    image: MetadataImage, settings: ControllerSettings, broker_id: int
) -> list[Message]:
    """The broker may lead again; partitions without a leader get one where it is eligible."""
    broker = image.cluster.brokers[broker_id]
    change = BrokerRegistrationChangeRecord(
        broker_id=broker_id, broker_epoch=broker.epoch, fenced=UNFENCE
    )
    leaderless = partition_updates(
        image, settings, lambda p: p.leader == NO_LEADER, added=broker_id
    )
    return [change, *leaderless]


def enter_controlled_shutdown(
    image: MetadataImage, settings: ControllerSettings, broker_id: int
) -> list[Message]:
    """The broker stays up to hand over: it leaves ISRs and leaderships, and may not return."""
    broker = image.cluster.brokers[broker_id]
    records: list[Message] = []
    if not broker.in_controlled_shutdown:
        records.append(
            BrokerRegistrationChangeRecord(
                broker_id=broker_id,
                broker_epoch=broker.epoch,
                in_controlled_shutdown=ENTER_CONTROLLED_SHUTDOWN,
            )
        )
    return [*records, *_leave_isrs(image, settings, broker_id)]


def replace_incarnation(
    image: MetadataImage, settings: ControllerSettings, broker_id: int, *, clean: bool
) -> list[Message]:
    """A broker comes back as a new process.

    After an unclean shutdown it may have lost what it had acknowledged, so that with KIP-966 it
    is neither in sync nor an eligible leader any more.
    """
    if clean or not image.features.elr_enabled:
        return [*_leave_isrs(image, settings, broker_id)]
    return [
        *partition_updates(
            image,
            settings,
            lambda p: broker_id in p.isr or broker_id in p.elr,
            unclean_shutdown=broker_id,
        )
    ]


def unregister_broker(
    image: MetadataImage, settings: ControllerSettings, broker_id: int
) -> list[Message]:
    """The broker is gone for good."""
    broker = image.cluster.brokers[broker_id]
    updates = partition_updates(
        image, settings, lambda p: broker_id in p.isr or broker_id in p.elr, removed=broker_id
    )
    gone = UnregisterBrokerRecord(broker_id=broker_id, broker_epoch=broker.epoch)
    return [*updates, gone]


def directories_offline(
    image: MetadataImage, settings: ControllerSettings, broker_id: int, offline: list[bytes]
) -> list[Message]:
    """Replicas in failed directories leave their ISRs; the registration keeps what is left."""
    broker = image.cluster.brokers[broker_id]
    failed = [directory for directory in broker.directories if directory in offline]
    if not failed:
        return []
    updates = partition_updates(
        image, settings, lambda p: p.directory(broker_id) in failed, removed=broker_id
    )
    left = [directory for directory in broker.directories if directory not in offline]
    change = BrokerRegistrationChangeRecord(
        broker_id=broker_id, broker_epoch=broker.epoch, log_dirs=left
    )
    return [*updates, change]


def leads_anything(image: MetadataImage, broker_id: int) -> bool:
    """Whether a broker leads a partition."""
    return any(
        partition.leader == broker_id
        for topic in image.topics.by_id.values()
        for partition in topic.partitions.values()
    )


def partition_updates(
    image: MetadataImage,
    settings: ControllerSettings,
    selected: Selection,
    *,
    removed: int = NO_LEADER,
    added: int = NO_LEADER,
    unclean_shutdown: int = NO_LEADER,
) -> Iterator[PartitionChangeRecord]:
    """New leaders and ISRs of the selected partitions, on the image as it is.

    `removed` counts as gone although the image still shows it, `added` as alive, and
    `unclean_shutdown` as gone without a right to be an eligible leader.
    """
    for topic in image.topics.by_id.values():
        chosen = [(n, p) for n, p in topic.partitions.items() if selected(p)]
        if not chosen:
            continue
        min_isr = effective_min_isr(image, settings, topic)
        unclean = unclean_election_enabled(image, settings, topic)
        for number, partition in chosen:
            change = begin_change(
                image,
                partition,
                min_isr=min_isr,
                election=Election.UNCLEAN if unclean else Election.ONLINE,
                added=added,
                gone=(removed, unclean_shutdown),
            )
            change.isr = [r for r in partition.isr if r not in (removed, unclean_shutdown)]
            if unclean_shutdown != NO_LEADER:
                change.unclean_shutdown = (unclean_shutdown,)
            record = change.build(topic.id, number)
            if record is not None:
                yield record


def _leave_isrs(
    image: MetadataImage, settings: ControllerSettings, broker_id: int
) -> Iterator[PartitionChangeRecord]:
    return partition_updates(image, settings, lambda p: broker_id in p.isr, removed=broker_id)
