"""Offsets that are committed with a transaction, markers that others write, the topic of transactions.

Rules: facts, coordinators, sections 9 to 11.
"""

from __future__ import annotations

from typing import Any

import pytest

from barnabas.server import verification
from barnabas.server.handlers import txn_offset_commit
from barnabas.server.markers import Place
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.add_partitions_to_txn_request import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)
from barnabas.wire.messages.add_partitions_to_txn_response import AddPartitionsToTxnResponse
from barnabas.wire.messages.describe_configs_request import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
)
from barnabas.wire.messages.describe_configs_response import DescribeConfigsResponse
from barnabas.wire.messages.describe_producers_request import (
    DescribeProducersRequest,
    TopicRequest,
)
from barnabas.wire.messages.describe_producers_response import DescribeProducersResponse
from barnabas.wire.messages.describe_transactions_request import DescribeTransactionsRequest
from barnabas.wire.messages.describe_transactions_response import DescribeTransactionsResponse
from barnabas.wire.messages.list_transactions_request import ListTransactionsRequest
from barnabas.wire.messages.list_transactions_response import ListTransactionsResponse
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse
from barnabas.wire.messages.write_txn_markers_request import (
    WritableTxnMarker,
    WritableTxnMarkerTopic,
    WriteTxnMarkersRequest,
)
from barnabas.wire.messages.write_txn_markers_response import WriteTxnMarkersResponse
from tests.unit.server.calm import Session, calm
from tests.unit.server.transacting import (
    GROUP,
    PLAIN_END,
    Transactor,
    Who,
    committed_offset,
    read_committed,
    stable_end,
)

NONE = ErrorCode.NONE
TOPIC_RESOURCE = 2


async def mark(
    s: Session,
    who: Who,
    *,
    commit: bool = True,
    coordinator: int = 0,
    version: int = 0,
    place: Place = ("t", 0),
    api_version: int = 2,
) -> ErrorCode:
    """WriteTxnMarkers for one partition."""
    topics = [WritableTxnMarkerTopic(place[0], [place[1]])]
    marker = WritableTxnMarker(*who, commit, topics, coordinator, version)
    answer = await s.ask(WriteTxnMarkersRequest([marker]), WriteTxnMarkersResponse, api_version)
    result = answer.markers[0]
    assert result.producer_id == who.id
    return ErrorCode(result.topics[0].partitions[0].error_code)


@pytest.mark.parametrize("commit", [True, False])
@pytest.mark.parametrize("bumping", [True, False])
def test_offsets_count_with_their_transaction_or_not_at_all(commit: bool, bumping: bool) -> None:
    """T5."""

    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.find(GROUP)
        await x.init()
        if not bumping:
            assert await x.add_offsets() is NONE
        assert await x.commit_offset(7, version=5 if bumping else 3) is NONE
        assert await committed_offset(s) == -1
        assert await committed_offset(s, stable=True) == -2
        assert await x.end(commit=commit, version=5 if bumping else PLAIN_END) is NONE
        await x.settled()
        for _ in range(2):
            assert await committed_offset(s, stable=True) == (7 if commit else -1)
            await s.restart("power loss")

    calm(scenario)


def test_a_crash_leaves_offsets_undecided_until_the_transaction_ends() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.find(GROUP)
        await x.init()
        assert await x.commit_offset(7) is NONE
        await s.restart("power loss")
        assert await committed_offset(s, stable=True) == -2
        assert await x.commit_offset(8) is NONE
        assert await x.end() is NONE
        await x.settled()
        assert await committed_offset(s, stable=True) == 8

    calm(scenario)


def test_offsets_outside_of_a_transaction_are_refused() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.find(GROUP)
        await x.init()
        abortable = ErrorCode.TRANSACTION_ABORTABLE
        for version, code in ((4, abortable), (3, ErrorCode.INVALID_TXN_STATE)):
            assert await x.commit_offset(7, version=version) is code
        other = Who(x.who.id + 1, 0)
        mapping = ErrorCode.INVALID_PRODUCER_ID_MAPPING
        assert await x.commit_offset(7, who=other) is mapping
        assert await committed_offset(s, stable=True) == -1

    calm(scenario)


def test_old_bug_a_delayed_offset_commit_does_not_join_a_later_transaction() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.find(GROUP)
        first = await x.init()
        assert await x.commit_offset(7) is NONE
        assert await x.end() is NONE
        await x.settled()
        assert await x.commit_offset(9) is NONE
        assert await x.commit_offset(3, who=first) is ErrorCode.INVALID_PRODUCER_EPOCH
        assert await x.end() is NONE
        await x.settled()
        assert await committed_offset(s, stable=True) == 9

    calm(scenario)


