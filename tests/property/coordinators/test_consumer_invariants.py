"""Consumer groups (KIP-848) under any order of heartbeats, lost answers, crashes and silence.

No model of the algorithm: clients believe what they were told, and what they believe is held
against the invariants. G1: a partition is handed over only after its owner gave it up or may have
been fenced. G2: epochs never fall, and those that are not the member's do nothing. G3: what was
committed is there. G4: members that behave own everything soon.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from barnabas.groups.settings import ConsumerGroupSettings
from barnabas.wire.errors import ErrorCode
from tests.unit.groups.consumer_desk import ConsumerDesk
from tests.unit.groups.test_offsets import commit, fetched

NAMES = ("a", "b", "c")
TOPICS = ("t", "u")
SESSION_MS, REBALANCE_MS = 45_000, 30_000
CONVERGES_WITHIN = 12
#: What becomes of a heartbeat: it is answered; the client takes its time to give up what it has to;
#: its answer is lost; the node dies before the log has it.
ANSWERED, SLOWLY, UNANSWERED, DIED = "answered", "slowly", "unanswered", "died"
NOT_MINE = (ErrorCode.FENCED_MEMBER_EPOCH, ErrorCode.UNKNOWN_MEMBER_ID)

who = strategies.sampled_from(NAMES)
fate = strategies.sampled_from((ANSWERED, ANSWERED, SLOWLY, UNANSWERED, DIED))
subscription = strategies.sampled_from((("t",), ("t",), ("u",), ("t", "u")))


class Client:
    """What one client believes."""

    def __init__(self, member_id: str, topics: tuple[str, ...], now_ms: int) -> None:
        self.member_id = member_id
        self.topics = topics
        self.epoch = 0
        self.told: set[tuple[str, int]] = set()
        self.owned: set[tuple[str, int]] = set()
        """What it was told, and what it has not given up yet."""
        self.heard_ms = now_ms
        self.unanswered = False
        """After a lost answer a client tells everything again, and is told everything."""

    def parts(self) -> dict[str, list[int]]:
        """What it tells that it owns."""
        found: dict[str, list[int]] = {}
        for topic, number in sorted(self.owned):
            found.setdefault(topic, []).append(number)
        return found


class ConsumerGroups(RuleBasedStateMachine):
    """One group, its log, and clients that may be slow, deaf or dead."""

    @initialize(
        interval=strategies.sampled_from((0, 1_000)),
        assignor=strategies.sampled_from(("uniform", "range")),
    )
    def begin(self, interval: int, assignor: str) -> None:
        """Two topics and nobody."""
        self.desk = ConsumerDesk(
            {"t": 3, "u": 2}, ConsumerGroupSettings(assignment_ms=interval), offsets_check_ms=10**12
        )
        self.assignor = assignor
        self.clients: dict[str, Client] = {}
        self.made = 0
        self.epochs = (0, 0)
        self.committed = -1

    # -- heartbeats ----------------------------------------------------------------------------------

    def _beat(self, name: str, what: str, **fields: Any) -> ErrorCode | None:
        """A heartbeat; the error of its answer, if there is one."""
        client, desk = self.clients[name], self.desk
        desk.advance(1)
        if client.unanswered:
            fields = {
                "rebalance_timeout_ms": REBALANCE_MS,
                "subscribed_topic_names": list(client.topics),
                **fields,
            }
        client.unanswered = what in (UNANSWERED, DIED)
        before = len(desk.log)
        sent_ms = desk.ms
        answer = desk.beat(client.member_id, client.epoch, owned=client.parts(), **fields)
        if what == DIED:
            del desk.log[before:]
            desk.reload()
        if what in (UNANSWERED, DIED):
            return None
        error = ErrorCode(answer.error_code)
        if error in NOT_MINE:
            del self.clients[name]
        elif not error:
            assert answer.member_epoch >= client.epoch, "G2"
            client.epoch, client.heard_ms = answer.member_epoch, sent_ms
            if answer.assignment is not None:
                told = desk.named(answer)
                client.told = {(topic, at) for topic, parts in told.items() for at in parts}
            client.owned = client.told | (client.owned if what == SLOWLY else set())
        return error

    @rule(name=who, topics=subscription, what=fate)
    def join(self, name: str, topics: tuple[str, ...], what: str) -> None:
        """A client starts; one that was there has crashed without a word."""
        self.made += 1
        self.clients.pop(name, None)
        self.clients[name] = Client(f"{name}{self.made}", topics, self.desk.ms)
        error = self._beat(
            name,
            what,
            rebalance_timeout_ms=REBALANCE_MS,
            subscribed_topic_names=list(topics),
            server_assignor=self.assignor,
        )
        assert not error
        if what in (UNANSWERED, DIED):
            del self.clients[name]  # it gives up, and nobody knows

    @precondition(lambda self: self.clients)
    @rule(beats=strategies.lists(strategies.tuples(who, fate), min_size=1, max_size=8))
    def beat(self, beats: list[tuple[str, str]]) -> None:
        """Clients go on."""
        for name, what in beats:
            if name in self.clients:
                self._beat(name, what)
                self.nothing_is_owned_twice()

    @precondition(lambda self: self.clients)
    @rule(name=who, topics=subscription)
    def subscribe_anew(self, name: str, topics: tuple[str, ...]) -> None:
        """To other topics."""
        if name in self.clients:
            self.clients[name].topics = topics
            self._beat(name, ANSWERED, subscribed_topic_names=list(topics))

    @precondition(lambda self: self.clients)
    @rule(name=who)
    def leave(self, name: str) -> None:
        """A client goes."""
        client = self.clients.pop(name, None)
        if client is not None:
            answer = self.desk.beat(client.member_id, -1)
            assert answer.error_code in (ErrorCode.NONE, ErrorCode.UNKNOWN_MEMBER_ID)

    @precondition(lambda self: self.clients)
    @rule(name=who, ahead=strategies.integers(1, 3))
    def forge(self, name: str, ahead: int) -> None:
        """G2: an epoch that was never given does nothing."""
        client = self.clients.get(name)
        if client is None:
            return
        before = len(self.desk.log)
        member = self.desk.consumers().member(client.member_id)
        epoch = ahead + (client.epoch if member is None else member.epoch)
        assert self.desk.error(client.member_id, epoch) in NOT_MINE
        refused = commit(self.desk, 1, member=client.member_id, generation=epoch)
        assert refused in (ErrorCode.STALE_MEMBER_EPOCH, ErrorCode.UNKNOWN_MEMBER_ID)
        assert len(self.desk.log) == before

    @precondition(lambda self: self.clients)
    @rule(name=who)
    def commit_what_is_mine(self, name: str) -> None:
        """G3, by whoever owns the partition for sure."""
        client = self.clients.get(name)
        if client is None or ("t", 0) not in client.owned or not self._sure(client):
            return
        code = commit(
            self.desk, self.committed + 1, member=client.member_id, generation=client.epoch
        )
        if code == ErrorCode.NONE:
            self.committed += 1

    # -- the world -----------------------------------------------------------------------------------

    @rule(ms=strategies.sampled_from((10, 1_000, 15_000, 31_000, 46_000)))
    def time_passes(self, ms: int) -> None:
        """Sessions and revocations end."""
        self.desk.advance(ms)

    @rule()
    def crash(self) -> None:
        """Another process reads the log."""
        self.desk.reload()

    @rule(topic=strategies.sampled_from(TOPICS))
    def topic_grows(self, topic: str) -> None:
        """Partitions are added."""
        self.desk.topic(topic, min(6, self.desk.world.topics[topic] + 1))

    def _sure(self, client: Client) -> bool:
        """Whether nobody can have fenced it."""
        return self.desk.ms - client.heard_ms < REBALANCE_MS

    @precondition(lambda self: self.clients)
    @rule()
    def everybody_behaves(self) -> None:
        """G4: after the silent ones are gone, all partitions are owned within some rounds."""
        for _ in range(5):  # members that nobody speaks for any more
            self.desk.advance(SESSION_MS // 4)
            self._round()
        for _ in range(CONVERGES_WITHIN):
            self.desk.advance(1_000)
            self._round()
        wanted = {
            (topic, at)
            for client in self.clients.values()
            for topic in client.topics
            for at in range(self.desk.world.topics[topic])
        }
        owned = [place for client in self.clients.values() for place in client.owned]
        assert sorted(owned) == sorted(wanted), "G4"

    def _round(self) -> None:
        for name in list(self.clients):
            client = self.clients[name]
            error = self._beat(name, ANSWERED)
            if error in NOT_MINE:
                self.join(name, client.topics, ANSWERED)

    # -- what must hold ------------------------------------------------------------------------------

    @invariant()
    def nothing_is_owned_twice(self) -> None:
        """G1 and G2."""
        if not hasattr(self, "desk"):
            return
        owners: dict[tuple[str, int], str] = {}
        for name, client in self.clients.items():
            if self._sure(client):
                for place in client.owned:
                    assert owners.setdefault(place, name) == name, f"G1: {place}"
        group = self.desk.shard.state.consumer("g")
        if group is not None:
            epochs = (group.epoch, group.assignment_epoch)
            assert epochs[1] <= epochs[0], "G2"
        if self.committed >= 0:
            assert fetched(self.desk, topic_id=bytes(16)) == (self.committed, 0), "G3"


def test_random_lives() -> None:
    run_state_machine_as_test(
        ConsumerGroups, settings=settings(max_examples=100, stateful_step_count=40)
    )


@pytest.mark.soak
def test_many_lives() -> None:
    run_state_machine_as_test(
        ConsumerGroups, settings=settings(max_examples=3_000, stateful_step_count=60)
    )


def test_what_is_not_given_up_is_not_handed_over() -> None:
    """A life that the machine finds only now and then."""
    life = ConsumerGroups()
    life.begin(interval=0, assignor="uniform")
    for name in ("a", "b"):
        life.join(name=name, topics=("t",), what=ANSWERED)
    slow = [("a", SLOWLY), ("a", SLOWLY), ("b", ANSWERED), ("b", ANSWERED)]
    life.beat(beats=slow)
    assert len(life.clients["a"].owned) == 3
    life.beat(beats=[("a", ANSWERED), ("a", ANSWERED), ("b", ANSWERED)])
    assert len(life.clients["a"].owned) == 2
    assert len(life.clients["b"].owned) == 1
