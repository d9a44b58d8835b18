"""Registration, heartbeats, fencing, elections and ISR (KIP-631, KIP-841, KIP-966)."""

from __future__ import annotations

from typing import Any

import pytest

from barnabas.metadata import record_types as r
from barnabas.metadata.controller.broker_changes import (
    directories_offline,
    fence_broker,
    replace_incarnation,
    unfence_broker,
    unregister_broker,
)
from barnabas.metadata.controller.heartbeat import heartbeat
from barnabas.metadata.controller.partition_change import Election, PartitionChange
from barnabas.metadata.controller.producer_ids import allocate_producer_ids
from barnabas.metadata.controller.registration import (
    fence_stale,
    register_broker,
    register_controller,
    unregister,
)
from barnabas.metadata.controller.sessions import BrokerSessions
from barnabas.metadata.delta import MetadataDelta
from barnabas.metadata.features import supported_features
from barnabas.metadata.image import MetadataImage, Provenance
from barnabas.metadata.image.partition import NO_LEADER, RECOVERING, Partition
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages import controller_registration_request
from barnabas.wire.messages.allocate_producer_ids_request import AllocateProducerIdsRequest
from barnabas.wire.messages.broker_heartbeat_request import BrokerHeartbeatRequest
from barnabas.wire.messages.broker_registration_request import (
    BrokerRegistrationRequest,
    Feature,
    Listener,
)
from tests.unit.metadata.cluster import (
    CLUSTER_ID,
    broker,
    directory,
    image_of,
    partition,
    replayed,
    settings,
    topic,
)

T1 = bytes([1] * 16)
NEW = bytes([0xEE] * 16)


def request(broker_id: int = 1, **changes: Any) -> BrokerRegistrationRequest:
    """A registration of a new process."""
    made = BrokerRegistrationRequest(
        broker_id=broker_id,
        cluster_id=CLUSTER_ID,
        incarnation_id=NEW,
        listeners=[Listener("PLAINTEXT", "h", 9092, 0)],
        features=[Feature(n, x.min, x.max) for n, x in supported_features().items()],
        rack="r",
        log_dirs=[directory(broker_id)],
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def register(image: MetadataImage, asked: BrokerRegistrationRequest, now: int = 0) -> Any:
    """The decision, with nobody's session alive unless `now` is 0."""
    sessions = BrokerSessions(9000)
    sessions.activate(image, 0)
    return register_broker(image, settings(), sessions, asked, version=4, now_ms=now)


def test_a_new_broker_is_fenced_and_its_epoch_is_the_offset_of_its_record() -> None:
    decision = register(image_of(), request())
    image = replayed(image_of(), decision.records)
    registered = image.cluster.brokers[1]
    assert decision.response.broker_epoch == registered.epoch == 1001
    assert registered.fenced
    assert (registered.rack, registered.directories) == ("r", (directory(1),))
    assert registered.endpoints[0].port == 9092


def test_the_same_process_keeps_epoch_and_state() -> None:
    image = image_of(broker(1, shutdown=True))
    decision = register(image, request(incarnation_id=bytes([1] * 16)))
    (record,) = decision.records
    assert (record.broker_epoch, record.fenced, record.in_controlled_shutdown) == (
        101,
        False,
        True,
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cluster_id": "x"}, ErrorCode.INCONSISTENT_CLUSTER_ID),
        ({"is_migrating_zk_broker": True}, ErrorCode.BROKER_ID_NOT_REGISTERED),
        ({"log_dirs": []}, ErrorCode.INVALID_REGISTRATION),
        ({"log_dirs": [bytes(16)]}, ErrorCode.INVALID_REGISTRATION),
        ({"log_dirs": [bytes(15) + b"\x63"]}, ErrorCode.INVALID_REGISTRATION),
        ({"log_dirs": [NEW, NEW]}, ErrorCode.INVALID_REGISTRATION),
        ({"log_dirs": [directory(2)]}, ErrorCode.INVALID_REGISTRATION),
        ({"features": []}, ErrorCode.INVALID_REGISTRATION),
        ({"features": [Feature("metadata.version", 7, 29)]}, ErrorCode.UNSUPPORTED_VERSION),
        ({"features": [Feature("metadata.version", 7, 30)]}, ErrorCode.UNSUPPORTED_VERSION),
    ],
)
def test_registrations_that_are_refused(changes: dict[str, Any], code: ErrorCode) -> None:
    with pytest.raises(KafkaError) as refused:
        register(image_of(broker(2)), request(**changes))
    assert refused.value.code is code


