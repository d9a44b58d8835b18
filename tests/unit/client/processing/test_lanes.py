"""The rules of `lanes`, one test each."""

from __future__ import annotations

from barnabas.client.processing.gaps import BITS_SPAN, RUNS_FIT, Gaps, decode
from barnabas.client.processing.lanes import COMMIT_MS
from tests.unit.client.processing.desk import Desk, event

# -- order --


def test_records_of_a_key_come_one_after_the_other() -> None:
    desk = Desk()
    desk.begin("abab")
    assert desk.start() == [0, 1]
    desk.finish(1)
    assert desk.start() == [3]
    desk.finish(0)
    assert desk.start() == [2]


def test_records_without_a_key_have_no_order() -> None:
    desk = Desk()
    desk.begin("...")
    assert desk.start() == [0, 1, 2]


def test_records_of_a_partition_come_one_after_the_other() -> None:
    desk = Desk("partition")
    desk.begin("abc")
    assert desk.start() == [0]
    desk.finish(0)
    assert desk.start() == [1]


def test_without_an_order_all_begin() -> None:
    desk = Desk("none")
    desk.begin("aaa")
    assert desk.start() == [0, 1, 2]


def test_the_lowest_offset_begins_first() -> None:
    desk = Desk(concurrency=1)
    desk.begin("aabc")
    assert desk.start() == [0]
    desk.finish(0)
    assert desk.start() == [1]


def test_partitions_take_turns() -> None:
    desk = Desk("none", concurrency=4)
    desk.begin("....")
    desk.begin("....", start=100, partition=1)
    assert desk.start() == [0, 100, 1, 101]


def test_a_key_is_one_of_its_partition() -> None:
    desk = Desk()
    desk.begin("a")
    desk.begin("a", start=100, partition=1)
    assert desk.start() == [0, 100]


# -- bounds --


def test_no_more_than_the_concurrency_is_at_work() -> None:
    desk = Desk(concurrency=2)
    desk.begin("abc")
    assert desk.start() == [0, 1]
    assert desk.start() == []
    desk.finish(0)
    assert desk.start() == [2]


def test_no_more_is_begun_and_not_committed_than_may_be_in_flight() -> None:
    desk = Desk(concurrency=2, in_flight=3)
    desk.begin("abcde")
    desk.start()
    desk.finish(0, 1)
    assert desk.start() == [2]
    assert desk.lanes.starved
    mark = desk.lanes.mark()
    desk.finish(2)
    desk.lanes.settle(mark)
    assert desk.start() == [3, 4]


def test_a_commit_settles_only_what_it_covers() -> None:
    desk = Desk(in_flight=2)
    desk.begin("abcd")
    desk.start()
    desk.finish(0)
    mark = desk.lanes.mark()
    desk.finish(1)
    desk.lanes.settle(mark)
    assert desk.lanes.done == 1
    assert desk.start() == [2]


def test_no_more_is_received_than_may_be_held() -> None:
    desk = Desk(held=4)
    part = desk.begin("abc")
    assert desk.lanes.room() == 1
    desk.receive(part, "d")
    assert desk.lanes.room() == 0
    desk.start()
    desk.finish(1)
    assert desk.lanes.room() == 1


def test_no_more_bytes_are_received_than_may_be_held() -> None:
    desk = Desk(held_bytes=100)
    part = desk.lanes.begin(("t", 0), 0)
    desk.lanes.received(part, [event(0, "a", size=100)], 1)
    assert desk.lanes.room() == 0
    desk.start()
    desk.finish(0)
    assert desk.lanes.room() > 0


def test_where_there_are_several_a_partition_leaves_as_much_as_it_holds() -> None:
    desk = Desk("partition", held=90)
    desk.lanes.partitions = 2
    first = desk.lanes.begin(("t", 0), 0)
    while room := desk.lanes.room(first):
        desk.receive(first, "." * room)
    assert 43 <= len(first.open) <= 45
    other = desk.lanes.begin(("t", 1), 0)
    while room := desk.lanes.room(other):
        desk.receive(other, "." * room)
    assert 21 <= len(other.open) <= 23
    assert desk.lanes.room(None) > 0  # for a third


