"""The leader epoch cache."""

from __future__ import annotations

import pytest

from barnabas.partition.epochs import LeaderEpochs


def cache(*entries: tuple[int, int]) -> LeaderEpochs:
    """A cache with these (epoch, start offset) assigned in order."""
    epochs = LeaderEpochs()
    for epoch, start in entries:
        epochs.assign(epoch, start)
    return epochs


def test_an_empty_cache() -> None:
    epochs = LeaderEpochs()
    assert (epochs.latest, epochs.latest_start, len(epochs)) == (-1, -1, 0)
    assert epochs.end_offset_for(0, 100) == (-1, -1)
    assert epochs.epoch_for_offset(5) == -1
    assert not epochs.truncate_from_start(10)
    assert not epochs.truncate_from_end(0)
    assert not epochs.clear()
    assert epochs.encode() == "0\n0\n"


def test_an_epoch_is_noted_once() -> None:
    epochs = LeaderEpochs()
    assert epochs.assign(2, 10)
    assert not epochs.assign(2, 10)
    assert not epochs.assign(2, 11)
    assert epochs.assign(4, 20)
    assert epochs.entries() == [(2, 10), (4, 20)]
    assert (epochs.latest, epochs.latest_start) == (4, 20)


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        ((5, 20), [(2, 10), (5, 20)]),  # no data was written in epoch 4
        ((5, 15), [(2, 10), (5, 15)]),
        ((5, 10), [(5, 10)]),
        ((4, 15), [(2, 10), (4, 15)]),
        ((3, 25), [(2, 10), (3, 25)]),
        ((1, 30), [(1, 30)]),
        ((9, 0), [(9, 0)]),
    ],
)
def test_a_new_entry_replaces_what_contradicts_it(
    entry: tuple[int, int], kept: list[tuple[int, int]]
) -> None:
    epochs = cache((2, 10), (4, 20))
    assert epochs.assign(*entry)
    assert epochs.entries() == kept


@pytest.mark.parametrize("entry", [(-1, 5), (5, -1)])
def test_negative_entries_are_a_bug(entry: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="leader epoch"):
        LeaderEpochs().assign(*entry)


@pytest.mark.parametrize(
    ("epoch", "answer"),
    [
        (-1, (-1, -1)),
        (0, (0, 10)),
        (1, (1, 10)),
        (2, (2, 20)),
        (3, (2, 20)),
        (4, (4, 35)),
        (6, (4, 35)),
        (7, (7, 99)),
        (8, (-1, -1)),
    ],
)
def test_where_epochs_end(epoch: int, answer: tuple[int, int]) -> None:
    assert cache((2, 10), (4, 20), (7, 35)).end_offset_for(epoch, 99) == answer


def test_the_epoch_of_an_offset() -> None:
    epochs = cache((2, 10), (4, 20))
    answers = {offset: epochs.epoch_for_offset(offset) for offset in (0, 9, 10, 19, 20, 500)}
    assert answers == {0: -1, 9: -1, 10: 2, 19: 2, 20: 4, 500: 4}


def test_the_epoch_before() -> None:
    epochs = cache((2, 10), (4, 20))
    assert [epochs.previous(epoch) for epoch in (1, 2, 3, 4, 5)] == [-1, -1, 2, 2, 4]


@pytest.mark.parametrize(
    ("start", "changed", "kept"),
    [
        (5, False, [(2, 10), (4, 20), (7, 35)]),
        (10, False, [(2, 10), (4, 20), (7, 35)]),
        (11, True, [(2, 11), (4, 20), (7, 35)]),
        (19, True, [(2, 19), (4, 20), (7, 35)]),
        (20, True, [(4, 20), (7, 35)]),
        (34, True, [(4, 34), (7, 35)]),
        (99, True, [(7, 99)]),
    ],
)
def test_the_log_start_moves(start: int, changed: bool, kept: list[tuple[int, int]]) -> None:
    epochs = cache((2, 10), (4, 20), (7, 35))
    assert epochs.truncate_from_start(start) is changed
    assert epochs.entries() == kept


@pytest.mark.parametrize(
    ("end", "changed", "kept"),
    [
        (-1, False, [(2, 10), (4, 20), (7, 35)]),
        (36, False, [(2, 10), (4, 20), (7, 35)]),
        (35, True, [(2, 10), (4, 20)]),
        (20, True, [(2, 10)]),
        (11, True, [(2, 10)]),
        (10, True, []),
        (0, True, []),
    ],
)
def test_the_log_end_moves_back(end: int, changed: bool, kept: list[tuple[int, int]]) -> None:
    epochs = cache((2, 10), (4, 20), (7, 35))
    assert epochs.truncate_from_end(end) is changed
    assert epochs.entries() == kept


def test_forgetting() -> None:
    epochs = cache((2, 10))
    assert epochs.clear()
    assert epochs.entries() == []


def test_the_checkpoint_file() -> None:
    epochs = cache((2, 10), (4, 2**40))
    text = "0\n2\n2 10\n4 1099511627776\n"
    assert epochs.encode() == text
    assert LeaderEpochs.decode(text).entries() == epochs.entries()
    assert LeaderEpochs.decode(text.rstrip()).entries() == epochs.entries()
    assert LeaderEpochs.decode("0\n0\n").entries() == []


BROKEN = (
    *("", "0", "0\n", "1\n0\n", "x\n0\n", "0\n1\n", "0\n-1\n", "0\n0\n1 2\n", "0\n2\n1 2\n"),
    *("0\n1\n1\n", "0\n1\n1 2 3\n", "0\n1\na b\n", "0\n1\n-1 2\n"),
)


@pytest.mark.parametrize("text", BROKEN)
def test_broken_checkpoints(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        LeaderEpochs.decode(text)
