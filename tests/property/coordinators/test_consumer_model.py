"""Consumer groups (KIP-848) beside a naive model: every answer, and the group after every step.

What is told here is exact; test_consumer_invariants.py holds G1 to G4 against what clients believe.
"""

from __future__ import annotations

import copy
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

from barnabas.groups.consumer.assignors import ASSIGNORS
from barnabas.groups.consumer.assignors.spec import GroupSpec, MemberSpec
from barnabas.groups.consumer.member import Epochs, Partitions
from barnabas.groups.settings import UNLIMITED, ConsumerGroupSettings
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.consumer_group_describe_response import DescribedGroup
from barnabas.wire.messages.consumer_group_heartbeat_response import ConsumerGroupHeartbeatResponse
from tests.property.coordinators.consumer_model import (
    AWAY,
    JOIN,
    LEAVE,
    Beat,
    ConsumerGroupModel,
    Place,
    Row,
    Told,
)
from tests.unit.groups.consumer_desk import ConsumerDesk, World
from tests.unit.groups.desk import START_MS

#: Members by id, and the instances that they speak for: c and d are one instance, now and then.
INSTANCES = {"a": None, "b": None, "c": "i", "d": "i", "e": "j"}
TOPICS = {"t": 3, "u": 2}
SUBSCRIPTIONS = (("t",), ("t",), ("t", "u"), ("u",), (), ("t", "v"))
REFUSAL = ErrorCode.NOT_COORDINATOR

member = strategies.sampled_from((*INSTANCES, "a", "b", "c", "d"))
epoch = strategies.sampled_from(("its", "its", "its", "its", "its", "former", "next", "far"))
owned = strategies.sampled_from(
    ("nothing said", "assigned", "assigned", "assigned", "all", "one", "none", "foreign")
)
subscription = strategies.sampled_from(SUBSCRIPTIONS)
names = strategies.one_of(strategies.none(), subscription)
assignor = strategies.sampled_from((None, None, None, "uniform", "range"))
#: The log takes the records, refuses them, or loses them with the node.
TAKEN, REFUSED, LOST = "taken", "refused", "lost"
fate = strategies.sampled_from((TAKEN,) * 8 + (REFUSED, LOST))


def places(held: Epochs | Partitions) -> set[Place]:
    """(Topic, partition) of what the shard has by topic id."""
    return {(topic.rstrip(b"\0").decode(), p) for topic, parts in held.items() for p in parts}


def since(held: Epochs) -> dict[Place, int]:
    """The same, with the epochs."""
    return {
        (topic.rstrip(b"\0").decode(), p): at
        for topic, parts in held.items()
        for p, at in parts.items()
    }


def assign(
    name: str, members: dict[str, Row], target: dict[str, set[Place]], topics: dict[str, int]
) -> dict[str, set[Place]]:
    """The assignor as a function of what the model knows."""
    specs = {}
    for key, each in members.items():
        former: dict[bytes, tuple[int, ...]] = {}
        for topic, part in sorted(target.get(key, ())):
            topic_id = World.id_of(topic)
            former[topic_id] = (*former.get(topic_id, ()), part)
        read = [World.id_of(topic) for topic in sorted(each["names"]) if topic in topics]
        specs[key] = MemberSpec(read, former, each["instance"], each["rack"])
    read_by_all = {name for each in members.values() for name in each["names"]}
    counts = {World.id_of(n): topics[n] for n in read_by_all if n in topics}
    alike = all(each["names"] == read_by_all for each in members.values())
    found = ASSIGNORS[name](GroupSpec(specs, counts, alike))
    return {key: places(found.get(key, {})) for key in specs}