def test_where_there_are_several_a_partition_leaves_as_many_bytes_as_it_holds() -> None:
    desk = Desk(held_bytes=100)
    desk.lanes.partitions = 2
    part = desk.lanes.begin(("t", 0), 0)
    desk.lanes.received(part, [event(0, "a", size=49)], 1)
    assert desk.lanes.room(part) == 0
    assert desk.lanes.room(None) > 0
    assert desk.lanes.holds() == [(part, True)]


def test_a_partition_without_room_is_held_up_and_let_go_when_half_of_it_is_gone() -> None:
    desk = Desk("none", held=20)
    desk.lanes.partitions = 2
    part = desk.begin("........")
    assert desk.lanes.holds() == []
    desk.receive(part, "..")
    assert desk.lanes.holds() == [(part, True)]
    assert desk.lanes.holds() == []
    for work in desk.lanes.start(0)[:10]:
        desk.lanes.finish(work)
    assert desk.lanes.holds() == [(part, False)]


def test_one_partition_alone_takes_all_and_is_not_held_up() -> None:
    desk = Desk("partition", held=3)
    desk.begin("...")
    assert desk.lanes.holds() == []
    assert desk.lanes.room() == 0


def test_what_is_done_always_fits_into_a_commit() -> None:
    desk = Desk(in_flight=10 * BITS_SPAN, concurrency=10 * BITS_SPAN, held=10 * BITS_SPAN)
    part = desk.begin("a" + "." * (2 * BITS_SPAN))
    for _ in range(10):
        for offset in desk.start():
            if offset % 2 or offset > BITS_SPAN:
                desk.finish(offset)
        desk.lanes.settle(desk.lanes.mark())
        position, text = part.told()
        assert decode(position, text).frontier >= part.frontier - 2
    assert part.pairs >= RUNS_FIT
    assert part.frontier <= BITS_SPAN
    desk.finish(*desk.at_work)
    desk.lanes.settle(desk.lanes.mark())
    assert desk.start()


# -- commits --


def test_the_position_is_the_first_that_is_not_done() -> None:
    desk = Desk()
    part = desk.begin("abcd")
    desk.start()
    assert part.told() == (0, "")
    desk.finish(1, 2)
    position, text = part.told()
    assert (position, decode(position, text)) == (0, Gaps(3, (0,)))
    desk.finish(0)
    assert part.told() == (3, "")
    desk.finish(3)
    assert part.told() == (4, "")


def test_what_has_not_begun_is_not_done() -> None:
    desk = Desk(concurrency=1)
    part = desk.begin("ab")
    desk.start()
    desk.finish(0)
    assert part.told() == (1, "")


def test_offsets_without_a_record_do_not_hold_a_commit_up() -> None:
    desk = Desk()
    part = desk.begin("")
    desk.lanes.received(part, [event(5, "a")], 9)
    assert part.told() == (5, "")
    desk.start()
    desk.finish(5)
    assert part.told() == (9, "")
    desk.lanes.passed(part, 12)
    assert part.told() == (12, "")


def test_what_an_earlier_owner_has_done_is_left_out() -> None:
    desk = Desk("none")
    part = desk.begin("......", start=10, known=Gaps(14, (10, 12)))
    assert desk.start() == [10, 12, 14, 15]
    desk.finish(14)
    position, text = part.told()
    assert (position, decode(position, text)) == (10, Gaps(15, (10, 12)))


def test_what_an_earlier_owner_has_done_is_told_on_before_it_is_read() -> None:
    desk = Desk("none")
    part = desk.begin(".", start=10, known=Gaps(15, (10, 12)))
    desk.start()
    position, text = part.told()
    assert (position, decode(position, text)) == (10, Gaps(15, (10, 12)))
    desk.finish(10)
    position, text = part.told()
    assert position == 11
    assert decode(position, text).missing == (12,)


def test_when_to_commit() -> None:
    desk = Desk(in_flight=8)
    desk.begin("abcdefgh")
    due = desk.lanes.commit_due
    assert not due(COMMIT_MS)
    desk.start()
    desk.finish(0)
    assert not due(0)
    assert due(COMMIT_MS)
    desk.finish(1)
    assert due(0)


