"""Heartbeats and commits that repeat what was said take a short way, with the answers of the long one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from barnabas.coordinator.effects import Effects
from barnabas.groups.records.offset_commit_value import OffsetCommitValue
from barnabas.groups.shard import GroupShard
from barnabas.server.coordinators import repeats
from barnabas.server.coordinators.loading import client_error
from barnabas.wire import codec
from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message
from barnabas.wire.messages.alter_client_quotas_request import (
    AlterClientQuotasRequest,
    EntityData,
    EntryData,
    OpData,
)
from barnabas.wire.messages.alter_client_quotas_response import AlterClientQuotasResponse
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest, DeleteTopicState
from barnabas.wire.messages.delete_topics_response import DeleteTopicsResponse
from barnabas.wire.messages.find_coordinator_request import FindCoordinatorRequest
from barnabas.wire.messages.find_coordinator_response import FindCoordinatorResponse
from barnabas.wire.messages.join_group_request import JoinGroupRequest, JoinGroupRequestProtocol
from barnabas.wire.messages.join_group_response import JoinGroupResponse
from barnabas.wire.messages.leave_group_request import LeaveGroupRequest, MemberIdentity
from barnabas.wire.messages.leave_group_response import LeaveGroupResponse
from barnabas.wire.messages.offset_commit_request import (
    OffsetCommitRequestPartition,
)
from barnabas.wire.messages.offset_commit_response import OffsetCommitResponse
from tests.unit.server.calm import Session, calm
from tests.unit.server.coordinators.repeating import (
    BEAT,
    COMMIT,
    SESSION_MS,
    SETTINGS,
    UNKNOWN_TAG,
    Desk,
)
from tests.unit.server.test_call_budget import request
from tests.unit.server.test_node_authorization import Switch


@pytest.fixture
def at_desk(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a scenario, and count the decisions of the shards."""

    def run(scenario: Callable[[Desk], Awaitable[None]], **options: Any) -> None:
        async def main(s: Session) -> None:
            await s.create("t", 4)
            desk = Desk(s)
            while (await s.ask(FindCoordinatorRequest("g"), FindCoordinatorResponse, 3)).error_code:
                await s.sleep(50)
            for name in ("heartbeat", "commit_offsets"):
                monkeypatch.setattr(GroupShard, name, counted(desk, getattr(GroupShard, name)))
            await scenario(desk)

        calm(main, SETTINGS | options.pop("overrides", {}), **options)

    return run


def counted(desk: Desk, method: Callable[..., Effects]) -> Callable[..., Effects]:
    def decide(*arguments: Any) -> Effects:
        desk.long += 1
        return method(*arguments)

    return decide


AtDesk = Callable[..., None]


@pytest.mark.parametrize("instance_id", [None, "static"])
@pytest.mark.parametrize("version", range(5))
def test_a_heartbeat_is_answered_the_same_both_ways(
    at_desk: AtDesk, version: int, instance_id: str | None
) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.join(instance_id)
        if version < BEAT:
            desk.instance_id = None
        first = await desk.raw(desk.beat(), version)
        assert desk.long == 1
        assert [await desk.raw(desk.beat(), version) for _ in range(3)] == [first] * 3
        assert desk.long == 1

    at_desk(scenario)


@pytest.mark.parametrize("instance_id", [None, "static"])
@pytest.mark.parametrize("version", range(6, 11))
def test_a_commit_is_answered_and_written_the_same_both_ways(
    at_desk: AtDesk, version: int, instance_id: str | None
) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.join(instance_id)
        if version < COMMIT:
            desk.instance_id = None
        first = await desk.raw(desk.commit(index=1), version)
        expected, kept = await desk.last_record(), desk.kept(1)
        assert desk.long == 1
        for metadata in ("", None):
            assert await desk.raw(desk.commit(metadata=metadata, index=1), version) == first
            assert await desk.last_record() == expected
            assert desk.kept(1) == kept
        for offset, epoch in ((0, -1), (2**63 - 1, 2**31 - 1), (-1, 0), (7, 9)):
            assert await desk.raw(desk.commit(offset, epoch, index=1), version) == first
            assert await desk.fetched(1) == (offset, epoch, "")
        assert desk.long == 1

    at_desk(scenario)


@pytest.mark.parametrize("version", range(2, 6))
def test_commits_of_old_versions_take_the_long_way(at_desk: AtDesk, version: int) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.join()
        for offset in range(3):
            await desk.raw(desk.commit(offset, -1), version)
            assert (await desk.fetched())[0] == offset
        assert desk.long == 3

    at_desk(scenario)


