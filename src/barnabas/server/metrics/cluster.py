"""Metrics of the metadata: quorum, controller, and this broker's replicas."""

from __future__ import annotations

from collections.abc import Iterator

from barnabas.config.broker import BrokerConfig
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.configs import TOPIC
from barnabas.metadata.image.partition import NO_LEADER
from barnabas.replication.metadata_log import MetadataLog
from barnabas.server.broker import Broker
from barnabas.server.metrics.exposition import gauge, head

MIN_ISR = "min.insync.replicas"


def quorum(metadata: MetadataLog, node_id: int, now_ms: int) -> Iterator[str]:
    """The KRaft quorum as this node sees it; `now_ms` is of the wall clock."""
    name = "kafka_server_raft_metrics"
    state = "leader" if metadata.leader_id == node_id else "follower"
    yield head(f"{name}_current_state_info", "gauge", "The state of this member, as a label.")
    yield f'{name}_current_state_info{{state="{state}"}} 1\n'
    yield gauge(f"{name}_current_leader", "Id of the leader, or -1.", metadata.leader_id)
    yield gauge(f"{name}_current_epoch", "Epoch of the quorum.", metadata.leader_epoch)
    yield gauge(f"{name}_high_watermark", "End of what is committed.", metadata.high_watermark)
    yield gauge(f"{name}_log_end_offset", "End of the metadata log.", metadata.end_offset)
    applied = metadata.image.provenance
    lag = max(0, now_ms - applied.timestamp_ms)
    name = "kafka_server_broker_metadata_metrics"
    about = "Last record of the metadata that is applied"
    yield gauge(f"{name}_last_applied_record_offset", f"{about}: offset.", applied.offset)
    yield gauge(
        f"{name}_last_applied_record_timestamp", f"{about}: when, ms.", applied.timestamp_ms
    )
    yield gauge(f"{name}_last_applied_record_lag_ms", f"{about}: its age.", lag)
    name = "kafka_controller_kafkacontroller"
    active = metadata.leader_id == node_id
    yield gauge(f"{name}_activecontrollercount", "1 on the active controller.", int(active))
    yield gauge(f"{name}_lastappliedrecordoffset", f"{about}: offset.", applied.offset)
    yield gauge(
        f"{name}_lastcommittedrecordoffset", "Last committed offset.", metadata.high_watermark - 1
    )
    yield gauge(f"{name}_lastappliedrecordtimestamp", f"{about}: when, ms.", applied.timestamp_ms)
    yield gauge(f"{name}_lastappliedrecordlagms", f"{about}: its age.", lag)


def controller(image: MetadataImage) -> Iterator[str]:
    """What the controller counts in the whole cluster."""
    brokers = image.cluster.brokers.values()
    fenced = sum(1 for broker in brokers if broker.fenced)
    partitions = offline = imbalanced = 0
    for topic in list(image.topics.by_id.values()):
        for partition in topic.partitions.values():
            partitions += 1
            offline += partition.leader == NO_LEADER
            imbalanced += partition.leader != partition.replicas[0]
            yield ""
    name = "kafka_controller_kafkacontroller"
    yield gauge(f"{name}_activebrokercount", "Brokers that are not fenced.", len(brokers) - fenced)
    yield gauge(f"{name}_fencedbrokercount", "Brokers that are fenced.", fenced)
    yield gauge(f"{name}_globaltopiccount", "Topics.", len(image.topics.by_id))
    yield gauge(f"{name}_globalpartitioncount", "Partitions.", partitions)
    yield gauge(f"{name}_offlinepartitionscount", "Partitions without a leader.", offline)
    yield gauge(
        f"{name}_preferredreplicaimbalancecount",
        "Partitions that are not led by their first replica.",
        imbalanced,
    )


def replicas(broker: Broker) -> Iterator[str]:
    """This broker's share of the partitions."""
    node_id, image = broker.node_id, broker.image
    default_least = broker.config.get_int(MIN_ISR)
    own = leading = under = offline = at_min = below_min = moving = 0
    for topic in list(image.topics.by_id.values()):
        least = int(image.configs.of(TOPIC, topic.name).get(MIN_ISR) or default_least)
        for index, partition in topic.partitions.items():
            yield ""
            if node_id not in partition.replicas:
                continue
            own += 1
            offline += node_id in broker.offline_replicas(topic.name, index, partition)
            if partition.leader != node_id:
                continue
            leading += 1
            in_sync = len(partition.isr)
            under += in_sync < len(partition.replicas)
            at_min += in_sync == least
            below_min += in_sync < least
            moving += bool(partition.adding_replicas or partition.removing_replicas)
    name = "kafka_server_replicamanager"
    yield gauge(f"{name}_partitioncount", "Partitions with a replica here.", own)
    yield gauge(f"{name}_leadercount", "Partitions led here.", leading)
    yield gauge(f"{name}_offlinereplicacount", "Replicas here whose directory failed.", offline)
    yield gauge(f"{name}_underreplicatedpartitions", "Led here, a replica not in sync.", under)
    yield gauge(f"{name}_atminisrpartitioncount", "Led here, just enough in sync.", at_min)
    yield gauge(f"{name}_underminisrpartitioncount", "Led here, too few in sync.", below_min)
    yield gauge(f"{name}_reassigningpartitions", "Led here, being reassigned.", moving)
    producers = 0
    for hosted in broker.partitions:
        producers += len(hosted.log.producers.producers)
        yield ""
    yield gauge(f"{name}_produceridcount", "Producer ids known to open logs.", producers)


def broker_state(config: BrokerConfig, cluster_id: str, version: str, state: int) -> Iterator[str]:
    """The state of the broker in Kafka's numbers, and what it is."""
    yield gauge(
        "kafka_server_kafkaserver_brokerstate",
        "1 starting, 2 recovering, 3 running, 6 and 7 stopping.",
        state,
    )
    yield head("barnabas_info", "gauge", "What runs here.")
    yield (
        f'barnabas_info{{version="{version}",node_id="{config.node_id}",'
        f'cluster_id="{cluster_id}",ack_mode="{config.ack_mode}"}} 1\n'
    )
