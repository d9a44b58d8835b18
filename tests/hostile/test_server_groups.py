"""Members and producers that mean harm against the real process: Kafka's error codes, bounded
memory, and an honest group beside them that is served."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest

from barnabas.groups.settings import PENDING_ID_BYTES_MAX, PENDING_MEMBERS_MAX
from barnabas.records.builder import build_batch
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.add_partitions_to_txn_request import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTopic,
)
from barnabas.wire.messages.add_partitions_to_txn_response import AddPartitionsToTxnResponse
from barnabas.wire.messages.consumer_group_heartbeat_request import ConsumerGroupHeartbeatRequest
from barnabas.wire.messages.consumer_group_heartbeat_response import ConsumerGroupHeartbeatResponse
from barnabas.wire.messages.end_txn_request import EndTxnRequest
from barnabas.wire.messages.end_txn_response import EndTxnResponse
from barnabas.wire.messages.heartbeat_request import HeartbeatRequest
from barnabas.wire.messages.heartbeat_response import HeartbeatResponse
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.join_group_request import JoinGroupRequest, JoinGroupRequestProtocol
from barnabas.wire.messages.join_group_response import JoinGroupResponse
from barnabas.wire.messages.leave_group_request import LeaveGroupRequest, MemberIdentity
from barnabas.wire.messages.leave_group_response import LeaveGroupResponse
from barnabas.wire.messages.offset_commit_request import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from barnabas.wire.messages.offset_commit_response import OffsetCommitResponse
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import ProduceResponse
from barnabas.wire.messages.sync_group_request import SyncGroupRequest, SyncGroupRequestAssignment
from barnabas.wire.messages.sync_group_response import SyncGroupResponse
from barnabas.wire.messages.txn_offset_commit_request import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from barnabas.wire.messages.txn_offset_commit_response import TxnOffsetCommitResponse
from tests.hostile.target import Client, Target, request

JOIN, SYNC, HEARTBEAT, COMMIT, LEAVE, TXN_COMMIT = 7, 5, 4, 9, 4, 4
SESSION_MS = 1_800_000
FORGED = 1 << 40
names = count()


def join_request(
    group: str, member_id: str = "", protocols: dict[str, bytes] | None = None
) -> JoinGroupRequest:
    """JoinGroup of a consumer."""
    return JoinGroupRequest(
        group,
        SESSION_MS,
        SESSION_MS,
        member_id,
        None,
        "consumer",
        [JoinGroupRequestProtocol(*each) for each in (protocols or {"range": b"x"}).items()],
    )


def join(
    client: Client, group: str, member_id: str = "", *, name: bytes = b"h", version: int = JOIN
) -> JoinGroupResponse:
    """Join and wait for the answer."""
    answer = client.ask(join_request(group, member_id), version, client=name)
    assert isinstance(answer, JoinGroupResponse)
    return answer


def member(client: Client, group: str) -> tuple[str, int]:
    """A member that has joined: id and generation; it has not asked for its assignment."""
    first = join(client, group)
    assert first.error_code == ErrorCode.MEMBER_ID_REQUIRED
    joined = join(client, group, first.member_id)
    assert joined.error_code == ErrorCode.NONE
    return joined.member_id, joined.generation_id


def commit(
    client: Client, group: str, member_id: str, generation: int, metadata: str = ""
) -> ErrorCode:
    """OffsetCommit of one partition."""
    part = OffsetCommitRequestPartition(0, 7, -1, metadata)
    topics = [OffsetCommitRequestTopic("honest", partitions=[part])]
    asked = OffsetCommitRequest(group, generation, member_id, topics=topics)
    answer = client.ask(asked, COMMIT)
    assert isinstance(answer, OffsetCommitResponse)
    return ErrorCode(answer.topics[0].partitions[0].error_code)


def heartbeat(client: Client, group: str, member_id: str, generation: int) -> ErrorCode:
    """Heartbeat."""
    answer = client.ask(HeartbeatRequest(group, generation, member_id), HEARTBEAT)
    assert isinstance(answer, HeartbeatResponse)
    return ErrorCode(answer.error_code)


def honest_member(target: Target) -> None:
    """A group that does everything right is served: from its first join to its commit."""
    group = f"honest-{next(names)}"
    with target.connect() as client:
        member_id, generation = member(client, group)
        sync = SyncGroupRequest(
            group,
            generation,
            member_id,
            None,
            "consumer",
            "range",
            [SyncGroupRequestAssignment(member_id, b"all")],
        )
        answer = client.ask(sync, SYNC)
        assert isinstance(answer, SyncGroupResponse)
        assert (answer.error_code, bytes(answer.assignment)) == (ErrorCode.NONE, b"all")
        assert commit(client, group, member_id, generation) == ErrorCode.NONE
        left = client.ask(LeaveGroupRequest(group, members=[MemberIdentity(member_id)]), LEAVE)
        assert isinstance(left, LeaveGroupResponse)
        assert left.members[0].error_code == ErrorCode.NONE


@pytest.fixture(autouse=True)
def _groups_are_served(target: Target) -> Iterator[None]:
    honest_member(target)  # the coordinator is loaded, its codecs are compiled
    yield
    honest_member(target)


def test_members_that_never_sync(target: Target) -> None:
    with target.attack(), ExitStack() as stack:
        clients = [stack.enter_context(target.connect()) for _ in range(100)]
        for number, client in enumerate(clients):
            group = f"never-{number}"
            member_id, generation = member(client, group)
            assert commit(client, group, member_id, generation) == ErrorCode.REBALANCE_IN_PROGRESS
        honest_member(target)


def test_members_that_wait_for_a_leader_that_never_syncs(target: Target) -> None:
    with target.attack(), ExitStack() as stack:
        group = f"headless-{next(names)}"
        clients = [stack.enter_context(target.connect()) for _ in range(50)]
        ids = [join(client, group).member_id for client in clients]
        for client, each in zip(clients, ids, strict=True):
            client.send(request(join_request(group, each), JOIN))
        # The first generation is its own, or that of all, as fast as the others come: in the first
        # case they wait for it to join again, which it never does.
        assert clients[0].receive()
        for client, each in zip(clients, ids, strict=True):
            client.send(request(SyncGroupRequest(group, 1, each, None, "consumer", "range"), SYNC))
        honest_member(target)


def test_a_flood_of_joins_without_an_id(target: Target) -> None:
    """Ids that are given out are remembered for a session: so many of one group, and no more."""
    group = f"flood-{next(names)}"
    last: list[int] = []
    with target.attack(), target.connect() as client:
        for _ in range(0, PENDING_MEMBERS_MAX + 500, 500):
            client.send(request(join_request(group), JOIN) * 500)
            for _ in range(500):
                answer = client.receive()
                assert answer is not None
                last.append(int.from_bytes(answer[9:11], "big"))
        honest_member(target)
    assert last.count(ErrorCode.MEMBER_ID_REQUIRED) == PENDING_MEMBERS_MAX
    assert last.count(ErrorCode.GROUP_MAX_SIZE_REACHED) == len(last) - PENDING_MEMBERS_MAX


def test_a_flood_of_joins_with_long_names(target: Target) -> None:
    """An id begins with the client's name, which may have 32,767 bytes."""
    group, name = f"long-{next(names)}", b"n" * 30_000
    with target.attack(), target.connect() as client:
        codes = [join(client, group, name=name).error_code for _ in range(1_500)]
    given = codes.count(ErrorCode.MEMBER_ID_REQUIRED)
    assert 1 <= given <= PENDING_ID_BYTES_MAX // len(name)
    assert codes.count(ErrorCode.GROUP_MAX_SIZE_REACHED) == len(codes) - given