def test_old_bug_a_delayed_plain_offset_commit_opens_no_hanging_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The marker comes while the coordinator is being asked about the offsets."""

    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.find(GROUP)
        await x.init()
        assert await x.add_offsets() is NONE
        ask = verification.ask_coordinator
        other = Transactor(Session(s.world, s.node))

        async def slow(*args: object, **kwargs: object) -> dict[Place, ErrorCode]:
            found = await ask(*args, **kwargs)  # type: ignore[arg-type]
            assert await other.end(commit=False, version=PLAIN_END, who=x.who) is NONE
            assert await other.settled() == "CompleteAbort"
            return found

        monkeypatch.setattr(txn_offset_commit, "ask_coordinator", slow)
        assert await x.commit_offset(7, version=3) is ErrorCode.INVALID_TXN_STATE
        assert await committed_offset(s, stable=True) == -1
        other.s.hang_up()

    calm(scenario)


def test_forged_producer_ids_are_not_remembered() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init()
        await x.find(GROUP)
        assert await x.send("t", b"a") is NONE
        assert await x.commit_offset(1) is NONE
        offsets = s.node.node.broker.coordinators.groups.runtime.partition_of("g")  # type: ignore[union-attr]
        held = [s.hosted("t"), s.hosted("__consumer_offsets", offsets)]
        for number in range(50):
            forged = Who(1_000_000 + number, 0)
            for version in (11, 12):
                code = await x.send("t", b"a", who=forged, version=version)
                assert code is ErrorCode.INVALID_PRODUCER_ID_MAPPING
            code = await x.commit_offset(1, who=forged)
            assert code is ErrorCode.INVALID_PRODUCER_ID_MAPPING
        assert [each.log.producers.verifications for each in held] == [0, 0]

    calm(scenario)


# -- markers of others ----------------------------------------------------------------------------


@pytest.mark.parametrize("api_version", [1, 2])
def test_a_hanging_transaction_is_ended_by_a_marker(api_version: int) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init()
        assert await x.send("t", b"a") is NONE
        assert await mark(s, x.who, commit=False, api_version=api_version) is NONE
        assert await stable_end(s, "t") == (2, 2)
        assert await read_committed(s, "t") == []

    calm(scenario)


def test_markers_of_old_epochs_and_of_old_coordinators_are_refused() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init()
        who = await x.init()
        assert await x.send("t", b"a") is NONE
        old = Who(who.id, who.epoch - 1)
        assert await mark(s, old) is ErrorCode.INVALID_PRODUCER_EPOCH
        # A version 2 marker has the next epoch; else it may be of the former transaction.
        assert await mark(s, who, version=2) is ErrorCode.INVALID_PRODUCER_EPOCH
        assert await mark(s, Who(who.id, who.epoch + 1), coordinator=5, version=2) is NONE
        again = Who(who.id, who.epoch + 1)
        assert await mark(s, again, coordinator=5, version=2) is NONE
        assert await mark(s, again, coordinator=4) is ErrorCode.TRANSACTION_COORDINATOR_FENCED
        nowhere = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert await mark(s, who, place=("t", 1)) is nowhere
        assert await mark(s, who, place=("new", 0)) is nowhere

    calm(scenario)


def test_a_coordinator_whose_markers_are_fenced_gives_the_transaction_up() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        who = await x.init()
        assert await x.send("t", b"a") is NONE
        assert await mark(s, Who(who.id, who.epoch + 5), coordinator=9) is NONE
        assert await x.end() is NONE
        await s.sleep(10_000)
        assert (await x.describe()).transaction_state == "PrepareCommit"

    calm(scenario)


def test_the_coordinator_of_the_last_marker_is_described() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        who = await x.init()
        assert await x.send("t", b"a") is NONE
        assert await mark(s, who, coordinator=3) is NONE
        answer = await s.ask(
            DescribeProducersRequest([TopicRequest("t", [0])]), DescribeProducersResponse
        )
        (producer,) = answer.topics[0].partitions[0].active_producers
        assert (producer.producer_id, producer.producer_epoch) == who
        assert (producer.coordinator_epoch, producer.current_txn_start_offset) == (3, -1)

    calm(scenario)


# -- requests of brokers and admins ---------------------------------------------------------------


def test_brokers_ask_for_several_transactions_at_once() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", 2)
        x, y = Transactor(s, "x"), Transactor(s, "y")
        await x.init()
        await y.init()
        assert await x.add("t") is NONE
        topics = [AddPartitionsToTxnTopic("t", [0, 1])]
        request = AddPartitionsToTxnRequest(
            [
                AddPartitionsToTxnTransaction("x", *x.who, True, topics),
                AddPartitionsToTxnTransaction("y", *y.who, False, topics),
                AddPartitionsToTxnTransaction("z", 1, 0, False, topics),
            ]
        )
        answer = await s.ask(request, AddPartitionsToTxnResponse)
        codes = {
            each.transactional_id: [
                part.partition_error_code
                for topic in each.topic_results
                for part in topic.results_by_partition
            ]
            for each in answer.results_by_transaction
        }
        assert codes == {
            "x": [NONE, ErrorCode.TRANSACTION_ABORTABLE],
            "y": [NONE, NONE],
            "z": [ErrorCode.INVALID_PRODUCER_ID_MAPPING] * 2,
        }
        assert (await y.describe()).topics[0].partitions == [0, 1]

    calm(scenario)


def test_when_one_partition_is_not_there_none_is_added() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init()
        topics = [
            AddPartitionsToTxnTopic("t", [0, 1]),
            AddPartitionsToTxnTopic("__consumer_offsets", [0]),
        ]
        request = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id="x",
            v3_and_below_producer_id=x.who.id,
            v3_and_below_producer_epoch=x.who.epoch,
            v3_and_below_topics=topics,
        )
        answer = await s.ask(request, AddPartitionsToTxnResponse, 3)
        codes = [
            part.partition_error_code
            for topic in answer.results_by_topic_v3_and_below
            for part in topic.results_by_partition
        ]
        assert codes == [
            ErrorCode.OPERATION_NOT_ATTEMPTED,
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode.TOPIC_AUTHORIZATION_FAILED,
        ]
        assert (await x.describe()).transaction_state == "Empty"

    calm(scenario)


def test_describe_transactions() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init(timeout_ms=1_234)
        assert await x.send("t", b"a") is NONE
        found = await x.describe()
        assert (found.transaction_state, found.transaction_timeout_ms) == ("Ongoing", 1_234)
        assert (found.producer_id, found.producer_epoch) == x.who
        assert [(each.topic, each.partitions) for each in found.topics] == [("t", [0])]
        request = DescribeTransactionsRequest(["nobody", ""])
        answer = await s.ask(request, DescribeTransactionsResponse)
        codes = [each.error_code for each in answer.transaction_states]
        assert codes == [ErrorCode.TRANSACTIONAL_ID_NOT_FOUND, ErrorCode.INVALID_REQUEST]

    calm(scenario)


def test_list_transactions() -> None:
    async def scenario(s: Session) -> None:
        empty = await s.ask(ListTransactionsRequest(), ListTransactionsResponse)
        assert (empty.error_code, empty.transaction_states) == (NONE, [])
        await s.create("t")
        ids = {}
        for name in ("aa", "ab", "b"):
            each = Transactor(s, name)
            ids[name] = (await each.init()).id
            if name != "b":
                assert await each.send("t", b"1") is NONE
            await s.sleep(1_000)

        async def names(version: int = 2, **filters: Any) -> set[str]:
            request = ListTransactionsRequest(**filters)
            answer = await s.ask(request, ListTransactionsResponse, version)
            assert answer.error_code == NONE
            return {each.transactional_id for each in answer.transaction_states}

        await s.restart()
        assert await names(0) == {"aa", "ab", "b"}
        assert await names(0, state_filters=["Ongoing"]) == {"aa", "ab"}
        assert await names(1, producer_id_filters=[ids["ab"]]) == {"ab"}
        assert await names(1, state_filters=["Ongoing"], duration_filter=2_500) == {"aa"}
        assert await names(transactional_id_pattern="a.*") == {"aa", "ab"}
        assert await names(transactional_id_pattern="a") == set()
        assert await names(transactional_id_pattern="") == {"aa", "ab", "b"}
        request = ListTransactionsRequest(["None", "Dead", "None"])
        answer = await s.ask(request, ListTransactionsResponse)
        assert (answer.unknown_state_filters, answer.transaction_states) == (["None"], [])
        for pattern in ("(", "(?=a)", "\\1"):
            request = ListTransactionsRequest(transactional_id_pattern=pattern)
            answer = await s.ask(request, ListTransactionsResponse)
            assert answer.error_code == ErrorCode.INVALID_REGULAR_EXPRESSION

    calm(scenario)


@pytest.mark.effect_of(
    "transaction.state.log.num.partitions",
    "transaction.state.log.segment.bytes",
    "transaction.state.log.min.isr",
)
def test_the_topic_of_transactions_is_made_as_configured() -> None:
    async def scenario(s: Session) -> None:
        await Transactor(s).init()
        answer = await s.ask(MetadataRequest(None), MetadataResponse)
        (topic,) = (t for t in answer.topics if t.name == "__transaction_state")
        assert len(topic.partitions) == 7
        assert topic.partitions[0].replica_nodes == [1]
        resource = DescribeConfigsResource(TOPIC_RESOURCE, "__transaction_state", None)
        described = await s.ask(DescribeConfigsRequest([resource]), DescribeConfigsResponse)
        configs = {each.name: each.value for each in described.results[0].configs}
        expected = {
            "cleanup.policy": "compact",
            "compression.type": "uncompressed",
            "min.insync.replicas": "3",
            "segment.bytes": "2000000",
            "unclean.leader.election.enable": "false",
        }
        assert {name: configs[name] for name in expected} == expected

    config = {
        "transaction.state.log.num.partitions": "7",
        "transaction.state.log.segment.bytes": "2000000",
        "transaction.state.log.min.isr": "3",
    }
    calm(scenario, config)
