"""Directories that change hands: what Kafka wrote our node serves and extends, and back again."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.interop.conftest import WAIT_SECONDS
from tests.interop.kafka import Node
from tests.interop.kafka_view import look_as_coordinator
from tests.interop.seen import Section, differences, look
from tests.interop.swap import DYNAMIC, STATIC, Intruder, Swap
from tests.interop.swap_files import check_forms, digests, dump_everything, wait_for_deletions
from tests.interop.swap_retry import Retrier
from tests.interop.swap_work import create_all, create_topic, write_as_kafka, write_as_ours

pytestmark = pytest.mark.usefixtures("java")

OFTEN = {"metadata.log.max.record.bytes.between.snapshots": "1500"}
"""Each node then takes snapshots of the metadata, and starts from those of the other."""

UNTOUCHED = ["__transaction_state"]


def refused(node: Node) -> str:
    """Start a node that cannot have the directory; what it said before it ended."""
    before = len(node.log_text())
    node.launch()
    assert node.process is not None
    try:
        assert node.process.wait(WAIT_SECONDS) != 0
    finally:
        node.kill()
    return node.log_text()[before:]


def assert_same(before: dict[str, Section], after: dict[str, Section]) -> None:
    """The two views are equal."""
    found = differences(before, after)
    assert not found, "\n".join(line[:500] for line in found[:20])


def truncations(text: str) -> list[str]:
    """Lines in which Kafka says that it cut a log, or could not read one."""
    words = ("runcat", "orrupt", "ERROR")
    return [line for line in text.splitlines() if any(word in line for word in words)]


@pytest.mark.timeout(280)
@pytest.mark.parametrize(
    ("quorum", "clean", "settings", "directories"),
    [(STATIC, True, {}, 1), (DYNAMIC, False, OFTEN, 3)],
    ids=["static-stopped", "dynamic-killed"],
)
def test_directory_of_kafka(
    tmp_path: Path, quorum: str, clean: bool, settings: dict[str, str], directories: int
) -> None:
    swap = Swap(tmp_path, quorum, settings, directories=directories)
    kafka, ours = swap.kafka, swap.ours
    with kafka:
        write_as_kafka(kafka, swap.path)
        create_topic(kafka, "retried")
        retrier = Retrier(kafka, "retried")
        retrier.go_on(kafka)
        seen = look(kafka)
        coordinated = look_as_coordinator(kafka, UNTOUCHED)
        said = refused(ours)
        assert f"Another node uses the data directory {swap.data}" in said
        swap.end(kafka, clean=clean)

    written = digests(swap.path)
    with ours:
        assert_same(seen, look(ours))
        retrier.retry(ours)
        assert_same(seen, look(ours))
        write_as_ours(ours, 11)
        retrier.go_on(ours)
        seen = look(ours)
        swap.end(ours, clean=clean)
    kept = digests(swap.path)
    logs = {name for name in written if clean or name.endswith((".log", ".txnindex"))}
    assert {name: kept[name] for name in logs} == {name: written[name] for name in logs}
    check_forms(swap.path, quorum_version=int(quorum == DYNAMIC), clean=clean)
    dump_everything(swap.path)

    said_before = len(kafka.log_text())
    with kafka:
        assert_same(seen, look(kafka))
        assert_same(coordinated, look_as_coordinator(kafka, UNTOUCHED))
        assert not truncations(kafka.log_text()[said_before:])
        retrier.retry(kafka)
        abort_open_transaction(kafka)
        seen = look(kafka)
        swap.end(kafka, clean=clean)

    with ours:
        assert_same(seen, look(ours))
        retrier.retry(ours)
        wait_for_deletions(swap.path)


def abort_open_transaction(node: Node) -> None:
    """The producer of the open transaction comes back: what it left is aborted, and all is stable."""
    producer = Producer({"bootstrap.servers": node.address, "transactional.id": "java-open"})
    producer.init_transactions(WAIT_SECONDS)
    producer.begin_transaction()
    producer.produce("ledger", key=b"after the swap", partition=0)
    producer.commit_transaction(WAIT_SECONDS)
    ends = {
        isolation: look(node)["offsets"][("ledger", 0), number, -1][1]
        for isolation, number in (("uncommitted", 0), ("committed", 1))
    }
    assert ends["uncommitted"] == ends["committed"]


@pytest.mark.timeout(200)
@pytest.mark.parametrize("clean", [True, False], ids=["stopped", "killed"])
def test_directory_of_ours(tmp_path: Path, clean: bool) -> None:
    swap = Swap(tmp_path, STATIC, OFTEN, formatted=False)
    kafka, ours = swap.kafka, swap.ours
    with ours:
        create_topic(ours, "retried")
        create_all(ours, leave_out="doomed")
        write_as_ours(ours, 12)
        retrier = Retrier(ours, "retried")
        retrier.go_on(ours)
        seen = look(ours)
        if clean:
            said = refused(Intruder(tmp_path, kafka.settings))
            assert f"Failed to acquire lock on file .lock in {swap.data}" in said
        swap.end(ours, clean=clean)
    check_forms(swap.path, quorum_version=0, clean=clean)
    dump_everything(swap.path)
    said_before = len(kafka.log_text())
    with kafka:
        assert_same(seen, look(kafka))
        assert not truncations(kafka.log_text()[said_before:])
        retrier.retry(kafka)
        retrier.go_on(kafka)
        seen = look(kafka)
        swap.end(kafka, clean=clean)
    with ours:
        assert_same(seen, look(ours))
        retrier.retry(ours)
        wait_for_deletions(swap.path)
