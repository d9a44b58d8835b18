"""Replay of every record type, and images written back."""

from __future__ import annotations

import pytest

from barnabas.metadata import record_types as r
from barnabas.metadata.delta import MetadataDelta
from barnabas.metadata.errors import MetadataError
from barnabas.metadata.image import MetadataImage, Provenance
from barnabas.metadata.image.configs import BROKER, TOPIC
from barnabas.metadata.image.partition import DIRECTORY_MIGRATING, NO_LEADER
from barnabas.metadata.records.client_quota_record import EntityData
from barnabas.wire.message import Message
from tests.unit.metadata.cluster import broker, image_of, partition, replayed, topic

T1, T2, T3 = (bytes([n] * 16) for n in (1, 2, 3))


def everything() -> list[Message]:
    """One of each record that leaves a trace."""
    return [
        broker(1),
        broker(2, fenced=True, rack="r2"),
        r.RegisterControllerRecord(controller_id=3, incarnation_id=T3),
        *topic("t", T1, [(1, 2), (2, 1)]),
        *topic("u.v", T2, [(1,)]),
        r.ConfigRecord(TOPIC, "t", "retention.ms", "5"),
        r.ConfigRecord(BROKER, "", "log.cleaner.threads", "2"),
        r.ClientQuotaRecord([EntityData("user", "bob"), EntityData("client-id", None)], "k", 2.5),
        r.ProducerIdsRecord(1, 101, 2000),
        r.AccessControlEntryRecord(T1, 2, "t", 3, "User:a", "*", 3, 3),
        r.UserScramCredentialRecord("alice", 1, b"s", b"k", b"v", 4096),
        r.DelegationTokenRecord("User:o", "User:q", ["User:n"], 1, 2, 3, "id"),
    ]


def test_an_image_written_back_and_replayed_is_the_same_image() -> None:
    image = image_of(*everything())
    again = replayed(MetadataImage.empty(), list(image.records()))
    assert again == image._replace(provenance=again.provenance)


def test_records_come_in_the_order_of_kafkas_snapshots() -> None:
    names = [record.NAME for record in image_of(*everything()).records()]
    order = list(dict.fromkeys(names))
    assert order == [
        "FeatureLevelRecord",
        "RegisterBrokerRecord",
        "RegisterControllerRecord",
        "TopicRecord",
        "PartitionRecord",
        "ConfigRecord",
        "ClientQuotaRecord",
        "ProducerIdsRecord",
        "AccessControlEntryRecord",
        "UserScramCredentialRecord",
        "DelegationTokenRecord",
    ]
    first = next(iter(image_of().records()))
    assert isinstance(first, r.FeatureLevelRecord)
    assert first.name == "metadata.version"


def test_untouched_areas_are_shared_not_copied() -> None:
    old = image_of(*everything())
    new = replayed(old, [r.ConfigRecord(TOPIC, "t", "retention.ms", "6")])
    assert new.topics is old.topics
    assert new.cluster is old.cluster
    assert new.configs is not old.configs
    assert old.configs.of(TOPIC, "t") == {"retention.ms": "5"}
    assert new.configs.of(TOPIC, "t") == {"retention.ms": "6"}


def test_other_topics_are_the_same_objects_after_a_change_to_one() -> None:
    old = image_of(*everything())
    new = replayed(old, [r.PartitionChangeRecord(0, T1, leader=2)])
    assert new.topics.by_id[T2] is old.topics.by_id[T2]
    assert new.topics.by_name["t"].partitions[1] is old.topics.by_name["t"].partitions[1]


def test_a_change_sets_only_its_fields_and_bumps_epochs() -> None:
    before = partition(image_of(*everything()))
    image = replayed(image_of(*everything()), [r.PartitionChangeRecord(0, T1, isr=[1])])
    after = partition(image)
    assert (after.isr, after.leader, after.leader_epoch) == ((1,), 1, 0)
    assert after.partition_epoch == before.partition_epoch + 1
    image = replayed(image, [r.PartitionChangeRecord(0, T1, leader=1)])
    # Set, even to the same id: a new leader epoch.
    assert partition(image).leader_epoch == 1
    image = replayed(image, [r.PartitionChangeRecord(0, T1, leader=NO_LEADER)])
    assert (partition(image).leader, partition(image).leader_epoch) == (NO_LEADER, 2)


