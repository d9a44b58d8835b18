"""The two kinds of members: of classic groups, and of consumer groups (KIP-848)."""

from __future__ import annotations

from barnabas.testing.checkers.events import Place
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.consumer_group_heartbeat_request import (
    ConsumerGroupHeartbeatRequest,
    TopicPartitions,
)
from barnabas.wire.messages.consumer_group_heartbeat_response import ConsumerGroupHeartbeatResponse
from barnabas.wire.messages.heartbeat_request import HeartbeatRequest
from barnabas.wire.messages.heartbeat_response import HeartbeatResponse
from barnabas.wire.messages.join_group_request import JoinGroupRequest, JoinGroupRequestProtocol
from barnabas.wire.messages.join_group_response import JoinGroupResponse
from barnabas.wire.messages.leave_group_request import LeaveGroupRequest, MemberIdentity
from barnabas.wire.messages.leave_group_response import LeaveGroupResponse
from barnabas.wire.messages.sync_group_request import SyncGroupRequest, SyncGroupRequestAssignment
from barnabas.wire.messages.sync_group_response import SyncGroupResponse
from tests.sim.node_groups import INPUT, NOT_MINE, REBALANCE_MS, SESSION_MS, Member, PutOut

KIND, ASSIGNOR = "sim", "split"


class ClassicMember(Member):
    """JoinGroup, SyncGroup, Heartbeat; the leader shares the partitions out by turns."""

    async def work(self) -> None:
        """Join, or a round as a member."""
        if self.generation < 0:
            await self._join()
            return
        request = HeartbeatRequest(self.group, self.generation, self.member_id)
        sent_ms = self.ports.clock.monotonic_ms()
        code = (await self.ask(request, HeartbeatResponse)).error_code
        if code == ErrorCode.REBALANCE_IN_PROGRESS:
            self.give_back(set(self.mine))
            self.generation = -1
        elif code in NOT_MINE:
            raise PutOut
        elif code == ErrorCode.NONE:
            self.heard_ms = sent_ms
            await self.serve()
            if self.random.randrange(60) == 0:
                await self._leave()
        await self.pause(self.random.choice((10, 100, 300)))

    async def _join(self) -> None:
        if not await self.find(0, self.group):
            return
        request = JoinGroupRequest(
            self.group,
            SESSION_MS,
            REBALANCE_MS,
            self.member_id,
            protocol_type=KIND,
            protocols=[JoinGroupRequestProtocol(ASSIGNOR, b"")],
        )
        joined = await self.ask(request, JoinGroupResponse)
        code = ErrorCode(joined.error_code)
        if code == ErrorCode.MEMBER_ID_REQUIRED:
            self.member_id = joined.member_id
            return
        if code in NOT_MINE:
            raise PutOut
        if code != ErrorCode.NONE:
            await self.pause(100)
            return
        self.member_id = joined.member_id
        shares = []
        if joined.leader == self.member_id:
            everybody = [each.member_id for each in joined.members]
            count = self.run.topics[INPUT]
            shares = [
                SyncGroupRequestAssignment(each, bytes(range(at, count, len(everybody))))
                for at, each in enumerate(everybody)
            ]
        sync = SyncGroupRequest(
            self.group, joined.generation_id, self.member_id, None, KIND, ASSIGNOR, shares
        )
        self.heard_ms = self.ports.clock.monotonic_ms()
        given = await self.ask(sync, SyncGroupResponse)
        if given.error_code in NOT_MINE:
            raise PutOut
        if given.error_code == ErrorCode.NONE and self.fresh():  # else it joins again
            self.generation = joined.generation_id
            self.take({Place(INPUT, number) for number in given.assignment})

    async def _leave(self) -> None:
        self.give_back(set(self.mine))
        request = LeaveGroupRequest(self.group, members=[MemberIdentity(self.member_id)])
        self.member_id, self.generation = "", -1
        await self.ask(request, LeaveGroupResponse)
        await self.pause(500)


class ConsumerMember(Member):
    """ConsumerGroupHeartbeat: the coordinator says what is mine."""

    answered = True
    """Whether its last heartbeat was."""

    async def work(self) -> None:
        """A heartbeat, then a round as a member."""
        if self.generation < 0 and not await self.find(0, self.group):
            return
        topic_id = await self.topic_id(INPUT)
        if topic_id is None:
            await self.pause(100)
            return
        joins = self.generation < 0
        self.member_id = self.member_id or f"{self.name}-{self.random.randrange(1 << 30)}"
        numbers = sorted(each.partition for each in self.mine)
        request = ConsumerGroupHeartbeatRequest(
            self.group,
            self.member_id,
            0 if joins else self.generation,
            rebalance_timeout_ms=REBALANCE_MS,
            subscribed_topic_names=[INPUT],
            topic_partitions=[TopicPartitions(topic_id, numbers)] if numbers else [],
        )
        sent_ms = self.ports.clock.monotonic_ms()
        if self.answered or joins:
            self.asked_ms, self.answered = sent_ms, False
        answer = await self.ask(request, ConsumerGroupHeartbeatResponse)
        code = ErrorCode(answer.error_code)
        if code in (*NOT_MINE, ErrorCode.GROUP_ID_NOT_FOUND):
            raise PutOut
        if code == ErrorCode.NONE:
            self.generation, self.heard_ms, self.answered = answer.member_epoch, sent_ms, True
            if answer.assignment is not None:
                self._reconcile(
                    {
                        Place(INPUT, number)
                        for topic in answer.assignment.topic_partitions
                        for number in topic.partitions
                    }
                )
            await self.serve()
            if self.random.randrange(60) == 0:
                await self._leave()
        await self.pause(self.random.choice((10, 100, 300)))

    def _reconcile(self, wanted: set[Place]) -> None:
        self.give_back(self.mine - wanted)
        self.take(wanted - self.mine)

    async def _leave(self) -> None:
        self.give_back(set(self.mine))
        request = ConsumerGroupHeartbeatRequest(self.group, self.member_id, -1)
        self.member_id, self.generation = "", -1
        await self.ask(request, ConsumerGroupHeartbeatResponse)
        await self.pause(500)
