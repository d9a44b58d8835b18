"""Classic groups as Kafka describes them, told as plainly as possible (facts: coordinators, 2 and 5).

One flat list of members, one clock, deadlines that are looked up instead of timers, and the answers
to requests as tuples. Nothing here is shared with `barnabas.groups`.
"""

from __future__ import annotations

from copy import deepcopy

from tests.property.coordinators.classic_rebalances import Rebalances
from tests.property.coordinators.classic_state import (
    COMPLETING,
    EMPTY,
    FENCED,
    FULL,
    GROUP_NOT_FOUND,
    ID_REQUIRED,
    ILLEGAL_GENERATION,
    INCONSISTENT,
    NEW_MEMBER_JOIN_MS,
    NON_EMPTY,
    OK,
    PREPARING,
    REBALANCING,
    STABLE,
    UNKNOWN_MEMBER,
    Group,
    Member,
)


class ClassicModel(Rebalances):
    """Decides requests."""

    # -- requests ------------------------------------------------------------------------------------

    def join(
        self,
        ticket: int,
        name: str,
        member_id: str,
        new_id: str,
        instance: str | None,
        protocols: tuple[tuple[str, bytes], ...],
        version: int,
        session_ms: int,
        rebalance_ms: int,
    ) -> None:
        """JoinGroup of a consumer; `new_id` is the id that it would get."""
        group = self.groups.get(name)
        fresh = group is None
        if group is None:
            if member_id:
                self._refuse_join(ticket, UNKNOWN_MEMBER, member_id)
                return
            if self.refusing is not None:
                self._refuse_join(ticket, self.refusing, "")
                self.refusing = None
                return
            group = self.groups[name] = Group()
        known = group.member(member_id)
        if not self._room(group, known):
            if known is not None:
                group.drop(known)
            group.pending.pop(member_id, None)
            self._refuse_join(ticket, FULL, "")
            return
        names = [each for each, _ in protocols]
        if not (set(names) & group.common() if group.members else names):
            self._refuse_join(ticket, INCONSISTENT, member_id)
            return
        asks = Member(new_id, instance, protocols, session_ms, rebalance_ms, 0)
        asks.session_ends = self.now + NEW_MEMBER_JOIN_MS
        asks.joining = ticket
        old = next((m for m in group.members if instance and m.instance == instance), None)
        if not member_id and old is not None:
            self._replace(name, group, old, asks, version)
        elif not member_id and instance is None and version >= 4:
            group.pending[new_id] = self.now + session_ms
            self._refuse_join(ticket, ID_REQUIRED, new_id)
        elif not member_id or (member_id in group.pending and instance is None):
            asks.id = member_id or new_id
            group.pending.pop(asks.id, None)
            self._add(name, group, asks)
        else:
            self._rejoin(name, group, member_id, asks)
        if fresh:
            self._append_new(name)

    def _append_new(self, name: str) -> None:
        """A group is in the log from its first request on, without members."""
        durable = dict(self.stored[-1][0])
        durable[name] = Group()
        self.stored.append((durable, dict(self.offsets)))

    def _room(self, group: Group, known: Member | None) -> bool:
        joined = [each for each in group.members if each.joining is not None]
        if group.state == EMPTY:
            return True
        if group.state == PREPARING:
            return (known is not None and known in joined) or len(joined) < self.max_size
        return known is not None or len(group.members) < self.max_size

    def _add(self, name: str, group: Group, member: Member) -> None:
        if not group.members:
            group.kind = "consumer"
            group.leader = member.id
        group.members.append(member)
        group.newcomers = group.newcomers or group.initial
        self._changed(name, group)

    def _rejoin(self, name: str, group: Group, member_id: str, asks: Member) -> None:
        assert asks.joining is not None
        error = self._check(group, member_id, asks.instance)
        if not error and group.state == EMPTY:
            error = UNKNOWN_MEMBER
        if error:
            self._refuse_join(asks.joining, error, member_id)
            return
        member = group.member(member_id)
        assert member is not None
        same = member.protocols == asks.protocols
        told = group.state == COMPLETING or (group.state == STABLE and group.leader != member_id)
        if same and told:
            self._say(asks.joining, self._joined(group, member))
            return
        self._update(member, asks)
        self._changed(name, group)

    def _update(self, member: Member, asks: Member) -> None:
        if member.joining is not None:
            self._refuse_join(member.joining, REBALANCING, "")
        member.protocols, member.joining = asks.protocols, asks.joining
        member.session_ms, member.rebalance_ms = asks.session_ms, asks.rebalance_ms

    def _replace(self, name: str, group: Group, old: Member, asks: Member, version: int) -> None:
        """A static member is back under a new id."""
        assert asks.joining is not None
        if old.joining is not None:
            self._refuse_join(old.joining, FENCED, old.id)
        if old.syncing is not None:
            self._say(old.syncing, ("sync", FENCED, b""))
        before, leader_before = deepcopy(old), group.leader
        old.id, old.joining, old.syncing = asks.id, None, None
        old.new = False
        group.members.remove(old)
        group.members.append(old)
        if group.leader == before.id:
            group.leader = old.id
        self._update(old, asks)
        old.session_ends = self.now + old.session_ms
        if group.state == STABLE and group.protocol == group.elected_protocol():
            old.joining = None
            if self.refusing is not None:  # all as it was
                old.__dict__.update(before.__dict__)
                old.joining = old.syncing = None
                old.session_ends = self.now + old.session_ms
                group.leader = leader_before
                self._refuse_join(asks.joining, self.refusing, "")
                self.refusing = None
                return
            self._append(name)
            if version >= 9:
                skip = group.leader == old.id
                self._say(asks.joining, self._joined(group, old, skip=skip))
            else:
                self._say(asks.joining, self._joined(group, old, leader=leader_before))
        elif group.state in (STABLE, COMPLETING):
            self._prepare(name, group)
        elif not group.initial and group.all_joined():
            self._complete(name, group)

    def sync(
        self,
        ticket: int,
        name: str,
        member_id: str,
        generation: int,
        instance: str | None,
        protocol: str | None,
        assignments: dict[str, bytes],
    ) -> None:
        """SyncGroup."""
        group = self.groups.get(name)
        error = self._check(group, member_id, instance) if group else UNKNOWN_MEMBER
        if group is not None and not error:
            if generation != group.generation:
                error = ILLEGAL_GENERATION
            elif protocol not in (None, group.protocol):
                error = INCONSISTENT
            elif group.state == PREPARING:
                error = REBALANCING
        if group is None or error:
            self._say(ticket, ("sync", error, b""))
            return
        member = group.member(member_id)
        assert member is not None
        group.unsynced.discard(member_id)
        if group.state == STABLE:
            self._say(ticket, ("sync", OK, member.assignment))
        else:
            if member.syncing is not None:
                self._say(member.syncing, ("sync", REBALANCING, b""))
            member.syncing = ticket
            if group.leader == member_id:
                self._assign(name, group, assignments)
        if not group.unsynced:
            group.sync_ends = None

    def _assign(self, name: str, group: Group, assignments: dict[str, bytes]) -> None:
        waiting = [each for each in group.members if each.syncing is not None]
        if self.refusing is not None:
            for member in waiting:
                assert member.syncing is not None
                self._say(member.syncing, ("sync", self.refusing, b""))
                member.syncing = None
                member.session_ends = self.now + member.session_ms
            for member in group.members:
                member.assignment = b""
            self.refusing = None
            self._prepare(name, group)
            return
        group.state = STABLE
        for member in group.members:
            member.assignment = assignments.get(member.id, b"")
        for member in waiting:
            assert member.syncing is not None
            self._say(member.syncing, ("sync", OK, member.assignment))
            member.syncing = None
            member.session_ends = self.now + member.session_ms
        self._append(name)

    def heartbeat(self, name: str, member_id: str, generation: int, instance: str | None) -> int:
        """Heartbeat: the error."""
        group = self.groups.get(name)
        error = self._check(group, member_id, instance) if group else UNKNOWN_MEMBER
        if group is None or error:
            return error
        if generation != group.generation:
            return ILLEGAL_GENERATION
        member = group.member(member_id)
        assert member is not None
        member.session_ends = self.now + member.session_ms
        return REBALANCING if group.state == PREPARING else OK

    def leave(self, name: str, member_id: str, instance: str | None) -> int:
        """LeaveGroup of one member: the error."""
        group = self.groups.get(name)
        if group is None:
            return UNKNOWN_MEMBER
        if not member_id:
            owner = next((m.id for m in group.members if instance and m.instance == instance), None)
            if owner is None:
                return UNKNOWN_MEMBER
            member_id = owner
        elif member_id in group.pending:
            del group.pending[member_id]
            self._left(name, group)
            return OK
        error = self._check(group, member_id, instance)
        if not error:
            member = group.member(member_id)
            assert member is not None
            self._send_away(group, member)
            self._left(name, group)
        return error

    def _left(self, name: str, group: Group) -> None:
        if group.state in (STABLE, COMPLETING):
            self._prepare(name, group)
        elif group.state == PREPARING and not group.initial and group.all_joined():
            self._complete(name, group)

    # -- offsets -------------------------------------------------------------------------------------

    def commit(
        self,
        name: str,
        member_id: str,
        generation: int,
        instance: str | None,
        partition: int,
        offset: int,
    ) -> int:
        """OffsetCommit, version 9, of one partition: the error."""
        error = self._may_commit(name, member_id, generation, instance)
        if error:
            return error
        if self.refusing is not None:
            error, self.refusing = self.refusing, None
            return error
        self.offsets[(name, partition)] = offset
        if name in self.groups:
            self._append()
        else:
            self.groups[name] = Group()
            self._append(name)
        return OK

    def _may_commit(self, name: str, member_id: str, generation: int, instance: str | None) -> int:
        group = self.groups.get(name)
        if group is None:
            return OK if generation < 0 else GROUP_NOT_FOUND
        if generation < 0 and group.state == EMPTY:
            return OK
        if generation < 0 and not member_id and instance is None:
            return UNKNOWN_MEMBER
        error = self._check(group, member_id, instance)
        if error:
            return error
        if generation != group.generation:
            return ILLEGAL_GENERATION
        if group.state == COMPLETING:
            return REBALANCING
        member = group.member(member_id)
        assert member is not None
        if self.refusing is None:
            member.session_ends = self.now + member.session_ms
        return OK

    def delete(self, name: str) -> int:
        """DeleteGroups."""
        group = self.groups.get(name)
        if group is None:
            return GROUP_NOT_FOUND
        if group.state != EMPTY:
            return NON_EMPTY
        if self.refusing is not None:
            error, self.refusing = self.refusing, None
            return error
        del self.groups[name]
        self.offsets = {place: at for place, at in self.offsets.items() if place[0] != name}
        self._append(name, gone=True)
        return OK