def test_removing_a_topic_takes_its_configs_along() -> None:
    image = replayed(image_of(*everything()), [r.RemoveTopicRecord(T1)])
    assert "t" not in image.topics.by_name
    assert T1 not in image.topics.by_id
    assert image.configs.of(TOPIC, "t") == {}
    assert (TOPIC, "t") not in image.configs.resources


def test_a_topic_deleted_and_made_again_in_one_batch() -> None:
    records = [r.RemoveTopicRecord(T1), *topic("t", T3, [(2,)])]
    image = replayed(image_of(*everything()), records)
    assert image.topics.by_name["t"].id == T3
    assert T1 not in image.topics.by_id
    assert image.configs.of(TOPIC, "t") == {}


def test_a_topic_made_and_deleted_in_one_batch_leaves_nothing() -> None:
    image = replayed(image_of(), [*topic("a.b", T3, [(1,)]), r.RemoveTopicRecord(T3)])
    assert not image.topics.by_id
    assert not image.topics.by_name
    assert not image.topics.collisions


def test_collisions_follow_names_with_dots_and_underscores() -> None:
    image = replayed(image_of(*everything()), topic("u_v", T3, [(1,)]))
    assert image.topics.collisions == {"u_v": ("u.v", "u_v")}
    image = replayed(image, [r.RemoveTopicRecord(T2)])
    assert image.topics.collisions == {"u_v": ("u_v",)}
    image = replayed(image, [r.RemoveTopicRecord(T3)])
    assert image.topics.collisions == {}


def test_fencing_records_old_and_new() -> None:
    image = image_of(broker(1))
    image = replayed(image, [r.FenceBrokerRecord(1, 101)])
    assert image.cluster.brokers[1].fenced
    image = replayed(image, [r.UnfenceBrokerRecord(1, 101)])
    assert not image.cluster.brokers[1].fenced
    image = replayed(image, [r.BrokerRegistrationChangeRecord(1, 101, fenced=1)])
    assert image.cluster.brokers[1].fenced
    change = r.BrokerRegistrationChangeRecord(1, 101, fenced=-1, in_controlled_shutdown=1)
    image = replayed(image, [change])
    assert not image.cluster.brokers[1].fenced
    assert image.cluster.brokers[1].in_controlled_shutdown
    assert not image.cluster.active(1)


def test_a_registration_change_of_directories_keeps_what_it_does_not_name() -> None:
    change = r.BrokerRegistrationChangeRecord(1, 101, log_dirs=[T3], cordoned_log_dirs=[])
    image = replayed(image_of(broker(1)), [change])
    registered = image.cluster.brokers[1]
    assert registered.directories == (T3,)
    assert registered.cordoned_directories == ()
    assert not registered.fenced


def test_unregistering_forgets_a_broker() -> None:
    image = replayed(image_of(broker(1), broker(2)), [r.UnregisterBrokerRecord(1, 101)])
    assert list(image.cluster.brokers) == [2]


