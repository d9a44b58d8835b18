"""Drives one membership core by hand: what it wants done, and answers to it."""

from __future__ import annotations

from typing import TypeVar

from barnabas.client.membership.classic import ClassicMember
from barnabas.client.membership.consumer import ConsumerMember
from barnabas.client.membership.events import (
    Answered,
    CoordinatorFound,
    Effect,
    Event,
    Failed,
    FindCoordinator,
    GroupConfig,
    Send,
    Subscribed,
    Tick,
)
from barnabas.client.membership.protocol import Subscription, encode_assignment, encode_subscription
from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message
from barnabas.wire.messages.join_group_request import JoinGroupRequest
from barnabas.wire.messages.join_group_response import JoinGroupResponse, JoinGroupResponseMember
from barnabas.wire.messages.sync_group_request import SyncGroupRequest
from barnabas.wire.messages.sync_group_response import SyncGroupResponse

M = TypeVar("M", bound=Message)
E = TypeVar("E", bound=Effect)
T = ("t",)
ID = bytes(15) + b"\x07"
OTHER_ID = bytes(15) + b"\x08"


def parts(*numbers: int) -> frozenset[tuple[str, int]]:
    return frozenset(("t", number) for number in numbers)


class Desk:
    """A core, its clock, and the effects of the last event."""

    def __init__(self, core: ClassicMember | ConsumerMember) -> None:
        self.core = core
        self.now = 1_000
        self.effects: list[Effect] = []

    def __call__(self, event: Event, *, after_ms: int = 0) -> list[Effect]:
        self.now += after_ms
        self.effects = self.core.step(event, self.now)
        return self.effects

    def only(self, kind: type[E]) -> E:
        """The one effect of that kind."""
        (found,) = [each for each in self.effects if isinstance(each, kind)]
        return found

    def has(self, kind: type[Effect]) -> bool:
        return any(isinstance(each, kind) for each in self.effects)

    def sent(self, kind: type[M]) -> tuple[int, M]:
        """Token and request of the one that was just sent."""
        ((token, request),) = [
            (each.token, each.request)
            for each in self.effects
            if isinstance(each, Send) and isinstance(each.request, kind)
        ]
        return token, request

    def wait(self) -> list[Effect]:
        """Let time pass to where the core wants to be woken."""
        wake = self.core.wake_ms
        assert wake is not None
        return self(Tick(), after_ms=max(wake - self.now, 0))

    def answer(self, token: int, response: Message, *, after_ms: int = 0) -> list[Effect]:
        return self(Answered(token, response), after_ms=after_ms)

    def lose_connection(self, token: int) -> list[Effect]:
        return self(Failed(token))


def classic(*strategy: str, instance: str | None = None, topics: tuple[str, ...] = T) -> Desk:
    """A classic member that has just sent its first JoinGroup."""
    desk = Desk(ClassicMember(GroupConfig("g", instance, partition_assignment_strategy=strategy)))
    desk(Subscribed(frozenset(topics)))
    assert desk.effects == [FindCoordinator(0)]
    desk(CoordinatorFound())
    return desk


def joined(desk: Desk, generation: int = 1, *, member: str = "m", leader: str = "x") -> None:
    """Answer JoinGroup, which was just sent, with a place in the group."""
    token, request = desk.sent(JoinGroupRequest)
    members = [
        JoinGroupResponseMember("m", None, encode_subscription(Subscription(T))),
        JoinGroupResponseMember("n", None, encode_subscription(Subscription(("t", "u")))),
    ]
    desk.answer(
        token,
        JoinGroupResponse(
            generation_id=generation,
            protocol_type="consumer",
            protocol_name=request.protocols[0].name,
            leader=leader,
            member_id=member,
            members=members if leader == member else [],
        ),
    )


def synced(desk: Desk, *numbers: int) -> None:
    """Answer SyncGroup, which was just sent, with these partitions."""
    token, _ = desk.sent(SyncGroupRequest)
    desk.answer(token, SyncGroupResponse(assignment=encode_assignment(parts(*numbers))))


def stable(*numbers: int, strategy: str = "range", instance: str | None = None) -> Desk:
    """A classic member of generation 1 that owns these partitions."""
    desk = classic(strategy, instance=instance)
    joined(desk)
    synced(desk, *numbers)
    return desk


def join_error(desk: Desk, code: ErrorCode, member: str = "") -> None:
    token, _ = desk.sent(JoinGroupRequest)
    desk.answer(token, JoinGroupResponse(error_code=code, member_id=member))


def sync_error(desk: Desk, code: ErrorCode) -> None:
    token, _ = desk.sent(SyncGroupRequest)
    desk.answer(token, SyncGroupResponse(error_code=code))