@pytest.mark.parametrize("version", [7, 9, 10])
def test_what_is_not_quite_the_same_takes_the_long_way(at_desk: AtDesk, version: int) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.join()
        await desk.raw(desk.commit(1), version)

        async def long(message: Message, more: bytes = b"") -> bytes:
            before = desk.long
            answer = await desk.raw(message, version, more)
            assert desk.long == before + 1
            return answer

        await long(desk.commit(2, metadata="text"))
        assert await desk.fetched() == (2, 3, "text")
        two = desk.commit(3)
        two.topics[0].partitions.append(OffsetCommitRequestPartition(2, 33))
        await long(two)
        assert [(await desk.fetched(index))[0] for index in (0, 2)] == [3, 33]
        # Bytes behind the message are ignored, whatever they look like.
        for more in (b"\0", b"\0\0", bytes(14), bytes(16), b"\xff" * 14, request(two, version)):
            await long(desk.commit(4), more)
        assert await desk.fetched() == (4, 3, "")
        if version >= 8:
            for offset in (5, 6):
                tagged = desk.commit(offset)
                for each in (tagged, tagged.topics[0], tagged.topics[0].partitions[0]):
                    each.unknown_tags = UNKNOWN_TAG
                    await long(tagged)
                    assert (await desk.fetched())[0] == offset
                    each.unknown_tags = b""
        before = desk.long
        await desk.raw(desk.commit(7), version)
        assert desk.long == before
        assert await desk.fetched() == (7, 3, "")

    at_desk(scenario)


async def known(desk: Desk) -> None:
    """The member's heartbeats and commits take the short way from now on."""
    for _ in range(2):
        assert await desk.heartbeat() == ErrorCode.NONE
        assert await desk.committing() == ErrorCode.NONE
    assert desk.long == 2
    desk.long = 0


def test_a_former_generation_is_told_so(at_desk: AtDesk) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.join()
        await known(desk)
        former = desk.generation
        await desk.join(member_id=desk.member_id)
        assert desk.generation > former
        desk.generation = former
        assert await desk.heartbeat() == ErrorCode.ILLEGAL_GENERATION
        assert await desk.committing(99) == ErrorCode.ILLEGAL_GENERATION
        assert (await desk.fetched())[0] == 5

    at_desk(scenario)


def test_who_has_left_is_told_so(at_desk: AtDesk) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.join()
        await known(desk)
        leave = LeaveGroupRequest("g", members=[MemberIdentity(desk.member_id)])
        await desk.s.ask(leave, LeaveGroupResponse, 3)
        assert await desk.heartbeat() == ErrorCode.UNKNOWN_MEMBER_ID
        assert await desk.committing(99) == ErrorCode.UNKNOWN_MEMBER_ID

    at_desk(scenario)


def test_a_static_member_that_was_replaced_is_fenced(at_desk: AtDesk) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.join("i")
        await known(desk)
        first = desk.member_id, desk.generation
        await desk.join("i")
        assert desk.member_id != first[0]
        desk.member_id, desk.generation = first
        assert await desk.heartbeat() == ErrorCode.FENCED_INSTANCE_ID
        assert await desk.committing(99) == ErrorCode.FENCED_INSTANCE_ID

    at_desk(scenario)


def test_a_rebalance_is_told_and_commits_of_the_old_generation_go_on(at_desk: AtDesk) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.join()
        await known(desk)
        other = Desk(desk.s)
        joining = JoinGroupRequest(
            "g", SESSION_MS, 60_000, "", None, "consumer", [JoinGroupRequestProtocol("range", b"")]
        )
        joining.member_id = (await desk.s.ask(joining, JoinGroupResponse, 7)).member_id
        other.wire.feed(request(joining, 7))
        await desk.s.sleep(1)
        assert await desk.heartbeat() == ErrorCode.REBALANCE_IN_PROGRESS
        assert await desk.committing(6) == ErrorCode.NONE
        assert (await desk.fetched())[0] == 6

    at_desk(scenario)


def test_who_may_not_is_told_so(at_desk: AtDesk) -> None:
    switch = Switch()

    async def scenario(desk: Desk) -> None:
        await desk.join()
        await known(desk)
        switch.on = False
        assert await desk.heartbeat() == ErrorCode.GROUP_AUTHORIZATION_FAILED
        assert await desk.committing(99) == ErrorCode.GROUP_AUTHORIZATION_FAILED
        switch.on = True
        assert (await desk.fetched())[0] == 5

    at_desk(scenario, authorizer=switch)


def test_a_topic_that_is_gone_or_another_one_is_noticed(at_desk: AtDesk) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.join()
        await known(desk)
        delete = DeleteTopicsRequest(topics=[DeleteTopicState("t")], timeout_ms=5_000)
        await desk.s.ask(delete, DeleteTopicsResponse, 6)
        assert await desk.committing() == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        new = await desk.s.create("t", 1)
        for _ in range(2):
            assert await desk.committing(8) == ErrorCode.NONE
            _, value = await desk.last_record()
            assert codec.decode(OffsetCommitValue, 4, value or b"").topic_id == new
        assert desk.long == 1

    at_desk(scenario)


