"""Transactions on a node: what is written in them, what is seen of it, and how they end.

Rules: facts, coordinators, sections 9, 11 and 12; the old bugs are those of proof, section 1.
"""

from __future__ import annotations

import pytest

from barnabas.server import verification
from barnabas.server.coordinators import transactions as coordinator
from barnabas.server.markers import Marker, Place, write_markers
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest, DeleteTopicState
from barnabas.wire.messages.delete_topics_response import DeleteTopicsResponse
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import ProduceResponse
from tests.unit.effects.levels import alter_node
from tests.unit.server.calm import Session, calm
from tests.unit.server.transacting import (
    PLAIN_END,
    PLAIN_PRODUCE,
    Transactor,
    Who,
    read_committed,
    stable_end,
)

NONE = ErrorCode.NONE
LONG_MS = 3_600_000


class Held:
    """Markers that the coordinator sends wait until `release`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.holding = True
        monkeypatch.setattr(coordinator, "write_markers", self._write)

    async def _write(
        self, broker: object, marker: Marker, places: tuple[Place, ...]
    ) -> dict[Place, ErrorCode]:
        if self.holding:
            return dict.fromkeys(places, ErrorCode.NOT_ENOUGH_REPLICAS)
        return await write_markers(broker, marker, places)  # type: ignore[arg-type]

    def release(self) -> None:
        """Those that wait are tried again soon."""
        self.holding = False


@pytest.mark.parametrize("commit", [True, False])
def test_a_transaction_is_seen_as_a_whole_or_not_at_all(commit: bool) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", 2)
        x = Transactor(s)
        await x.init()
        assert await x.send("t", b"a") is NONE
        assert await x.send("t", b"b", index=1) is NONE
        assert await stable_end(s, "t") == (0, 1)
        assert await read_committed(s, "t") == []
        assert await x.end(commit=commit) is NONE
        assert await x.settled() == ("CompleteCommit" if commit else "CompleteAbort")
        for index, value in enumerate((b"a", b"b")):
            assert await read_committed(s, "t", index) == ([value] if commit else [])
            assert await stable_end(s, "t", index) == (2, 2)

    calm(scenario)


def test_the_next_transaction_has_the_next_epoch_and_begins_at_sequence_0() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        first = await x.init()
        for number in range(3):
            assert await x.send("t", b"%d" % number) is NONE
            assert await x.end() is NONE
            assert await x.settled() == "CompleteCommit"
            assert x.who == (first.id, number + 1)
        assert await read_committed(s, "t") == [b"0", b"1", b"2"]

    calm(scenario)


def test_producers_before_epochs_per_transaction_add_their_partitions_first() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init()
        # v11 clients know the error that lets them abort; older ones get what ends them.
        assert await x.send("t", b"a", version=11) is ErrorCode.TRANSACTION_ABORTABLE
        assert await x.send("t", b"a", version=10) is ErrorCode.INVALID_TXN_STATE
        for version in (PLAIN_PRODUCE, 3):
            assert await x.add("t") is NONE
            assert await x.send("t", b"v%d" % version, version=version) is NONE
            assert await x.end(version=PLAIN_END) is NONE
            assert await x.settled() == "CompleteCommit"
        assert x.who.epoch == 0
        assert await read_committed(s, "t") == [b"v11", b"v3"]

    calm(scenario)


@pytest.mark.effect_of(
    "transaction.partition.verification.enable", "runtime:transaction.partition.verification.enable"
)
@pytest.mark.parametrize("at_run_time", [False, True])
def test_without_verification_an_old_producer_is_believed(at_run_time: bool) -> None:
    name = "transaction.partition.verification.enable"

    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init()
        if at_run_time:
            assert await x.send("t", b"a", version=11) is ErrorCode.TRANSACTION_ABORTABLE
            await alter_node(s, {name: "false"})
        assert await x.send("t", b"a", version=11) is NONE

    calm(scenario, {} if at_run_time else {name: "false"})


@pytest.mark.parametrize("version", [10, 11, 12])
def test_a_transaction_that_cannot_be_verified_now_is_tried_again(version: int) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        x.who = Who(7, 0)  # there is no __transaction_state yet
        assert await x.send("t", b"a", version=version) is ErrorCode.NOT_ENOUGH_REPLICAS
        await x.find()
        assert await x.send("t", b"a", version=version) is ErrorCode.INVALID_PRODUCER_ID_MAPPING

    calm(scenario)


def test_records_of_a_transaction_need_its_id_in_the_request() -> None:
    """CVE-2018-17196: transactional records that nobody asked the authorizer about."""

    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init()
        assert await x.send("t", b"a") is NONE
        for _ in range(2):  # the second time by the fast path
            assert (await s.produce("t", s.batch(b"-"), version=12)).error_code == NONE
            code = await x.send("t", b"b", name=None)
            assert code is ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        assert await x.end() is NONE
        assert await x.settled() == "CompleteCommit"
        assert await read_committed(s, "t") == [b"a", b"-", b"-"]

    calm(scenario)


def test_one_request_is_of_one_producer() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", 2)
        x, y = Transactor(s, "x"), Transactor(s, "y")
        parts = []
        for index, each in enumerate((x, y)):
            producer_id, epoch = await each.init()
            batch = s.batch(
                b"a",
                producer_id=producer_id,
                producer_epoch=epoch,
                base_sequence=0,
                transactional=True,
            )
            parts.append(PartitionProduceData(index, batch))
        request = ProduceRequest("x", -1, 5000, [TopicProduceData("t", bytes(16), parts)])
        answer = await s.ask(request, ProduceResponse, 12)
        codes = [each.error_code for each in answer.responses[0].partition_responses]
        assert codes == [ErrorCode.INVALID_PRODUCER_ID_MAPPING] * 2

    calm(scenario)


def test_a_producer_without_state_begins_at_sequence_0() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init()
        assert await x.send("t", b"b", sequence=1) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        assert await x.send("t", b"a", sequence=0) is NONE

    calm(scenario)


# -- fencing --------------------------------------------------------------------------------------


def test_a_newer_instance_aborts_the_transaction_of_the_older_and_fences_it() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        old, new = Transactor(s), Transactor(s)
        await old.init()
        assert await old.send("t", b"old") is NONE
        await new.init()
        assert await old.send("t", b"zombie") is ErrorCode.INVALID_PRODUCER_EPOCH
        assert await old.end(who=old.who) is ErrorCode.PRODUCER_FENCED
        assert await old.end(who=old.who, version=1) is ErrorCode.INVALID_PRODUCER_EPOCH
        assert await old.add("t") is ErrorCode.PRODUCER_FENCED
        assert await new.send("t", b"new") is NONE
        assert await new.end() is NONE
        assert await new.settled() == "CompleteCommit"
        assert await read_committed(s, "t") == [b"new"]

    calm(scenario)


def test_old_bug_a_delayed_produce_does_not_join_a_later_transaction() -> None:
    """Kafka before KIP-890: a Produce of the former transaction arrives in the next one."""

    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        first = await x.init()
        assert await x.send("t", b"a") is NONE
        assert await x.end(commit=False) is NONE
        assert await x.settled() == "CompleteAbort"
        assert await x.send("t", b"b") is NONE
        late = await x.send("t", b"late", who=first, sequence=1)
        assert late is ErrorCode.INVALID_PRODUCER_EPOCH
        assert await x.end() is NONE
        assert await x.settled() == "CompleteCommit"
        assert await x.send("t", b"late", who=first, sequence=1) is late
        assert await read_committed(s, "t") == [b"b"]
        assert await stable_end(s, "t") == (4, 4)

    calm(scenario)


def test_old_bug_a_delayed_produce_of_a_plain_transaction_opens_no_hanging_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The marker comes while the coordinator is being asked about the batch: T3."""

    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init()
        assert await x.add("t") is NONE
        ask = verification.ask_coordinator

        async def slow(*args: object, **kwargs: object) -> dict[Place, ErrorCode]:
            found = await ask(*args, **kwargs)  # type: ignore[arg-type]
            assert await other.end(commit=False, version=PLAIN_END, who=x.who) is NONE
            assert await other.settled() == "CompleteAbort"
            return found

        monkeypatch.setattr(verification, "ask_coordinator", slow)
        other = Transactor(Session(s.world, s.node))
        code = await x.send("t", b"late", version=PLAIN_PRODUCE)
        assert code is ErrorCode.INVALID_TXN_STATE
        assert await stable_end(s, "t") == (1, 1)
        other.s.hang_up()

    calm(scenario)