def test_a_second_process_of_a_living_broker_is_refused_until_its_session_ends() -> None:
    image = image_of(broker(1))
    with pytest.raises(KafkaError) as refused:
        register(image, request(), now=8_999)
    assert refused.value.code is ErrorCode.DUPLICATE_BROKER_REGISTRATION
    assert register(image, request(), now=9_000).records


def test_the_former_broker_of_this_very_process_has_no_session() -> None:
    image = image_of(broker(1), broker(2))
    sessions = BrokerSessions(9000)
    sessions.activate(image, 0, own_broker_id=1)
    assert not sessions.valid(1, 101, 0)
    assert sessions.valid(2, 102, 0)


@pytest.mark.parametrize(("previous", "expected"), [(101, (2, (1,))), (-1, (2, ()))])
def test_a_new_process_leaves_isrs_and_after_an_unclean_stop_the_elr_too(
    previous: int, expected: tuple[int, tuple[int, ...]]
) -> None:
    image = image_of(broker(1), broker(2), *topic("t", T1, [(1, 2)]))
    decision = register_broker(
        image,
        settings(minimum="2"),
        BrokerSessions(9000),
        request(previous_broker_epoch=previous),
        version=4,
        now_ms=0,
    )
    after = partition(replayed(image, decision.records))
    assert (after.leader, after.elr) == expected
    assert after.isr == (2,)
    # Last, so that an interrupted clean-up is done again with the next registration.
    assert decision.records[-1].NAME == "RegisterBrokerRecord"


def test_the_only_replica_after_an_unclean_stop_is_elected_again_as_last_known_leader() -> None:
    image = image_of(broker(1), *topic("t", T1, [(1,)]))
    gone = replayed(image, replace_incarnation(image, settings(), 1, clean=False))
    assert (partition(gone).isr, partition(gone).elr) == ((), ())
    assert (partition(gone).leader, partition(gone).last_known_elr) == (NO_LEADER, (1,))
    gone = replayed(gone, [r.BrokerRegistrationChangeRecord(1, 101, fenced=1)])
    back = replayed(gone, unfence_broker(gone, settings(), 1))
    assert (partition(back).leader, partition(back).isr) == (1, (1,))
    assert partition(back).last_known_elr == ()
    assert partition(back).leader_recovery_state == RECOVERING


def test_the_only_replica_after_a_clean_stop_comes_back_from_the_elr() -> None:
    image = image_of(broker(1), *topic("t", T1, [(1,)]))
    gone = replayed(image, replace_incarnation(image, settings(), 1, clean=True))
    assert (partition(gone).isr, partition(gone).elr, partition(gone).leader) == ((), (1,), -1)
    gone = replayed(gone, [r.BrokerRegistrationChangeRecord(1, 101, fenced=1)])
    back = partition(replayed(gone, unfence_broker(gone, settings(), 1)))
    assert (back.leader, back.isr, back.elr) == (1, (1,), ())
    assert back.leader_recovery_state == 0


def test_without_elr_the_last_of_an_isr_stays_in_it() -> None:
    image = image_of(broker(1), *topic("t", T1, [(1,)]), elr=False)
    gone = partition(replayed(image, fence_broker(image, settings(), 1)))
    assert (gone.isr, gone.leader, gone.elr) == ((1,), NO_LEADER, ())


