"""A process that is killed again and again: nothing is lost, and no more repeated than was in flight."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from barnabas.sync import Producer
from barnabas.testing import Broker
from barnabas.testing.checkers import check_transformed

RECORDS, KEYS, CONCURRENCY, KILLS = 1_500, 40, 25, 3
PROGRAM = Path(__file__).with_name("processing_handlers.py")
PATIENCE_S = 120


def ended(path: Path) -> list[tuple[int, str]]:
    """What was done, in this order: offset and key."""
    return [
        (int(offset), key)
        for kind, offset, key in map(str.split, path.read_text().splitlines())
        if kind == "E"
    ]


def begun(path: Path) -> list[int]:
    return [int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith("B")]


def wait_for(path: Path, records: int, child: subprocess.Popen[bytes]) -> None:
    """Until so many different records are done."""
    deadline = time.monotonic() + PATIENCE_S
    while len({offset for offset, _ in ended(path)}) < records:
        assert child.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_kill_repeats_no_more_than_was_in_flight(tmp_path: Path, seed: int) -> None:
    log = tmp_path / "log"
    log.touch()
    with Broker() as broker:
        broker.create_topic("t", 1)
        keys = [b"%d" % ((number * 7919 + seed) % KEYS) for number in range(RECORDS)]
        values = [b"%d" % number for number in range(RECORDS)]
        with Producer(bootstrap_servers=broker.bootstrap_servers) as producer:
            producer.send_many("t", values, keys=keys).result()
        command = [
            sys.executable, str(PROGRAM), broker.bootstrap_servers, "t", str(log), str(CONCURRENCY),
        ]  # fmt: skip
        for kill in range(KILLS + 1):
            before = begun(log)
            child = subprocess.Popen(command)
            try:
                wait_for(log, RECORDS * (kill + 1) // (KILLS + 1), child)
            finally:
                os.kill(child.pid, signal.SIGKILL)
                child.wait()
            repeated = Counter(begun(log)) - Counter(set(begun(log)))
            again = set(begun(log)[len(before) :]) & set(before)
            assert len(again) <= CONCURRENCY, f"kill {kill}: {sorted(again)} were begun again"
            assert repeated.total() <= CONCURRENCY * kill
    first_ends = list(dict.fromkeys(ended(log)))
    assert {offset for offset, _ in first_ends} == set(range(RECORDS))
    done = [f"{key} {offset}" for offset, key in first_ends]
    sent = [f"{key.decode()} {offset}" for offset, key in enumerate(keys)]
    assert check_transformed([sent], [done], str, lambda value: value.split()[0]) == []
