"""Checkers of histories: a sound one passes, each way to break it is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from barnabas.testing.checkers import (
    BatchSpan,
    Contents,
    Guarantee,
    History,
    Partition,
    Read,
    Register,
    check,
)

TOPIC = b"t" * 16
P = Partition(TOPIC, 0)


def sound() -> History:
    """Two producers, three reads, everything there."""
    history = History(synced={TOPIC})
    for offset, value in enumerate((b"a", b"b", b"c")):
        sent = history.send("one", P, (value,), Guarantee.POWER, once=True)
        history.ack(sent, offset)
        read(history, 0, offset + 1, [(at, b"abc"[at : at + 1]) for at in range(offset + 1)])
    unanswered = history.send("two", P, (b"maybe",), Guarantee.POWER, once=False)
    assert unanswered.ended is None
    history.contents[P] = Contents(
        0,
        3,
        [(0, b"a"), (1, b"b"), (2, b"c")],
        [BatchSpan(7, 0, at, at, 1) for at in range(3)],
    )
    return history


def read(history: History, offset: int, end: int, records: list[tuple[int, bytes]]) -> Read:
    """One answer."""
    begun = history.tick()
    made = Read("reader", P, begun, history.tick(), history.era, offset, end, end, 0, records)
    history.reads.append(made)
    return made


def lose(history: History) -> None:
    history.contents[P].records[2:] = [(2, b"maybe")]


def shorten(history: History) -> None:
    del history.contents[P].records[1]


def start_late(history: History) -> None:
    history.contents[P].start = 1
    del history.contents[P].records[0]


def invent(history: History) -> None:
    history.contents[P].records.append((3, b"never sent"))
    history.contents[P].end = 4


def keep_refused(history: History) -> None:
    history.refuse(history.sends[3])
    history.contents[P].records.append((3, b"maybe"))
    history.contents[P].end = 4


def repeat(history: History) -> None:
    history.contents[P].records.append((3, b"a"))
    history.contents[P].end = 4


def repeat_sequence(history: History) -> None:
    history.contents[P].batches.append(BatchSpan(7, 0, 2, 3, 1))


def fall_back(history: History) -> None:
    history.contents[P].batches[0] = BatchSpan(7, 1, 0, 0, 1)


def swap(history: History) -> None:
    history.sends[0].base_offset, history.sends[1].base_offset = 1, 0


def change_read(history: History) -> None:
    history.reads[2].records[0] = (0, b"b")


def skip(history: History) -> None:
    del history.reads[2].records[1]


def read_beyond(history: History) -> None:
    history.reads[2].high_watermark = 2


def go_back(history: History) -> None:
    read(history, 0, 1, [])


def start_again(history: History) -> None:
    read(history, 0, 3, []).log_start_offset = 2
    read(history, 2, 3, [])


def send_back(history: History) -> None:
    read(history, 1, -1, []).out_of_range = True


def read_early(history: History) -> None:
    history.sends[2].begun = history.now + 1


def cross(history: History) -> None:
    history.reads[0].last_stable_offset = 9


BREACHES: list[tuple[Callable[[History], None], str]] = [
    (lose, "lost"),
    (shorten, "P4"),
    (start_late, "S2"),
    (invent, "phantom"),
    (keep_refused, "refused"),
    (repeat, "T1"),
    (repeat_sequence, "T1"),
    (fall_back, "T1"),
    (swap, "order"),
    (change_read, "P6"),
    (skip, "P4"),
    (read_beyond, "P6"),
    (go_back, "P7"),
    (start_again, "P7"),
    (send_back, "P7"),
    (read_early, "phantom"),
    (cross, "P9"),
]


def test_a_sound_history_passes() -> None:
    assert check(sound()) == []


@pytest.mark.parametrize(("breach", "rule"), BREACHES)
def test_a_breach_is_named(breach: Callable[[History], None], rule: str) -> None:
    history = sound()
    breach(history)
    assert rule in {violation.rule for violation in check(history)}


def test_a_power_cut_excuses_only_what_was_not_promised_to_survive_it() -> None:
    history = sound()
    history.synced.clear()
    for sent in history.sends:
        sent.guarantee = Guarantee.PROCESS
    history.contents[P] = Contents(0, 0, [], [])
    assert check(history)
    history.era += 1
    assert check(history) == []
    history.sends[0].guarantee = Guarantee.POWER
    assert {violation.rule for violation in check(history)} == {"lost"}


def test_a_register_takes_either_value_after_a_change_without_answer() -> None:
    register = Register("r", 1)
    register.attempt(2)
    assert register.possible == {1, 2}
    assert register.observe(2) == []
    assert register.observe(1) != []
    before = register.possible
    register.attempt(3)
    register.refused(before)
    assert register.observe(3) != []
    register.acknowledged(4)
    assert register.observe(4) == []
