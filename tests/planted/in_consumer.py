"""Bugs in the client's membership of groups, and in what a consumer commits."""

from __future__ import annotations

from tests.planted.bug import Bug

LEASES = "tests/unit/client/consumer/test_leases.py::"
HAND = "tests/unit/client/consumer/test_hand.py::"
CLASSIC = "tests/unit/client/membership/test_classic.py::"
KIP_848 = "tests/unit/client/membership/test_consumer.py::"
ASSIGNORS = "tests/unit/client/membership/test_assignors.py::"

BUGS = (
    Bug(
        "an automatic commit takes back a manual one",
        "What is processed is less than what was told to commit: the group repeats it.",
        "client/consumer/leases.py",
        "if offset > self.committed:",
        "if offset != self.committed:",
        (LEASES + "test_what_is_committed_is_not_committed_again_and_never_goes_back",),
    ),
    Bug(
        "late commits pass",
        "An application that held an event when its partition went commits over the new owner.",
        "client/consumer/leases.py",
        "        if missing:\n            raise CommitRefused(missing)\n",
        "",
        (LEASES + "test_commits_for_what_is_gone_are_refused",),
    ),
    Bug(
        "an event of a partition that just went",
        "The application is given what somebody else is given, too.",
        "client/consumer/hand.py",
        "        if lease.token is token:\n            return True\n",
        "        return True\n",
        (HAND + "test_a_partition_that_goes_while_it_is_reached_for_stays_unhanded",),
    ),
    Bug(
        "partitions given away while they are worked on",
        "A KIP-848 member tells that it has given up what its application still works on.",
        "client/membership/consumer.py",
        "            self._out.append(Revoke(going))\n",
        "            self._out.append(Revoke(going))\n            self.owned -= going\n",
        (KIP_848 + "test_partitions_are_given_up_before_others_are_taken",),
    ),
    Bug(
        "a cooperative member joins before it has given up",
        "It tells the leader that partitions are free on which its application still works.",
        "client/membership/classic.py",
        "resting = self.phase in (Phase.IDLE, Phase.STABLE) and not self._going",
        "resting = self.phase in (Phase.IDLE, Phase.STABLE)",
        (CLASSIC + "test_it_gives_up_what_moves_and_joins_again",),
    ),
    Bug(
        "a cooperative leader gives what is still held",
        "Two members work on one partition until the first hears of it.",
        "client/membership/sticky.py",
        "if n not in held or n in members[member].owned]",
        "]",
        (ASSIGNORS + "test_cooperative_sticky_withholds_what_somebody_still_has",),
    ),
)