def test_old_bug_a_batch_sent_again_after_later_ones_is_known_and_not_out_of_order() -> None:
    """Redpanda #3039: OUT_OF_ORDER_SEQUENCE without de-duplication makes clients write twice."""

    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init()
        for sequence in range(5):
            assert await x.send("t", b"%d" % sequence, sequence=sequence) is NONE
        for sequence in (4, 0, 2):
            assert await x.send("t", b"%d" % sequence, sequence=sequence) is NONE
        assert await x.send("t", b"6", sequence=6) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        assert await x.end() is NONE
        assert await x.settled() == "CompleteCommit"
        assert await read_committed(s, "t") == [b"0", b"1", b"2", b"3", b"4"]

    calm(scenario)


# -- while a transaction is being ended -----------------------------------------------------------


@pytest.mark.effect_of(
    "add.partitions.to.txn.retry.backoff.max.ms", "add.partitions.to.txn.retry.backoff.ms"
)
@pytest.mark.parametrize(("patience_ms", "waits"), [("100", False), ("5000", True)])
def test_a_write_waits_for_the_end_of_the_former_transaction(
    patience_ms: str, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init()
        assert await x.send("t", b"a") is NONE
        held = Held(monkeypatch)
        assert await x.end() is NONE
        s.host.ports.clock.call_later(1_000, held.release)
        before = s.now
        code = await x.send("t", b"b")
        if waits:
            assert code is NONE
            # The markers are tried again at least once a second, the question every 700 ms.
            assert 1_000 < s.now - before < 3_000
            assert (s.now - before) % 700 < 50
        else:
            assert code is ErrorCode.CONCURRENT_TRANSACTIONS
            assert 700 <= s.now - before < 800
            # An older client is told to try again.
            assert await x.send("t", b"b", version=11) is ErrorCode.NOT_ENOUGH_REPLICAS

    config = {
        "add.partitions.to.txn.retry.backoff.max.ms": patience_ms,
        "add.partitions.to.txn.retry.backoff.ms": "700",
    }
    calm(scenario, config)


@pytest.mark.parametrize("commit", [True, False])
def test_after_a_crash_between_prepare_and_complete_the_markers_follow(
    commit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", 2)
        x = Transactor(s)
        await x.init()
        assert await x.send("t", b"a") is NONE
        assert await x.send("t", b"b", index=1) is NONE
        held = Held(monkeypatch)
        assert await x.end(commit=commit) is NONE
        assert (await x.describe()).transaction_state.startswith("Prepare")
        await s.restart("power loss")
        await x.find()
        assert (await x.describe()).transaction_state.startswith("Prepare")
        assert await x.try_init() is ErrorCode.CONCURRENT_TRANSACTIONS
        assert await stable_end(s, "t") == (0, 1)
        held.release()
        assert await x.settled() == ("CompleteCommit" if commit else "CompleteAbort")
        for index, value in enumerate((b"a", b"b")):
            assert await read_committed(s, "t", index) == ([value] if commit else [])

    calm(scenario)


@pytest.mark.parametrize("kind", ["kill", "power loss"])
def test_old_bug_a_marker_torn_by_a_crash_does_not_tear_the_transaction(kind: str) -> None:
    """Redpanda #10670: some partitions committed, others not. Crashes at many moments of the end."""

    async def scenario(s: Session) -> None:
        partitions = 4
        await s.create("t", partitions)
        x = Transactor(s)
        for number in range(24):
            await x.init()
            value = b"%d" % number
            for index in range(partitions):
                assert await x.send("t", value, index=index) is NONE
            client = Session(s.world, s.node)
            ending = s.world.loop.create_task(Transactor(client).end(who=x.who))
            await s.sleep(number // 2)
            s.hang_up()
            client.hang_up()
            await s.restart(kind)
            ending.cancel()
            await x.find()
            # Either it was prepared, or the next instance aborts it.
            await x.init()
            seen = {value in await read_committed(s, "t", i) for i in range(partitions)}
            assert len(seen) == 1, number
            for index in range(partitions):
                stable, high = await stable_end(s, "t", index)
                assert stable == high

    calm(scenario)


@pytest.mark.effect_of("transaction.abort.timed.out.transaction.cleanup.interval.ms")
def test_a_transaction_that_takes_too_long_is_aborted() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init(timeout_ms=5_000)
        assert await x.send("t", b"a") is NONE
        await s.sleep(4_900)
        assert (await x.describe()).transaction_state == "Ongoing"
        await s.sleep(600)
        assert await x.settled() == "CompleteAbort"
        assert await stable_end(s, "t") == (2, 2)
        assert await read_committed(s, "t") == []
        assert await x.send("t", b"b") is ErrorCode.INVALID_PRODUCER_EPOCH
        # Its epoch is the one before the last: as if an abort were repeated by a commit.
        assert await x.end() is ErrorCode.INVALID_TXN_STATE
        assert await x.end(version=PLAIN_END) is ErrorCode.PRODUCER_FENCED

    calm(scenario, {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500"})


@pytest.mark.effect_of("transaction.max.timeout.ms")
def test_the_longest_transaction() -> None:
    async def scenario(s: Session) -> None:
        x = Transactor(s)
        await x.find()
        assert await x.try_init(7_001) is ErrorCode.INVALID_TRANSACTION_TIMEOUT
        assert await x.try_init(7_000) is NONE

    calm(scenario, {"transaction.max.timeout.ms": "7000"})


@pytest.mark.effect_of(
    "transactional.id.expiration.ms", "transaction.remove.expired.transaction.cleanup.interval.ms"
)
def test_a_transactional_id_that_nobody_uses_is_forgotten() -> None:
    async def scenario(s: Session) -> None:
        x = Transactor(s)
        await x.init()
        await s.sleep(19_000)
        assert (await x.describe()).error_code == NONE
        await s.sleep(11_000)
        assert (await x.describe()).error_code == ErrorCode.TRANSACTIONAL_ID_NOT_FOUND
        await s.restart()
        await x.find()
        assert (await x.describe()).error_code == ErrorCode.TRANSACTIONAL_ID_NOT_FOUND

    config = {
        "transactional.id.expiration.ms": "20000",
        "transaction.remove.expired.transaction.cleanup.interval.ms": "4000",
    }
    calm(scenario, config)


# -- markers --------------------------------------------------------------------------------------


def test_a_deleted_topic_does_not_hold_up_the_end() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await s.create("gone")
        x = Transactor(s)
        await x.init()
        assert await x.send("gone", b"a") is NONE
        assert await x.send("t", b"b") is NONE
        request = DeleteTopicsRequest([DeleteTopicState("gone")], timeout_ms=5_000)
        await s.ask(request, DeleteTopicsResponse)
        assert await x.end() is NONE
        assert await x.settled() == "CompleteCommit"
        assert await read_committed(s, "t") == [b"b"]

    calm(scenario)


def test_a_marker_is_written_however_small_a_topics_batches_must_be() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", max_message_bytes="70")
        x = Transactor(s)
        await x.init()
        assert await x.add("t") is NONE
        assert await x.end(version=PLAIN_END) is NONE
        assert await x.settled() == "CompleteCommit"
        assert await stable_end(s, "t") == (1, 1)

    calm(scenario)


def test_transactions_of_several_producers_overlap() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x, y = Transactor(s, "x"), Transactor(s, "y")
        await x.init()
        await y.init()
        assert await x.send("t", b"x1") is NONE
        assert await y.send("t", b"y1") is NONE
        assert await x.send("t", b"x2") is NONE
        assert await y.end() is NONE
        assert await y.settled() == "CompleteCommit"
        assert await read_committed(s, "t") == []
        assert await stable_end(s, "t") == (0, 4)
        assert await x.end(commit=False) is NONE
        assert await x.settled() == "CompleteAbort"
        assert await read_committed(s, "t") == [b"y1"]

    calm(scenario)
