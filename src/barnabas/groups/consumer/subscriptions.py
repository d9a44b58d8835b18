"""Subscriptions by regular expression: when their topics are looked up, and what follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Final

from barnabas.coordinator.effects import Effects, Now
from barnabas.groups.consumer.group import ConsumerGroup, Resolved
from barnabas.groups.consumer.member import ConsumerMember
from barnabas.groups.consumer.records import write_epoch, write_resolved

if TYPE_CHECKING:
    from barnabas.groups.context import RequestContext
    from barnabas.groups.state import GroupsState

#: A group's expressions are looked up no more often (Kafka's).
LOOKUP_INTERVAL_MS: Final = 10_000


class RegexChange(Enum):
    """What became of a member's regular expression."""

    NONE = 0
    UPDATED = 1
    """It is another one, and nobody knows yet what it matches."""
    RESOLVED = 2
    """It is another one, or none any more, and the topics are known."""


def update_regexes(
    state: GroupsState,
    group: ConsumerGroup,
    old: ConsumerMember,
    new: ConsumerMember,
    context: RequestContext,
    effects: Effects,
    now: Now,
) -> RegexChange:
    """Note the member's expression, and ask for the topics of all of the group's if it is time.

    Raises `KafkaError` INVALID_REGULAR_EXPRESSION.
    """
    change, refresh = RegexChange.NONE, False
    if (old.regex or "") != (new.regex or ""):
        change, refresh = _change(group, old, new, effects)
    if (not refresh and not group.regexes) or group.group_id in state.resolving:
        return change
    last = next(iter(group.resolved.values()), None)
    if last is not None and now.wall <= last.at_ms + LOOKUP_INTERVAL_MS:
        return change
    regexes = Counter(group.regexes)
    regexes.subtract([old.regex] if old.regex else ())
    regexes.update([new.regex] if new.regex else ())
    wanted = tuple(regex for regex, count in regexes.items() if count > 0)
    refresh = (
        refresh
        or len(wanted) != len(group.resolved)
        or last is None
        or last.version < state.last_new_topics
        or now.wall > last.at_ms + state.settings.consumer.regex_refresh_ms
    )
    if refresh and wanted:
        state.ask(group.group_id, wanted, context)
    return change


def _change(
    group: ConsumerGroup, old: ConsumerMember, new: ConsumerMember, effects: Effects
) -> tuple[RegexChange, bool]:
    """What the change means, and whether the topics have to be looked up."""
    if old.regex and group.regexes[old.regex] == 1:
        write_resolved(effects, group.group_id, old.regex, None)
    if not new.regex:
        return RegexChange.RESOLVED, False
    if not group.regexes[new.regex]:
        from barnabas.groups.consumer.regex import check_regex  # the library only where it is used

        check_regex(new.regex)
        return RegexChange.UPDATED, True
    if new.regex in group.resolved:
        return RegexChange.RESOLVED, False
    return RegexChange.UPDATED, False


def regexes_resolved(
    state: GroupsState, group_id: str, found: Mapping[str, Resolved], now: Now
) -> Effects:
    """The topics of a group's expressions are known; the group goes on if they are other ones."""
    effects = Effects()
    state.resolving.pop(group_id, None)
    group = state.consumer(group_id)
    if group is None:
        return effects
    names = Counter(group.by_regex)
    bump = False
    for regex, resolved in found.items():
        if not group.regexes[regex]:
            continue  # nobody asks for it any more
        old = group.resolved.get(regex)
        before = frozenset() if old is None else old.topics
        if before != resolved.topics:
            bump = True
            names.subtract(before)
            names.update(resolved.topics)
        write_resolved(effects, group_id, regex, resolved)
    topics = group.names.keys() | {name for name, count in names.items() if count > 0}
    metadata_hash = state.hashes.of_group(topics)
    if bump or metadata_hash != group.metadata_hash:
        write_epoch(effects, group_id, group.epoch + 1, metadata_hash)
        group.refreshed(now.wall, group.epoch + 1)
    return effects