def test_metadata_of_commits_has_a_bound(target: Target) -> None:
    group = f"metadata-{next(names)}"
    with target.attack(), target.connect() as client:
        for length, code in (
            (4_096, ErrorCode.NONE),
            (4_097, ErrorCode.OFFSET_METADATA_TOO_LARGE),
            (32_767, ErrorCode.OFFSET_METADATA_TOO_LARGE),
        ):
            for _ in range(200):
                assert commit(client, group, "", -1, "m" * length) == code


def test_an_assignment_that_no_record_can_hold(target: Target) -> None:
    """The log refuses the generation: an error, another rebalance, and nothing is kept."""
    with target.attack(), target.connect() as client:
        for _ in range(5):
            group = f"huge-{next(names)}"
            member_id, generation = member(client, group)
            shares = [SyncGroupRequestAssignment(member_id, bytes(3_000_000))]
            sync = SyncGroupRequest(group, generation, member_id, None, "consumer", "range", shares)
            answer = client.ask(sync, SYNC)
            assert isinstance(answer, SyncGroupResponse)
            assert answer.error_code == ErrorCode.UNKNOWN_SERVER_ERROR
            assert heartbeat(client, group, member_id, generation) == (
                ErrorCode.REBALANCE_IN_PROGRESS
            )


def test_stale_generations_and_epochs(target: Target) -> None:
    group = f"stale-{next(names)}"
    with target.attack(), target.connect() as client:
        member_id, generation = member(client, group)
        for wrong in (generation - 1, generation + 1, 2**31 - 1):
            assert heartbeat(client, group, member_id, wrong) == ErrorCode.ILLEGAL_GENERATION
            assert commit(client, group, member_id, wrong) == ErrorCode.ILLEGAL_GENERATION
        assert heartbeat(client, group, "nobody", generation) == ErrorCode.UNKNOWN_MEMBER_ID
        assert commit(client, group, "", -1) == ErrorCode.UNKNOWN_MEMBER_ID
        consumer = f"epochs-{next(names)}"
        joins = ConsumerGroupHeartbeatRequest(
            consumer,
            "m",
            0,
            rebalance_timeout_ms=1_000,
            subscribed_topic_names=["honest"],
            topic_partitions=[],
        )
        joined = client.ask(joins, 1)
        assert isinstance(joined, ConsumerGroupHeartbeatResponse)
        assert joined.error_code == ErrorCode.NONE
        for wrong, code in (
            (joined.member_epoch + 1, ErrorCode.FENCED_MEMBER_EPOCH),
            (2**31 - 1, ErrorCode.FENCED_MEMBER_EPOCH),
            (-3, ErrorCode.INVALID_REQUEST),
        ):
            answer = client.ask(ConsumerGroupHeartbeatRequest(consumer, "m", wrong), 1)
            assert isinstance(answer, ConsumerGroupHeartbeatResponse)
            assert answer.error_code == code
        stale = commit(client, consumer, "m", joined.member_epoch + 1)
        assert stale == ErrorCode.STALE_MEMBER_EPOCH