class Beside(RuleBasedStateMachine):
    """One group; heartbeats of anybody, whatever their epochs and whatever they say."""

    @initialize(
        interval=strategies.sampled_from((0, 1_000)),
        most=strategies.sampled_from((UNLIMITED, UNLIMITED, UNLIMITED, 3)),
        there=strategies.sampled_from((("a", "b", "c"), ("a", "c"), ("b",), ())),
    )
    def begin(self, interval: int, most: int, there: tuple[str, ...]) -> None:
        """Two topics, and some who have been there for a while."""
        self.desk = ConsumerDesk(
            TOPICS,
            ConsumerGroupSettings(assignment_ms=interval, max_size=most),
            offsets_check_ms=10**12,
        )
        self.model = ConsumerGroupModel(
            dict(TOPICS), assign, START_MS, interval_ms=interval, most=most
        )
        self.deleted: set[str] = set()
        for each in there:
            timeout_ms = 10_000
            self._beat(
                Beat(each, JOIN, INSTANCES[each], None, timeout_ms, ("t", "u"), None, frozenset())
            )
        self.time_passes(1_000)
        for _ in there:
            self.all_go_on()

    # -- heartbeats ------------------------------------------------------------------------------

    def _row(self, member: str) -> Row:
        group = self.model.group
        nobody = {"epoch": 3, "previous": 2, "assigned": {}, "revoking": {}}
        row: Row = nobody if group is None else group["members"].get(member, nobody)
        return row

    def _epoch(self, member: str, which: str) -> int:
        row = self._row(member)
        epoch = int(row["epoch"]) if row["epoch"] > 0 else 1
        if which == "former":
            return max(int(row["previous"]), 1)
        return epoch + {"its": 0, "next": 1, "far": 7}[which]

    def _owned(self, member: str, which: str) -> frozenset[Place] | None:
        assigned, revoking = self._row(member)["assigned"], self._row(member)["revoking"]
        return {
            "nothing said": None,
            "assigned": frozenset(assigned),
            "all": frozenset({*assigned, *revoking}),
            "one": frozenset(sorted(assigned)[:1]),
            "none": frozenset(),
            "foreign": frozenset({("t", 0), ("u", 1)}),
        }[which]

    def _beat(self, beat: Beat, fate: str = TAKEN) -> None:
        """Both are asked, and answer alike."""
        desk, model = self.desk, self.model
        before, group = len(desk.log), copy.deepcopy(model.group)
        desk.refuse = model.refuse = REFUSAL if fate == REFUSED else None
        parts: dict[str, list[int]] | None = None
        if beat.owned is not None:
            parts = {}
            for topic, part in sorted(beat.owned):
                parts.setdefault(topic, []).append(part)
        answer = desk.beat(
            beat.member,
            beat.epoch,
            owned=parts,
            instance_id=beat.instance,
            rack_id=beat.rack,
            rebalance_timeout_ms=beat.timeout_ms,
            subscribed_topic_names=None if beat.names is None else list(beat.names),
            server_assignor=beat.assignor,
            version=beat.version,
        )
        told = model.beat(beat)
        desk.refuse = model.refuse = None
        if answer is None:  # a leave that the log refused: the runtime says so
            assert told.error == REFUSAL
        else:
            assert self._told(answer) == told
        if fate == LOST:
            del desk.log[before:]
            desk.reload()
            model.crash(group)

    def _told(self, answer: ConsumerGroupHeartbeatResponse) -> Told:
        if answer.error_code:
            return Told(answer.error_code)
        assert answer.heartbeat_interval_ms == 5_000 or answer.member_epoch < 0
        parts = None
        if answer.assignment is not None:
            parts = frozenset(
                places(
                    {
                        each.topic_id: tuple(each.partitions)
                        for each in answer.assignment.topic_partitions
                    }
                )
            )
        return Told(0, answer.member_epoch, parts)

    @rule(
        member=member,
        names=subscription,
        timeout_ms=strategies.sampled_from((10_000, 60_000)),
        assignor=assignor,
        fate=fate,
    )
    def join(
        self, member: str, names: tuple[str, ...], timeout_ms: int, assignor: str | None, fate: str
    ) -> None:
        """Join, or join again."""
        beat = Beat(member, JOIN, INSTANCES[member], None, timeout_ms, names, assignor, frozenset())
        self._beat(beat, fate)

    @rule(member=member, owned=owned)
    def go_on(self, member: str, owned: str) -> None:
        """A heartbeat as they mostly are."""
        epoch = self._epoch(member, "its")
        self._beat(Beat(member, epoch, INSTANCES[member], owned=self._owned(member, owned)))

    @precondition(lambda self: self.model.group is not None)
    @rule()
    def all_go_on(self) -> None:
        """A round of heartbeats of members that do what they are told."""
        if self.model.group is None:
            return
        for each in [*self.model.group["members"]]:
            epoch, owned = self._epoch(each, "its"), self._owned(each, "assigned")
            self._beat(Beat(each, epoch, INSTANCES[each], owned=owned))

    @rule(member=strategies.sampled_from(("a", "b", "c")), say=strategies.booleans(), owned=owned)
    def an_answer_is_lost(self, member: str, say: bool, owned: str) -> None:
        """So the member says once more what it said, in the epoch that it was in."""
        epoch, parts = self._epoch(member, "its"), self._owned(member, owned)
        for _ in range(2):
            self._beat(Beat(member, epoch, INSTANCES[member], owned=parts if say else None))

    @rule(member=strategies.sampled_from(("a", "b", "c")), subscription=subscription, owned=owned)
    def reads_other_topics(self, member: str, subscription: tuple[str, ...], owned: str) -> None:
        """A member subscribes anew; others are there whom that concerns."""
        epoch, parts = self._epoch(member, "its"), self._owned(member, owned)
        self._beat(Beat(member, epoch, INSTANCES[member], names=subscription, owned=parts))

    @rule(
        back=strategies.sampled_from(("c", "d")),
        subscription=subscription,
        ms=strategies.sampled_from((0, 11_000)),
    )
    def an_instance_restarts(self, back: str, subscription: tuple[str, ...], ms: int) -> None:
        """It leaves for a while, and is back under the same id or another."""
        members = {} if self.model.group is None else self.model.group["members"]
        for each in {"c", "d"} & members.keys():
            self._beat(Beat(each, AWAY, "i"))
            self.time_passes(ms)
        self._beat(Beat(back, JOIN, "i", None, 10_000, subscription, None, frozenset()))

    @rule(
        member=member,
        epoch=epoch,
        dynamic=strategies.booleans(),
        owned=owned,
        names=names,
        timeout_ms=strategies.sampled_from((-1, -1, 10_000, 60_000)),
        assignor=assignor,
        rack=strategies.sampled_from((None, None, "r")),
        fate=fate,
    )
    def beat(
        self,
        member: str,
        epoch: str,
        dynamic: bool,
        owned: str,
        names: tuple[str, ...] | None,
        timeout_ms: int,
        assignor: str | None,
        rack: str | None,
        fate: str,
    ) -> None:
        """A heartbeat with anything."""
        beat = Beat(
            member,
            self._epoch(member, epoch),
            None if dynamic else INSTANCES[member],
            rack,
            timeout_ms,
            names,
            assignor,
            self._owned(member, owned),
        )
        self._beat(beat, fate)

    @rule(member=member, epoch=strategies.sampled_from((LEAVE, AWAY)), fate=fate)
    def leave(self, member: str, epoch: int, fate: str) -> None:
        """For good, or for a while."""
        self._beat(Beat(member, epoch, INSTANCES[member]), fate)

    @rule(
        beat=strategies.builds(
            Beat,
            member=strategies.sampled_from(("", "a")),
            epoch=strategies.sampled_from((-3, -2, -1, 0, 1)),
            instance=strategies.sampled_from((None, "")),
            rack=strategies.sampled_from((None, "")),
            timeout_ms=strategies.sampled_from((-1, 10_000)),
            names=names,
            assignor=strategies.sampled_from((None, "sticky")),
            owned=strategies.sampled_from((None, frozenset(), frozenset({("t", 0)}))),
            version=strategies.just(1),
        )
    )
    def nonsense(self, beat: Beat) -> None:
        """Requests that say too little or too much."""
        self._beat(beat)

    # -- what happens to them --------------------------------------------------------------------

    @rule(ms=strategies.sampled_from((1, 500, 999, 1_000, 5_000, 10_000, 45_000)))
    def time_passes(self, ms: int) -> None:
        """Sessions end."""
        self.desk.advance(ms)
        self.model.advance(ms)

    @rule(
        name=strategies.sampled_from(("t", "u", "v")),
        count=strategies.sampled_from((None, 1, 4, 5)),
    )
    def topic(self, name: str, count: int | None) -> None:
        """A topic is created, grows, or is deleted; another of its name would have another id."""
        there = self.model.topics.get(name)
        if name in self.deleted:
            return
        if count is None:
            if there is None:
                return
            del self.model.topics[name]
            self.deleted.add(name)
        elif count <= (there or 0):
            return
        else:
            self.model.topics[name] = count
        self.desk.topic(name, count)

    @rule()
    def crash(self) -> None:
        """Another process reads the log."""
        self.desk.reload()
        self.model.crash(self.model.group)

    # -- the same --------------------------------------------------------------------------------

    @invariant()
    def same_group(self) -> None:
        """Everything that is known of the group and its members."""
        if not hasattr(self, "desk"):
            return
        found, model = self.desk.shard.state.consumer("g"), self.model.group
        assert (found is None) == (model is None)
        if found is None or model is None:
            return
        assert (found.epoch, found.assignment_epoch, found.assignment_ms) == (
            model["epoch"],
            model["assigned at"],
            model["when"],
        )
        ours: dict[str, Any] = {}
        for key, each in found.members.items():
            ours[key] = {
                "id": each.member_id,
                "instance": each.instance_id,
                "rack": each.rack_id,
                "epoch": each.epoch,
                "previous": each.previous_epoch,
                "state": each.state,
                "timeout": each.rebalance_timeout_ms,
                "names": each.names,
                "assignor": each.assignor,
                "assigned": since(each.assigned),
                "revoking": since(each.revoking),
            }
        assert ours == model["members"]
        targets = {key: places(found.target_of(key)) for key in found.members}
        assert targets == {key: model["target"].get(key, set()) for key in model["members"]}

    @invariant()
    def same_description(self) -> None:
        """ConsumerGroupDescribe."""
        if not hasattr(self, "desk"):
            return
        told, model = self.desk.shard.describe_consumer_group("g"), self.model.group
        assert isinstance(told, DescribedGroup)
        if model is None:
            assert told.error_code == ErrorCode.GROUP_ID_NOT_FOUND
            return
        assert (told.group_state, told.group_epoch) == (self.model.state(), model["epoch"])
        assert told.assignment_epoch == model["assigned at"]
        for each in told.members:
            row = model["members"][each.member_id]
            parts = {
                (t.topic_name, p) for t in each.assignment.topic_partitions for p in t.partitions
            }
            held = {*row["assigned"], *row["revoking"]}
            assert parts == {place for place in held if place[0] in self.model.topics}
            assert each.member_epoch == row["epoch"]


def test_random_groups_beside_a_model() -> None:
    run_state_machine_as_test(Beside, settings=settings(max_examples=100, stateful_step_count=40))


@pytest.mark.soak
def test_many_groups_beside_a_model() -> None:
    run_state_machine_as_test(Beside, settings=settings(max_examples=5_000, stateful_step_count=60))
