"""What the application has in its hands: order, what counts as processed, and lost partitions."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from barnabas.client.consumer.engine import Delivery, Engine
from barnabas.client.consumer.hand import Hand
from barnabas.client.consumer.leases import Lease
from barnabas.client.errors import ClientError
from barnabas.client.fetch_core import FetchedBatch
from barnabas.records.batch import read_header
from barnabas.records.builder import build_batch


class Desk:
    """A hand, and the core's side of it: what is ready, and what the core is told."""

    def __init__(self) -> None:
        self.engine = SimpleNamespace(
            config=SimpleNamespace(max_inflated_batch_bytes=1 << 20, prefetch_bytes=1 << 20),
            ready=[],
            taken_bytes=0,
            fill=lambda: None,
            moved=lambda: self.told.append("moved"),
        )
        self.engine.ready = _Ready()
        self.told: list[str] = []
        self.hand = Hand(cast(Engine, self.engine), lambda call: cast(None, call()))
        self.lease = Lease(("t", 0))
        self.lease.move(0)

    def give(self, base: int, *values: bytes, visible: bool = True, damaged: bool = False) -> None:
        """A batch arrives."""
        data = build_batch([(None, value, 1_000, ()) for value in values], base_offset=base)
        if damaged:
            data[-1] ^= 1
        batch = FetchedBatch(
            "t", 0, bytes(data), 0, read_header(data), max(base, self.lease.handed), visible
        )
        assert self.lease.token is not None
        self.engine.ready.append(Delivery(self.lease, self.lease.token, batch))

    def offsets(self, limit: int = 100) -> list[int]:
        """The offsets of the next events."""
        self.hand.finish()
        return [event.offset for event in self.hand.take(limit)]


class _Ready(list[Delivery]):
    """A deque's face."""

    def popleft(self) -> Delivery:
        """The oldest."""
        return self.pop(0)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_events_come_in_order_and_count_when_the_next_are_asked_for(desk: Desk) -> None:
    desk.give(0, b"a", b"b", b"c")
    desk.give(3, b"d")
    assert desk.offsets(2) == [0, 1]
    assert (desk.lease.handed, desk.lease.processed) == (2, 0)
    assert desk.offsets() == [2, 3]
    assert (desk.lease.handed, desk.lease.processed) == (4, 2)
    assert desk.offsets() == []
    assert desk.lease.processed == 4


def test_one_by_one(desk: Desk) -> None:
    desk.give(0, b"a", b"b", b"c")
    events = desk.hand.one_by_one()
    assert next(events).offset == 0
    assert (desk.lease.handed, desk.lease.processed) == (1, 0)
    assert next(events).offset == 1
    assert (desk.lease.handed, desk.lease.processed) == (2, 1)
    # A loop that was left goes on where it was.
    desk.hand.finish()
    assert [event.offset for event in desk.hand.one_by_one()] == [2]
    assert (desk.lease.handed, desk.lease.processed) == (3, 3)


def test_a_batch_that_begins_before_the_position_is_cut(desk: Desk) -> None:
    desk.lease.move(2)
    desk.give(0, b"a", b"b", b"c", b"d")
    assert desk.offsets() == [2, 3]


def test_markers_move_the_position_and_show_nothing(desk: Desk) -> None:
    desk.give(0, b"a")
    desk.give(1, b"marker", visible=False)
    assert desk.offsets() == [0]
    desk.hand.finish()
    assert desk.lease.processed == 2


def test_a_seek_forgets_what_was_there(desk: Desk) -> None:
    desk.give(0, b"a", b"b")
    desk.give(2, b"c")
    events = desk.hand.one_by_one()
    next(events)
    desk.lease.move(1)  # in the body of the loop
    assert list(events) == []
    assert (desk.lease.handed, desk.lease.processed) == (1, 1)
    desk.give(1, b"b", b"c")
    assert desk.offsets() == [1, 2]


@pytest.mark.parametrize("how", ["one_by_one", "take"])
def test_what_was_handed_out_before_a_pause_is_processed_all_the_same(desk: Desk, how: str) -> None:
    desk.give(0, b"a", b"b")
    if how == "take":
        assert [event.offset for event in desk.hand.take(1)] == [0]
        desk.lease.token = object()  # as `Engine.pause` does
    else:
        for event in desk.hand.one_by_one():
            assert event.offset == 0
            desk.lease.token = object()
    desk.hand.finish()
    assert not desk.lease.busy
    assert desk.lease.processed == 1


@pytest.mark.parametrize("how", ["one_by_one", "take"])
def test_a_revoked_partition_hands_out_no_more_and_the_core_hears_when_it_is_free(
    desk: Desk, how: str
) -> None:
    desk.give(0, b"a", b"b")
    desk.give(2, b"c")
    if how == "take":
        assert [event.offset for event in desk.hand.take(1)] == [0]
    else:
        events = desk.hand.one_by_one()
        assert next(events).offset == 0
    desk.lease.token = None
    assert desk.lease.handed != desk.lease.processed
    if how == "one_by_one":
        assert list(events) == []
    assert desk.offsets() == []
    assert not desk.lease.busy
    assert desk.lease.processed == 1
    assert "moved" in desk.told


def test_a_partition_that_goes_while_it_is_reached_for_stays_unhanded(desk: Desk) -> None:
    """The core takes the token between the look at it and the step."""
    desk.give(0, b"a")

    class Racing(Lease):
        """Loses its token when `handed` is set."""

        __slots__ = ()

        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if name == "handed" and value == 1:
                super().__setattr__("token", None)

    racing = Racing(("t", 0))
    racing.move(0)
    _, _, batch = desk.engine.ready.popleft()
    for take in (lambda: desk.hand.take(9), lambda: list(desk.hand.one_by_one())):
        racing.move(0)
        assert racing.token is not None
        desk.engine.ready.append(Delivery(racing, racing.token, batch))
        assert cast(Callable[[], list[object]], take)() == []
        assert (racing.handed, racing.processed) == (0, 0)


def test_damaged_data_is_told_each_time_until_it_is_passed(desk: Desk) -> None:
    desk.give(0, b"a")
    desk.give(1, b"b", damaged=True)
    assert desk.offsets() == [0]
    for _ in range(2):
        with pytest.raises(ClientError, match="damaged"):
            desk.offsets()
    desk.lease.move(2)
    desk.give(2, b"c")
    assert desk.offsets() == [2]


def test_columns(desk: Desk) -> None:
    desk.give(0, b"a", b"b", b"c")
    part = desk.hand.take_batch(2)
    assert part is not None
    assert (part.offsets, part.values, part.keys) == ([0, 1], [b"a", b"b"], [None, None])
    rest = desk.hand.take_batch()
    assert rest is not None
    assert [event.value for event in rest.events()] == [b"c"]
    assert desk.hand.take_batch() is None