def test_fencing_hands_leadership_on() -> None:
    image = image_of(broker(1), broker(2), broker(3), *topic("t", T1, [(1, 2, 3), (3, 1)]))
    fenced = replayed(image, fence_broker(image, settings(), 1))
    assert fenced.cluster.brokers[1].fenced
    assert (partition(fenced).leader, partition(fenced).isr) == (2, (2, 3))
    assert partition(fenced).leader_epoch == 1
    other = partition(fenced, number=1)
    assert (other.leader, other.isr, other.leader_epoch) == (3, (3,), 0)


def test_unclean_election_only_where_it_is_allowed() -> None:
    image = image_of(broker(1), broker(2), *topic("t", T1, [(1, 2)], isr=[1]), elr=False)
    stays = partition(replayed(image, fence_broker(image, settings(), 1)))
    assert (stays.leader, stays.isr) == (NO_LEADER, (1,))
    moves = partition(replayed(image, fence_broker(image, settings(unclean="true"), 1)))
    assert (moves.leader, moves.isr, moves.leader_recovery_state) == (2, (2,), RECOVERING)


def test_a_failed_directory_takes_only_its_replicas() -> None:
    many = broker(1)
    many.log_dirs = [directory(1), NEW]
    image = image_of(many, broker(2), *topic("t", T1, [(1, 2), (1, 2)]))
    image = replayed(image, [r.PartitionChangeRecord(1, T1, directories=[NEW, directory(2)])])
    image = replayed(image, directories_offline(image, settings(), 1, [NEW]))
    assert (partition(image).leader, partition(image, number=1).leader) == (1, 2)
    assert image.cluster.brokers[1].directories == (directory(1),)
    assert directories_offline(image, settings(), 1, [NEW]) == []


def test_unregistering_takes_a_broker_out_everywhere() -> None:
    image = image_of(broker(1), broker(2), *topic("t", T1, [(1, 2)]))
    after = replayed(image, unregister_broker(image, settings(), 1))
    assert 1 not in after.cluster.brokers
    assert (partition(after).leader, partition(after).isr) == (2, (2,))
    with pytest.raises(KafkaError) as refused:
        unregister(after, settings(), 1)
    assert refused.value.code is ErrorCode.BROKER_ID_NOT_REGISTERED


class Beats:
    """A controller that takes heartbeats."""

    def __init__(self, image: MetadataImage) -> None:
        self.image = image
        self.sessions = BrokerSessions(9000)
        self.sessions.activate(image, 0)

    def commit(self, records: Any) -> None:
        """Make records part of the image."""
        delta = MetadataDelta(self.image)
        delta.replay_all(records)
        offset = self.image.provenance.offset + len(records)
        self.image = delta.apply(Provenance(offset, 1, 0))
        self.sessions.committed(self.image, delta)

    def beat(self, broker_id: int = 1, now: int = 0, offset: int = 1 << 40, **asks: Any) -> Any:
        """One heartbeat, committed; (caught up, fenced, should shut down)."""
        asked = BrokerHeartbeatRequest(broker_id, 100 + broker_id, offset, **asks)
        decision = heartbeat(self.image, settings(), self.sessions, asked, now)
        self.commit(decision.records)
        reply = decision.response
        return reply.is_caught_up, reply.is_fenced, reply.should_shut_down


def test_a_broker_is_unfenced_when_it_wants_and_has_caught_up() -> None:
    beats = Beats(image_of())
    beats.commit([broker(1, fenced=True)])
    assert beats.beat(want_fence=True) == (True, True, False)
    assert beats.beat(offset=1000) == (False, True, False)
    assert beats.beat(offset=1001) == (True, False, False)
    assert not beats.image.cluster.brokers[1].fenced


def test_a_broker_can_ask_for_its_fencing() -> None:
    beats = Beats(image_of(broker(1)))
    assert beats.beat(want_fence=True) == (True, True, False)
    assert beats.image.cluster.brokers[1].fenced


