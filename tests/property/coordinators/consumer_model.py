"""A naive model of one consumer group (KIP-848): dictionaries and ifs, as Kafka's rules are told.

Nothing of the package is used but for the assignor, which is a function given from outside (it is
compared with Kafka's own classes elsewhere). Topics have names and no ids, regular expressions and
classic members are left out. Who owns a partition is looked up by asking every member. Changes take
effect at once; what the log refuses changes nothing but the session.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

OK: Final = 0
UNKNOWN_MEMBER_ID, INVALID_REQUEST, GROUP_ID_NOT_FOUND, GROUP_MAX_SIZE_REACHED = 25, 42, 69, 81
FENCED_INSTANCE_ID, FENCED_MEMBER_EPOCH, UNRELEASED_INSTANCE_ID = 82, 110, 111
UNSUPPORTED_ASSIGNOR: Final = 112

STABLE, UNREVOKED, UNRELEASED = 0, 1, 2
JOIN, LEAVE, AWAY = 0, -1, -2
ASSIGNORS: Final = ("uniform", "range")

Place: TypeAlias = tuple[str, int]
Row: TypeAlias = dict[str, Any]
Assign: TypeAlias = Callable[
    [str, dict[str, Row], dict[str, set[Place]], dict[str, int]], dict[str, set[Place]]
]
"""Of (assignor, members, former target, topics): the target of every member."""


class Beat(NamedTuple):
    """The fields of a heartbeat; None and -1: not said."""

    member: str
    epoch: int
    instance: str | None = None
    rack: str | None = None
    timeout_ms: int = -1
    names: tuple[str, ...] | None = None
    assignor: str | None = None
    owned: frozenset[Place] | None = None
    version: int = 1


class Told(NamedTuple):
    """An answer; `assignment` None: not said."""

    error: int
    epoch: int = 0
    assignment: frozenset[Place] | None = None


class Error(Exception):
    """An error code."""


class ConsumerGroupModel:
    """What a coordinator should know of one group, and answer."""

    def __init__(
        self, topics: dict[str, int], assign: Assign, now_ms: int, *, interval_ms: int, most: int
    ) -> None:
        self.topics, self.assign = topics, assign
        self.interval_ms, self.most = interval_ms, most
        self.session_ms = 45_000
        self.now = now_ms
        self.group: Row | None = None
        self.sessions: dict[str, int] = {}
        self.revocations: dict[str, int] = {}
        self.refuse: int | None = None

    # -- heartbeats ------------------------------------------------------------------------------

    def beat(self, beat: Beat) -> Told:
        """A ConsumerGroupHeartbeat."""
        before = copy.deepcopy((self.group, self.revocations))
        try:
            self._check(beat)
            told = self._leave(beat) if beat.epoch < 0 else self._stay(beat)
        except Error as error:
            self.group, self.revocations = before
            return Told(error.args[0])
        # Who leaves writes a record, even if it says what the last one did.
        if self.refuse is not None and (beat.epoch < 0 or self.group != before[0]):
            self.group, self.revocations = before
            return Told(self.refuse)
        if beat.epoch >= 0:
            self.sessions[beat.member] = self.now + self.session_ms
        return told

    def _check(self, beat: Beat) -> None:
        needs_id = beat.version >= 1 or beat.epoch > 0 or beat.epoch == LEAVE
        if needs_id and beat.member == "":
            raise Error(INVALID_REQUEST)
        if beat.instance == "" or beat.rack == "":
            raise Error(INVALID_REQUEST)
        if beat.epoch == JOIN:
            if beat.timeout_ms == -1 or beat.names is None:
                raise Error(INVALID_REQUEST)
            if beat.owned is None or beat.owned:
                raise Error(INVALID_REQUEST)
        if beat.epoch == AWAY and beat.instance is None:
            raise Error(INVALID_REQUEST)
        if beat.epoch < AWAY:
            raise Error(INVALID_REQUEST)
        if beat.assignor is not None and beat.assignor not in ASSIGNORS:
            raise Error(UNSUPPORTED_ASSIGNOR)

    def _stay(self, beat: Beat) -> Told:
        if self.group is None:
            if beat.epoch != JOIN:
                raise Error(GROUP_ID_NOT_FOUND)
            self.group = {"epoch": 1, "assigned at": 1, "when": 0, "hash": {}, "members": {}}
            self.group["target"] = {}
        group = self.group
        members = group["members"]
        order = [*members]
        if len(members) >= self.most and beat.member not in members:
            raise Error(GROUP_MAX_SIZE_REACHED)
        member = self._member(beat)
        assigned, names = dict(member["assigned"]), member["names"]
        self._update(member, beat)
        changed = member["names"] != names
        metadata = self._metadata()
        if changed or metadata != group["hash"]:
            group["epoch"] += 1
            group["hash"] = metadata
        self._assign(order)
        self._reconcile(member, beat.owned, changed)
        said_all = beat.timeout_ms != -1 and beat.names is not None and beat.owned is not None
        if beat.epoch == JOIN or said_all or member["assigned"] != assigned:
            return Told(OK, member["epoch"], frozenset(member["assigned"]))
        return Told(OK, member["epoch"])

    def _member(self, beat: Beat) -> Row:
        """The member that speaks, new ones and those that take over from another included."""
        assert self.group is not None
        members = self.group["members"]
        holder = self._static(beat.instance)
        if beat.epoch == JOIN:
            if holder is not None:
                if holder["epoch"] != AWAY:
                    raise Error(UNRELEASED_INSTANCE_ID)
                return self._replace(holder, beat.member)
            if beat.member not in members:
                members[beat.member] = {
                    "id": beat.member,
                    "instance": None,
                    "rack": None,
                    "epoch": 0,
                    "previous": -1,
                    "state": STABLE,
                    "timeout": -1,
                    "names": frozenset(),
                    "assignor": None,
                    "assigned": {},
                    "revoking": {},
                }
            found: Row = members[beat.member]
            return found
        found = self._who(beat.member, beat.instance)
        if beat.epoch > found["epoch"]:
            raise Error(FENCED_MEMBER_EPOCH)
        if beat.epoch < found["epoch"]:
            # The answer before this one was lost, and it owns nothing that it may not.
            lost = beat.epoch == found["previous"] and beat.owned is not None
            if not lost or not set(beat.owned or ()) <= found["assigned"].keys():
                raise Error(FENCED_MEMBER_EPOCH)
        return found

    def _who(self, member_id: str, instance: str | None) -> Row:
        assert self.group is not None
        if instance is None:
            found: Row | None = self.group["members"].get(member_id)
            if found is None:
                raise Error(UNKNOWN_MEMBER_ID)
            return found
        holder = self._static(instance)
        if holder is None:
            raise Error(UNKNOWN_MEMBER_ID)
        if holder["id"] != member_id:
            raise Error(FENCED_INSTANCE_ID)
        return holder

    def _static(self, instance: str | None) -> Row | None:
        assert self.group is not None
        for each in self.group["members"].values():
            if instance is not None and each["instance"] == instance:
                row: Row = each
                return row
        return None

    def _replace(self, old: Row, member_id: str) -> Row:
        """A static member is back under another id, and has what it had."""
        assert self.group is not None
        target = self.group["target"].get(old["id"], set())
        self._forget(old["id"])
        new = {**old, "id": member_id, "epoch": 0, "previous": 0}
        self.group["members"][member_id] = new
        self.group["target"][member_id] = target
        return new

    def _update(self, member: Row, beat: Beat) -> None:
        if beat.instance is not None:
            member["instance"] = beat.instance
        if beat.rack is not None:
            member["rack"] = beat.rack
        if beat.timeout_ms != -1:
            member["timeout"] = beat.timeout_ms
        if beat.assignor is not None:
            member["assignor"] = beat.assignor
        if beat.names is not None:
            member["names"] = frozenset(beat.names)

    # -- leaving ---------------------------------------------------------------------------------

    def _leave(self, beat: Beat) -> Told:
        if self.group is None:
            raise Error(GROUP_ID_NOT_FOUND)
        member = self._who(beat.member, beat.instance)
        if beat.epoch == AWAY:
            member["epoch"] = AWAY
            member["assigned"] = dict.fromkeys(member["assigned"], 0)
            member["revoking"] = {}
        else:
            self._fence(member["id"])
        return Told(OK, beat.epoch)

    def _fence(self, member_id: str) -> None:
        assert self.group is not None
        self._forget(member_id)
        self.group["epoch"] += 1
        self.group["hash"] = self._metadata()

    def _forget(self, member_id: str) -> None:
        assert self.group is not None
        del self.group["members"][member_id]
        self.group["target"].pop(member_id, None)
        self.revocations.pop(member_id, None)

    # -- the assignment --------------------------------------------------------------------------

    def _metadata(self) -> dict[str, int | None]:
        """What the group knows of the topics that its members read."""
        assert self.group is not None
        read = {name for each in self.group["members"].values() for name in each["names"]}
        return {name: self.topics.get(name) for name in read}

    def _assign(self, order: list[str]) -> None:
        """Compute the target anew if it is time; `order` is that of the members before the request."""
        group = self.group
        assert group is not None
        if group["assigned at"] >= group["epoch"]:
            return
        if group["when"] and self.interval_ms and self.now < group["when"] + self.interval_ms:
            return
        asked = [each["assignor"] for each in group["members"].values()]
        # Uniform is the default, and comes first in Kafka's map when as many want either.
        name = "range" if asked.count("range") > asked.count("uniform") else "uniform"
        members = group["members"]
        order = [each for each in order if each in members]
        order += [each for each in members if each not in order]
        members = {each: members[each] for each in order}
        group["target"] = self.assign(name, members, group["target"], self.topics)
        group["assigned at"], group["when"] = group["epoch"], self.now

    def _reconcile(self, member: Row, owned: frozenset[Place] | None, changed: bool) -> None:
        assert self.group is not None
        goal, state = self.group["assigned at"], member["state"]
        if state == STABLE and member["epoch"] == goal and not changed:
            return
        before = dict(member)
        if state == STABLE and member["epoch"] == goal:
            self._drop_unread(member, owned)
        elif state == UNREVOKED and self._has(owned, member["revoking"]):
            if changed:
                self._drop_unread(member, owned)
        else:
            self._step(member, owned, goal)
        if member != before:
            self.revocations.pop(member["id"], None)
            if member["state"] == UNREVOKED:
                self.revocations[member["id"]] = self.now + member["timeout"]

    def _has(self, owned: frozenset[Place] | None, some: dict[Place, int]) -> bool:
        """Whether a member may still use one of these: it says so, or says nothing."""
        return owned is None or any(place in some for place in owned)

    def _reads(self, member: Row, place: Place) -> bool:
        return place[0] in member["names"] and place[0] in self.topics

    def _drop_unread(self, member: Row, owned: frozenset[Place] | None) -> None:
        """Within an epoch: what the member does not read any more."""
        kept = {p: e for p, e in member["assigned"].items() if self._reads(member, p)}
        gone = {p: e for p, e in member["assigned"].items() if p not in kept}
        if not gone:
            return
        revoking = {**member["revoking"], **gone}
        member["previous"], member["assigned"] = member["epoch"], kept
        if self._has(owned, revoking):
            member["state"], member["revoking"] = UNREVOKED, revoking

    def _step(self, member: Row, owned: frozenset[Place] | None, goal: int) -> None:
        """One step nearer to the target."""
        assert self.group is not None
        target = self.group["target"].get(member["id"], set())
        target = {place for place in target if self._reads(member, place)}
        kept = {p: e for p, e in member["assigned"].items() if p in target}
        revoke = {p: e for p, e in member["assigned"].items() if p not in target}
        wanted = {place for place in target if place not in kept}
        free = {p for p in wanted if p in member["revoking"] or not self._is_held(p)}
        member["previous"] = member["epoch"]
        if revoke and self._has(owned, revoke):
            member |= {"state": UNREVOKED, "assigned": kept, "revoking": revoke}
            return
        member["state"] = UNRELEASED if free != wanted else STABLE
        member["assigned"] = {**kept, **dict.fromkeys(free, goal)}
        member |= {"epoch": goal, "revoking": {}}

    def _is_held(self, place: Place) -> bool:
        assert self.group is not None
        return any(
            place in each["assigned"] or place in each["revoking"]
            for each in self.group["members"].values()
        )

    # -- time, topics, crashes -------------------------------------------------------------------

    def advance(self, ms: int) -> None:
        """Sessions end, and what was not given up in time is taken away."""
        end = self.now + ms
        while True:
            due = [(at, each) for each, at in self.sessions.items()]
            due += [(at, each) for each, at in self.revocations.items()]
            if not due or min(due)[0] > end:
                break
            at, member_id = min(due)
            self.now = max(self.now, at)
            self._over(member_id)
        self.now = end

    def _over(self, member_id: str) -> None:
        there = None if self.group is None else self.group["members"].get(member_id)
        revoked = self.revocations.get(member_id, self.now + 1) <= self.now
        ended = self.sessions.get(member_id, self.now + 1) <= self.now
        if revoked:
            del self.revocations[member_id]
        if ended:
            del self.sessions[member_id]
        if there is None:
            return
        # A member that left for a while owes nothing but to be back before its session ends.
        if ended or there["epoch"] != AWAY:
            self._fence(member_id)

    def crash(self, before: Row | None) -> None:
        """Another process reads what the log had: all deadlines begin anew."""
        self.group = before
        self.sessions, self.revocations = {}, {}
        for each in [] if before is None else before["members"].values():
            self.sessions[each["id"]] = self.now + self.session_ms
            if each["state"] == UNREVOKED:
                self.revocations[each["id"]] = self.now + each["timeout"]

    # -- what others see -------------------------------------------------------------------------

    def state(self) -> str:
        """Of the group."""
        assert self.group is not None
        if not self.group["members"]:
            return "Empty"
        if self.group["epoch"] > self.group["assigned at"]:
            return "Assigning"
        for each in self.group["members"].values():
            if each["state"] != STABLE or each["epoch"] != self.group["assigned at"]:
                return "Reconciling"
        return "Stable"