def test_a_commit_waits_until_it_is_durable(at_desk: AtDesk) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.join()
        await known(desk)
        hosted, sent = desk.hosted, desk.wire.transport.sent
        start, end = len(sent), hosted.log.end_offset
        desk.wire.feed(request(desk.commit(77), COMMIT))
        assert hosted.log.end_offset == end + 1
        while hosted.replica.high_watermark <= end:
            assert len(sent) == start
            await desk.s.sleep(0)
        assert hosted.log.durable_offset == end + 1
        while len(sent) == start:
            await desk.s.sleep(1)
        await desk.s.restart("power")
        assert (await desk.fetched())[0] == 77

    at_desk(scenario)


@pytest.mark.parametrize("sign", ["heartbeat", "committing"])
def test_a_sign_of_life_begins_a_new_session(at_desk: AtDesk, sign: str) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.join()
        await known(desk)
        for _ in range(4):
            await desk.s.sleep(SESSION_MS * 2 // 3)
            assert await getattr(desk, sign)() == ErrorCode.NONE
        assert not desk.long
        await desk.s.sleep(SESSION_MS + 1_000)
        assert await getattr(desk, sign)() == ErrorCode.UNKNOWN_MEMBER_ID

    at_desk(scenario)


def test_a_commit_that_waits_is_answered_when_its_time_is_over_or_its_shard_gone(
    at_desk: AtDesk,
) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.join()
        await known(desk)
        runtime, sent = desk.groups.runtime, desk.wire.transport.sent
        ends: list[tuple[Callable[[], None], ErrorCode]] = [
            (lambda: runtime.expire(desk.s.now + (1 << 40)), ErrorCode.COORDINATOR_NOT_AVAILABLE),
            (runtime.stop, ErrorCode.NOT_COORDINATOR),
        ]
        for end, error in ends:
            start = len(sent)
            desk.wire.feed(request(desk.commit(), COMMIT))
            end()
            while len(sent) == start:
                await desk.s.sleep(1)
            answer = codec.decode(OffsetCommitResponse, COMMIT, bytes(sent[start + 8 :]))
            (topic,) = answer.topics
            assert topic.name == "t"
            assert [(p.partition_index, p.error_code) for p in topic.partitions] == [(0, error)]
        assert not desk.long

    at_desk(scenario)


def test_what_the_log_refuses_gets_the_error_of_the_long_way(at_desk: AtDesk) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.join()
        await known(desk)
        log = desk.hosted.log
        log.update_config(replace(log.config, max_message_bytes=70))
        end = log.end_offset
        assert await desk.committing(9) == client_error(ErrorCode.MESSAGE_TOO_LARGE)
        assert log.end_offset == end
        assert desk.long == 1

    at_desk(scenario)


def test_with_quotas_every_request_takes_the_way_on_which_it_is_charged(at_desk: AtDesk) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.join()
        await known(desk)
        entry = EntryData([EntityData("client-id", None)], [OpData("request_percentage", 1e9)])
        await desk.s.ask(AlterClientQuotasRequest([entry]), AlterClientQuotasResponse)
        assert await desk.heartbeat() == ErrorCode.NONE
        assert await desk.committing() == ErrorCode.NONE
        assert desk.long == 2

    at_desk(scenario)


def test_a_compressed_topic_takes_the_long_way(at_desk: AtDesk) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.join()
        for _ in range(2):
            assert await desk.committing() == ErrorCode.NONE
        assert desk.long == 2

    at_desk(scenario, overrides={"offsets.topic.compression.codec": "1"})


def test_what_is_remembered_is_bounded(at_desk: AtDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "KNOWN_MAX", 3)

    async def scenario(desk: Desk) -> None:
        await desk.join()
        for _ in range(3):
            assert await desk.heartbeat() == ErrorCode.NONE
            for index in range(4):
                await desk.raw(desk.commit(index, index=index), COMMIT)
                assert sum(map(len, desk.groups.known.tables)) <= 3
        assert [(await desk.fetched(index))[0] for index in range(4)] == [0, 1, 2, 3]

    at_desk(scenario)


def test_answers_of_requests_that_overlap_keep_their_order(at_desk: AtDesk) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.join()
        await known(desk)
        sent, end = desk.wire.transport.sent, desk.hosted.log.end_offset
        start = len(sent)
        frames = [request(desk.commit(1), COMMIT), request(desk.beat(), BEAT)] * 3
        numbered = [f[:8] + at.to_bytes(4, "big") + f[12:] for at, f in enumerate(frames)]
        desk.wire.feed(b"".join(numbered))
        assert desk.hosted.log.end_offset == end + 3
        assert len(sent) == start
        await desk.s.sleep(1_000)
        at, seen = start, []
        while at < len(sent):
            seen.append(int.from_bytes(sent[at + 4 : at + 8], "big"))
            at += 4 + int.from_bytes(sent[at : at + 4], "big")
        assert seen == list(range(6))
        assert not desk.long

    at_desk(scenario)