def test_a_broker_that_leads_nothing_may_stop_at_once() -> None:
    beats = Beats(image_of(broker(1)))
    assert beats.beat(want_shut_down=True) == (True, True, True)
    assert beats.image.cluster.brokers[1].fenced


def test_controlled_shutdown_moves_leaders_and_waits_for_the_others() -> None:
    beats = Beats(image_of(broker(1), broker(2), *topic("t", T1, [(1, 2)])))
    beats.beat(2, offset=1000)
    assert beats.beat(want_shut_down=True) == (True, False, False)
    assert beats.image.cluster.brokers[1].in_controlled_shutdown
    assert (partition(beats.image).leader, partition(beats.image).isr) == (2, (2,))
    # Broker 2 has not seen yet that it leads.
    assert beats.beat(want_shut_down=True) == (True, False, False)
    beats.beat(2, offset=beats.image.provenance.offset)
    assert beats.beat(want_shut_down=True) == (True, True, True)
    assert beats.beat(want_shut_down=True) == (True, True, True)


def test_heartbeats_of_another_epoch_are_stale() -> None:
    beats = Beats(image_of(broker(1)))
    for asked in (BrokerHeartbeatRequest(1, 100), BrokerHeartbeatRequest(9, 109)):
        with pytest.raises(KafkaError) as refused:
            heartbeat(beats.image, settings(), beats.sessions, asked, 0)
        assert refused.value.code is ErrorCode.STALE_BROKER_EPOCH


def test_cordoned_directories_are_noted_when_they_change() -> None:
    beats = Beats(image_of(broker(1)))
    asked = BrokerHeartbeatRequest(1, 101, 1 << 40, cordoned_log_dirs=[directory(1)])
    for expected in (1, 0):
        decision = heartbeat(beats.image, settings(), beats.sessions, asked, 0)
        assert len(decision.records) == expected
        beats.commit(decision.records)
    assert beats.image.cluster.brokers[1].cordoned_directories == (directory(1),)


def test_stale_brokers_are_fenced_one_by_one() -> None:
    beats = Beats(image_of(broker(1), broker(2), broker(3)))
    beats.beat(2, now=5_000)
    found = []
    for _ in range(4):
        decision = fence_stale(beats.image, settings(), beats.sessions, 9_500)
        found.append(decision.response)
        beats.commit(decision.records)
    assert found == [1, 3, None, None]
    assert [b.fenced for b in beats.image.cluster.brokers.values()] == [True, False, True]


def test_controllers_register_from_3_7_on() -> None:
    asked = controller_registration_request.ControllerRegistrationRequest(
        controller_id=1,
        incarnation_id=NEW,
        listeners=[controller_registration_request.Listener("CONTROLLER", "h", 9093, 0)],
        features=[controller_registration_request.Feature("kraft.version", 0, 1)],
    )
    decision = register_controller(image_of(), asked)
    image = replayed(image_of(), decision.records)
    assert image.cluster.controllers[1].endpoints[0].name == "CONTROLLER"
    with pytest.raises(KafkaError):
        register_controller(image_of(level=14), asked)


def test_producer_ids_come_in_blocks_of_a_thousand() -> None:
    image = image_of(broker(1))
    starts = []
    for _ in range(3):
        decision = allocate_producer_ids(image, AllocateProducerIdsRequest(1, 101))
        starts.append((decision.response.producer_id_start, decision.response.producer_id_len))
        image = replayed(image, decision.records)
    assert starts == [(0, 1000), (1000, 1000), (2000, 1000)]
    with pytest.raises(KafkaError) as refused:
        allocate_producer_ids(image, AllocateProducerIdsRequest(1, 7))
    assert refused.value.code is ErrorCode.STALE_BROKER_EPOCH
    full = replayed(image, [r.ProducerIdsRecord(1, 101, 2**63 - 1000)])
    with pytest.raises(KafkaError):
        allocate_producer_ids(full, AllocateProducerIdsRequest(1, 101))


# Partition changes