def test_forged_producer_ids(target: Target) -> None:
    """Who guesses an id, or uses one of another transactional id, changes nothing."""
    with target.attack(), target.connect() as client:
        owner = client.ask(InitProducerIdRequest(f"owner-{next(names)}", 60_000), 4)
        assert isinstance(owner, InitProducerIdResponse)
        assert owner.error_code == ErrorCode.NONE
        for tid, producer_id, epoch, codes in (
            ("nobody", FORGED, 0, {ErrorCode.INVALID_PRODUCER_ID_MAPPING}),
            (
                "nobody",
                owner.producer_id,
                owner.producer_epoch,
                {ErrorCode.INVALID_PRODUCER_ID_MAPPING},
            ),
        ):
            ended = client.ask(EndTxnRequest(tid, producer_id, epoch, True), 3)
            assert isinstance(ended, EndTxnResponse)
            assert ended.error_code in codes
            topics = [AddPartitionsToTxnTopic("honest", [0])]
            added = client.ask(
                AddPartitionsToTxnRequest(
                    v3_and_below_transactional_id=tid,
                    v3_and_below_producer_id=producer_id,
                    v3_and_below_producer_epoch=epoch,
                    v3_and_below_topics=topics,
                ),
                3,
            )
            assert isinstance(added, AddPartitionsToTxnResponse)
            found = added.results_by_topic_v3_and_below[0].results_by_partition[0]
            assert found.partition_error_code in codes
            part = TxnOffsetCommitRequestPartition(0, 1)
            asked = TxnOffsetCommitRequest(
                tid,
                "forged",
                producer_id,
                epoch,
                topics=[TxnOffsetCommitRequestTopic("honest", [part])],
            )
            answer = client.ask(asked, TXN_COMMIT)
            assert isinstance(answer, TxnOffsetCommitResponse)
            assert answer.topics[0].partitions[0].error_code in codes | {
                ErrorCode.TRANSACTION_ABORTABLE,
                ErrorCode.INVALID_TXN_STATE,
            }
            written = _transactional_produce(client, tid, producer_id, epoch)
            assert written in codes | {ErrorCode.INVALID_TXN_STATE}


def _transactional_produce(client: Client, tid: str, producer_id: int, epoch: int) -> ErrorCode:
    batch = build_batch(
        [(None, b"forged", 1, ())],
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=0,
        transactional=True,
    )
    part = PartitionProduceData(0, bytes(batch))
    asked = ProduceRequest(tid, -1, 5_000, [TopicProduceData("honest", partition_data=[part])])
    answer = client.ask(asked, 11)
    assert isinstance(answer, ProduceResponse)
    return ErrorCode(answer.responses[0].partition_responses[0].error_code)


def test_a_group_without_a_name(target: Target) -> None:
    with target.attack(), target.connect() as client:
        assert join(client, "").error_code == ErrorCode.INVALID_GROUP_ID
        assert heartbeat(client, "", "m", 1) == ErrorCode.INVALID_GROUP_ID
        # Kafka knows offsets of a group without a name, as before there were groups.
        assert commit(client, "", "m", 1) == ErrorCode.GROUP_ID_NOT_FOUND
        synced = client.ask(SyncGroupRequest("", 1, "m", None, "consumer", "range"), SYNC)
        assert isinstance(synced, SyncGroupResponse)
        assert synced.error_code == ErrorCode.INVALID_GROUP_ID
        left = client.ask(LeaveGroupRequest("", members=[MemberIdentity("m")]), LEAVE)
        assert isinstance(left, LeaveGroupResponse)
        assert left.error_code == ErrorCode.INVALID_GROUP_ID
