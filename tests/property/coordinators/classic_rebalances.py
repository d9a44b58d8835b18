"""The log, the clock and the rebalances of the model of classic groups."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

from tests.property.coordinators.classic_state import (
    COMPLETING,
    EMPTY,
    FENCED,
    OK,
    PREPARING,
    REBALANCING,
    STABLE,
    UNKNOWN_MEMBER,
    Answer,
    Group,
    Member,
)


class Rebalances:
    """All groups and offsets of a shard, what the log would give back, and the answers just given."""

    def __init__(self, delay_ms: int, max_size: int) -> None:
        self.delay_ms = delay_ms
        self.max_size = max_size
        self.now = 0
        self.groups: dict[str, Group] = {}
        self.offsets: dict[tuple[str, int], int] = {}
        self.said: list[tuple[int, Answer]] = []
        self.written = 0
        """Batches that the log has taken."""
        self.stored: list[tuple[dict[str, Group], dict[tuple[str, int], int]]] = [({}, {})]
        """What the log gives back, by the number of batches."""
        self.refusing: int | None = None
        """The log refuses the next batch with this error."""

    # -- the log -------------------------------------------------------------------------------------

    def _append(self, *groups: str, gone: bool = False) -> None:
        """A batch: the offsets as they are now, and these groups as they are now, or their end."""
        durable = dict(self.stored[-1][0])
        for name in groups:
            if gone:
                durable.pop(name, None)
            else:
                durable[name] = self.groups[name].durable()
        self.stored.append((durable, dict(self.offsets)))

    def crash(self, batches: int) -> None:
        """Only so many batches are left; the others were not promised to anybody."""
        del self.stored[batches + 1 :]
        groups, offsets = deepcopy(self.stored[-1])
        self.groups, self.offsets = groups, offsets
        for group in self.groups.values():
            for member in group.members:
                member.session_ends = self.now + member.session_ms
        for name, group in self.groups.items():
            if len(group.members) > self.max_size:
                self._prepare(name, group)

    # -- time ----------------------------------------------------------------------------------------

    def advance(self, ms: int) -> None:
        """Time passes: what is due first comes first."""
        end = self.now + ms
        while due := [at for at in self._deadlines() if at <= end]:
            self.now = max(self.now, min(due))
            self._due()
        self.now = end

    def _deadlines(self) -> Iterator[int]:
        for group in self.groups.values():
            yield from group.pending.values()
            yield from (each.session_ends for each in group.members if not self._idle(each))
            yield from (at for at in (group.join_ends, group.sync_ends) if at is not None)

    def _idle(self, member: Member) -> bool:
        """It waits for an answer, which is as good as a heartbeat once it has been a member."""
        return not member.new and (member.joining is not None or member.syncing is not None)

    def _due(self) -> None:
        for name, group in list(self.groups.items()):
            for pending in [each for each, at in group.pending.items() if at <= self.now]:
                del group.pending[pending]
                if group.state == PREPARING and group.all_joined():
                    self._complete(name, group)
            for member in list(group.members):
                if member.session_ends <= self.now and not self._idle(member):
                    self._session_over(name, group, member)
            if group.join_ends is not None and group.join_ends <= self.now:
                group.join_ends = None
                self._join_phase_over(name, group)
            if group.sync_ends is not None and group.sync_ends <= self.now:
                group.sync_ends = None
                if group.unsynced:
                    for member in [m for m in group.members if m.id in group.unsynced]:
                        group.drop(member)
                    self._prepare(name, group)

    def _session_over(self, name: str, group: Group, member: Member) -> None:
        self._send_away(group, member)
        if group.state in (STABLE, COMPLETING):
            self._prepare(name, group)
        elif group.state == PREPARING and group.all_joined():
            self._complete(name, group)

    def _join_phase_over(self, name: str, group: Group) -> None:
        if group.initial and group.newcomers and group.patience_ms:
            group.newcomers = False
            delay = min(self.delay_ms, group.patience_ms)
            group.patience_ms -= delay
            group.join_ends = self.now + delay
        else:
            self._complete(name, group)

    def _send_away(self, group: Group, member: Member) -> None:
        if member.joining is not None:
            self._refuse_join(member.joining, UNKNOWN_MEMBER, "")
        if member.syncing is not None:
            self._say(member.syncing, ("sync", UNKNOWN_MEMBER, b""))
        group.drop(member)

    # -- rebalance -----------------------------------------------------------------------------------

    def _prepare(self, name: str, group: Group) -> None:
        if group.state == COMPLETING:
            for member in group.members:
                member.assignment = b""
                if member.syncing is not None:
                    self._say(member.syncing, ("sync", REBALANCING, b""))
                    member.syncing = None
                    member.session_ends = self.now + member.session_ms
        group.sync_ends = None
        group.unsynced.clear()
        group.initial = group.state == EMPTY
        group.state = PREPARING
        if group.initial:
            group.newcomers = False
            group.patience_ms = max(0, group.rebalance_ms() - self.delay_ms)
            group.join_ends = self.now + self.delay_ms
        elif group.all_joined():
            self._complete(name, group)
        else:
            group.join_ends = self.now + group.rebalance_ms()

    def _changed(self, name: str, group: Group) -> None:
        """Members came or went."""
        if group.state != PREPARING:
            self._prepare(name, group)
        elif not group.initial and group.all_joined():
            self._complete(name, group)

    def _complete(self, name: str, group: Group) -> None:
        for member in [m for m in group.members if m.joining is None and m.instance is None]:
            group.drop(member)
        group.join_ends = None
        joined = [each.id for each in group.members if each.joining is not None]
        if group.members and not joined:
            group.join_ends = self.now + group.rebalance_ms()
            return
        group.generation += 1
        group.initial = False
        group.unsynced = {each.id for each in group.members}
        if not group.members:
            group.state, group.protocol = EMPTY, None
            self._append(name)
            return
        if group.leader not in joined:
            group.leader = joined[0]
        group.state, group.protocol = COMPLETING, group.elected_protocol()
        for member in group.members:
            if member.joining is not None:
                self._say(member.joining, self._joined(group, member))
                member.joining = None
            member.new = False
            member.session_ends = self.now + member.session_ms
        group.sync_ends = self.now + group.rebalance_ms()

    # -- answers -------------------------------------------------------------------------------------

    def _say(self, ticket: int, answer: Answer) -> None:
        self.said.append((ticket, answer))

    def _refuse_join(self, ticket: int, error: int, member_id: str) -> None:
        self._say(ticket, ("join", error, -1, None, "", member_id, (), False))

    def _joined(
        self, group: Group, member: Member, *, leader: str | None = None, skip: bool = False
    ) -> Answer:
        told = group.leader if leader is None else leader
        leads = leader is None and told == member.id
        ids = tuple(each.id for each in group.members) if leads else ()
        return ("join", OK, group.generation, group.protocol, told, member.id, ids, skip)

    def _check(self, group: Group, member_id: str, instance: str | None) -> int:
        if instance is not None:
            owner = next((each.id for each in group.members if each.instance == instance), None)
            if owner is None:
                return UNKNOWN_MEMBER
            if owner != member_id:
                return FENCED
        return OK if group.member(member_id) else UNKNOWN_MEMBER