def test_to_commit_at_once_when_work_waits_for_it() -> None:
    desk = Desk(in_flight=8)
    desk.begin("abcdefghi")
    desk.start()
    desk.finish(0)
    assert desk.lanes.commit_due(0)


def test_to_commit_at_once_when_nothing_is_at_work() -> None:
    desk = Desk()
    desk.begin("a")
    desk.start()
    desk.finish(0)
    assert desk.lanes.commit_due(0)


# -- attempts --


def test_a_record_that_failed_waits_for_its_time_and_only_its_key_with_it() -> None:
    desk = Desk()
    part = desk.begin("aab")
    desk.start()
    desk.again(0, 500)
    desk.finish(2)
    assert desk.lanes.next_due() == 500
    assert desk.start(499) == []
    position, text = part.told()
    assert (position, decode(position, text)) == (0, Gaps(3, (0, 1)))
    assert desk.start(500) == [0]
    assert desk.at_work[0].attempts == 2
    desk.finish(0)
    assert desk.start(501) == [1]


def test_a_record_that_waits_takes_no_place() -> None:
    desk = Desk(concurrency=1, in_flight=1)
    desk.begin("ab")
    desk.start()
    desk.again(0, 500)
    assert desk.start() == [1]


def test_a_record_that_waits_is_held() -> None:
    desk = Desk(held=2)
    desk.begin("ab")
    desk.start()
    desk.again(0, 500)
    assert desk.lanes.room() == 0


# -- partitions that go --


def test_of_a_partition_that_is_revoked_nothing_more_begins() -> None:
    desk = Desk(concurrency=2)
    part = desk.begin("aabc")
    desk.start()
    desk.lanes.close(part.name)
    desk.finish(2)
    assert desk.start() == []
    assert part.running == 1
    desk.finish(0)
    assert desk.start() == []
    assert part.running == 0
    position, text = part.told()
    assert (position, decode(position, text)) == (1, Gaps(3, (1,)))
    assert desk.lanes.room() == 1_000


def test_a_record_that_fails_during_a_revocation_stays_for_whoever_is_next() -> None:
    desk = Desk()
    part = desk.begin("a")
    desk.start()
    desk.lanes.close(part.name)
    desk.again(0, 5)
    assert desk.lanes.next_due() is None
    assert part.told() == (0, "")


def test_what_waits_for_its_time_does_not_hold_a_revocation_up() -> None:
    desk = Desk()
    part = desk.begin("aa")
    desk.start()
    desk.again(0, 500)
    desk.lanes.close(part.name)
    assert (part.running, desk.lanes.next_due()) == (0, None)
    assert desk.start(500) == []
    assert part.told() == (0, "")


def test_what_ends_after_its_partition_is_gone_does_not_count() -> None:
    desk = Desk(in_flight=2)
    part = desk.begin("ab")
    desk.start()
    desk.finish(0)
    assert [work.event.offset for work in desk.lanes.end(part.name)] == [1]
    assert desk.lanes.done == 0
    desk.finish(1)
    assert (desk.lanes.done, desk.lanes.running, desk.lanes.mark()) == (0, 0, [])


def test_a_partition_that_comes_back_waits_for_what_is_still_at_work_of_a_key() -> None:
    desk = Desk()
    part = desk.begin("ab")
    desk.start()
    desk.lanes.end(part.name)
    late = desk.at_work.pop(0)
    part = desk.begin("ac")
    assert desk.start() == [1]
    desk.lanes.finish(late)
    assert desk.start() == [0]
    assert part.told() == (0, "")


def test_a_partition_that_is_begun_anew_forgets_what_waited() -> None:
    desk = Desk(concurrency=1)
    desk.begin("aab")
    desk.begin("a", start=50)
    assert desk.start() == [50]
    desk.finish(50)
    assert desk.start() == []
    assert desk.lanes.waiting == 0


def test_of_a_paused_partition_nothing_begins() -> None:
    desk = Desk()
    part = desk.begin("a")
    desk.lanes.pause(part, True)
    assert desk.start() == []
    desk.lanes.pause(part, False)
    assert desk.start() == [0]