def state(
    replicas: tuple[int, ...] = (1, 2, 3),
    isr: tuple[int, ...] = (1, 2, 3),
    leader: int = 1,
    *,
    elr: tuple[int, ...] = (),
    last: tuple[int, ...] = (),
    removing: tuple[int, ...] = (),
    adding: tuple[int, ...] = (),
) -> Partition:
    """A partition."""
    places = tuple(directory(b) for b in replicas)
    return Partition(replicas, places, isr, removing, adding, leader, 0, 4, 7, elr, last)


def change(
    start: Partition, alive: str = "123456", *, elr: bool = True, minimum: int = 2
) -> PartitionChange:
    """A change with these brokers alive."""
    return PartitionChange(
        start,
        acceptable=lambda b: str(b) in alive,
        default_directory=directory,
        metadata_version=30,
        min_isr=minimum,
        elr_enabled=elr,
    )


def merged(made: PartitionChange) -> Partition:
    """The partition after the change."""
    record = made.build(T1, 0)
    return made.partition if record is None else made.partition.merge(record)


def test_nothing_to_change_is_no_record() -> None:
    assert change(state()).build(T1, 0) is None


def test_the_preferred_leader_is_the_first_replica_where_it_can_be() -> None:
    made = change(state(leader=2))
    made.election = Election.PREFERRED
    assert merged(made).leader == 1
    made = change(state(leader=2), alive="23")
    made.election = Election.PREFERRED
    assert made.build(T1, 0) is None


def test_members_leave_to_the_elr_below_the_minimum_and_it_empties_above() -> None:
    made = change(state(isr=(1, 2)))
    made.isr = [1]
    below = merged(made)
    assert (below.isr, below.elr) == ((1,), (2,))
    made = change(below)
    made.isr = [1, 3]
    assert merged(made).elr == ()


def test_an_empty_isr_elects_from_the_elr() -> None:
    made = change(state(isr=(), leader=-1, elr=(2, 3), last=(1,)), alive="3")
    after = merged(made)
    assert (after.leader, after.isr, after.elr, after.last_known_elr) == (3, (3,), (2,), ())
    assert after.leader_recovery_state == 0


def test_several_last_known_members_are_no_last_known_leader() -> None:
    assert change(state(isr=(), leader=-1, last=(1, 2))).elect() == (NO_LEADER, False)
    assert change(state(isr=(), leader=-1, last=(2,))).elect() == (2, True)
    assert change(state(isr=(), leader=-1, last=(2,)), elr=False).elect() == (NO_LEADER, False)


def test_an_isr_shrink_bumps_the_leader_epoch_only_below_3_6() -> None:
    for version, epoch in ((30, 4), (12, 4), (11, 5)):
        made = change(state(), minimum=1)
        made.metadata_version = version
        made.isr = [1, 2]
        assert merged(made).leader_epoch == epoch


def test_a_reassignment_ends_when_the_added_replicas_are_in_sync() -> None:
    start = state((1, 2, 3, 4), (1, 2, 3), removing=(1,), adding=(4,))
    made = change(start)
    assert merged(made) == start
    made = change(start)
    made.isr = [1, 2, 4]
    after = merged(made)
    # Replica 3 is out of sync and unchanged: since 4.3 nobody waits for it.
    assert (after.replicas, after.isr) == ((2, 3, 4), (2, 4))
    assert (after.removing_replicas, after.adding_replicas) == ((), ())
    assert (after.leader, after.leader_epoch) == (2, 5)
    assert after.directories == tuple(directory(b) for b in (2, 3, 4))


def test_a_net_shrink_waits_for_all_that_stay() -> None:
    start = state((3, 1, 2), (3, 1, 2), leader=3, removing=(1,))
    waiting = change(start)
    waiting.isr = [3, 1]
    assert merged(waiting).replicas == (3, 1, 2)
    after = merged(change(start))
    assert (after.replicas, after.leader) == ((3, 2), 3)
    # A replica left: a new epoch even under the same leader.
    assert after.leader_epoch == 5