@pytest.mark.parametrize(
    "record",
    [
        r.BrokerRegistrationChangeRecord(1, 999, fenced=1),
        r.BrokerRegistrationChangeRecord(7, 101, fenced=1),
        r.BrokerRegistrationChangeRecord(1, 101, fenced=5),
        r.BrokerRegistrationChangeRecord(1, 101, in_controlled_shutdown=2),
        r.PartitionChangeRecord(9, T1, isr=[1]),
        r.PartitionChangeRecord(0, T3, isr=[1]),
        r.PartitionRecord(0, T3, [1], [1]),
        r.PartitionRecord(0, T1, [1, 2], [1], directories=[T1]),
        r.RemoveTopicRecord(T3),
        r.ClearElrRecord("unknown"),
        r.RemoveAccessControlEntryRecord(T3),
        r.FeatureLevelRecord("metadata.version", 31),
        r.FeatureLevelRecord("metadata.version", 6),
        r.BeginTransactionRecord(),
    ],
    ids=lambda record: record.NAME,
)
def test_records_that_do_not_fit_the_state_are_fatal(record: Message) -> None:
    image = image_of(broker(1), *topic("t", T1, [(1,)]))
    with pytest.raises(MetadataError):
        MetadataDelta(image).replay(record)


def test_config_null_deletes_and_an_empty_resource_disappears() -> None:
    image = image_of(r.ConfigRecord(BROKER, "1", "a", "b"))
    image = replayed(image, [r.ConfigRecord(BROKER, "1", "a", None)])
    assert (BROKER, "1") not in image.configs.resources


def test_quota_entities_are_the_same_in_any_order() -> None:
    one = r.ClientQuotaRecord([EntityData("user", "b"), EntityData("client-id", "c")], "k", 1.0)
    two = r.ClientQuotaRecord(
        [EntityData("client-id", "c"), EntityData("user", "b")], "k", 0.0, True
    )
    image = image_of(one)
    assert image.client_quotas.entities == {(("client-id", "c"), ("user", "b")): {"k": 1.0}}
    assert replayed(image, [two]).client_quotas.entities == {}


def test_credentials_tokens_and_acls_can_be_removed() -> None:
    image = replayed(
        image_of(*everything()),
        [
            r.RemoveUserScramCredentialRecord("alice", 1),
            r.RemoveDelegationTokenRecord("id"),
            r.RemoveAccessControlEntryRecord(T1),
        ],
    )
    assert not image.scram.credentials
    assert not image.delegation_tokens.tokens
    assert not image.acls.acls


def test_credentials_do_not_show_in_a_repr() -> None:
    text = repr(image_of(*everything()).scram)
    assert "4096" in text
    assert "stored_key" not in text
    assert "b'k'" not in text


def test_features_of_level_zero_and_kraft_version_are_not_kept() -> None:
    image = replayed(
        image_of(),
        [
            r.FeatureLevelRecord("group.version", 0),
            r.FeatureLevelRecord("kraft.version", 1),
            r.FeatureLevelRecord("unknown.version", 3),
        ],
    )
    levels = image.features.levels()
    assert "group.version" not in levels
    assert "kraft.version" not in levels
    # What this node does not know stays for others.
    assert levels["unknown.version"] == 3
    assert image.features.level("metadata.version") == 30


def test_clear_elr_by_name_and_for_all() -> None:
    records = [
        *topic("t", T1, [(1, 2)], isr=[1], elr=[2]),
        *topic("w", T2, [(1, 2)], isr=[1], elr=[2]),
    ]
    image = image_of(broker(1), broker(2), *records)
    one = replayed(image, [r.ClearElrRecord("t")])
    assert (partition(one).elr, partition(one).partition_epoch) == ((), 1)
    assert partition(one, "w").elr == (2,)
    both = replayed(image, [r.ClearElrRecord("")])
    assert partition(both).elr == partition(both, "w").elr == ()


def test_partitions_written_before_directories_get_the_migrating_id() -> None:
    record = r.PartitionRecord(0, T1, [1, 2], [1, 2], leader=1)
    image = image_of(broker(1), r.TopicRecord("t", T1), record)
    assert partition(image).directories == (DIRECTORY_MIGRATING, DIRECTORY_MIGRATING)


def test_no_op_and_migration_state_touch_nothing() -> None:
    delta = MetadataDelta(image_of())
    delta.replay_all([r.NoOpRecord(), r.ZkMigrationStateRecord(3)])
    assert delta.empty
    assert delta.apply(Provenance(7, 1, 1)).provenance.offset == 7
