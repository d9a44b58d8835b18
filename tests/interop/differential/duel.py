"""Both nodes asked the same, and what differs between their answers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from barnabas.wire.apis import API
from barnabas.wire.errors import ErrorCode
from tests.hostile.target import Client
from tests.interop.differential.sent import Case, numbered
from tests.interop.differential.sides import NOTHING, Plain, Side, error_codes
from tests.interop.kafka import Node

READS = {1, 2, 3, 9, 10, 15, 16, 18, 23, 32, 35, 46, 48, 50, 55, 60, 61, 65, 66, 69, 74, 75}
"""APIs that may be asked again: what was changed a moment ago may take a moment to be seen."""

CHANGES_TOPICS = {19, 20, 37}
DECIDES = CHANGES_TOPICS | {3, 33, 43, 44, 45, 49, 57, 64}
"""APIs behind which the metadata log may be longer."""

SETTLE_SECONDS = 3.0
SETTLED_SECONDS = 60.0
UNKNOWN_ID = ErrorCode.TRANSACTIONAL_ID_NOT_FOUND
MARKER = "marker"


@dataclass(frozen=True)
class Difference:
    """One place where two answers differ."""

    case: str
    api: str
    version: int
    valid: bool
    path: str
    kafka: Plain
    ours: Plain

    def __str__(self) -> str:
        return f"{self.case}: {self.path}: kafka {self.kafka!r:.300}, ours {self.ours!r:.300}"


@dataclass
class Waiting:
    """A request that was sent to both, and not answered yet."""

    case: Case
    clients: list[Client]
    members: list[str] = field(default_factory=list)


class Duel:
    """The two nodes."""

    def __init__(self, kafka: Node, ours: Node) -> None:
        self.kafka = Side(kafka)
        self.ours = Side(ours)
        self.asked = 0
        #: What comes next depends on what was decided before.
        self.in_a_row = False
        self.found: list[Difference] = []
        self._numbers = itertools.count(1)
        self._marks = itertools.count(1_000_000)

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both."""
        return self.kafka, self.ours

    def run(self, cases: Iterator[Case] | list[Case]) -> None:
        """Ask all, each behind what it needs."""
        for case in cases:
            number = next(self._numbers)
            for needed in case.before:
                self.compare(numbered_case(needed, number))
            self.compare(numbered_case(case, number))

    def compare(self, case: Case) -> Plain:
        """Ask both; remember every difference. Returns Kafka's answer."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            theirs, ours = (side.ask(case) for side in self.sides)
            if theirs == ours or case.key not in READS or time.monotonic() > deadline:
                break
            if self._known(case, theirs, ours):
                break
            time.sleep(0.05)
        self.asked += 1
        self.judge(case, theirs, ours)
        if case.key in (DECIDES if self.in_a_row else CHANGES_TOPICS):
            self.settle()
        return theirs

    def compare_apart(self, for_kafka: Case, for_ours: Case) -> None:
        """Requests that are the same but for what each node has named itself."""
        self.asked += 1
        self.judge(for_kafka, self.kafka.ask(for_kafka), self.ours.ask(for_ours))

    def send_ahead(self, case: Case) -> Waiting:
        """Send what may wait for other requests, on connections of their own."""
        clients = [side.send(case) for side in self.sides]
        time.sleep(0.2)  # so that it is there before what comes next
        return Waiting(case, clients)

    def receive(self, waiting: Waiting) -> None:
        """Compare the answers to what was sent ahead."""
        answers = []
        for side, client in zip(self.sides, waiting.clients, strict=True):
            try:
                answer = client.receive()
            except TimeoutError:
                answers.append(NOTHING)
                continue
            finally:
                client.close()
            before = dict(side.members)
            answers.append(side.read(waiting.case, answer))
            waiting.members.append(side.members.get(f"<{waiting.case.tree['group_id']}>", ""))
            side.members = before
        self.asked += 1
        self.judge(waiting.case, *answers)

    def members_of(self, waiting: Waiting, symbol: str) -> None:
        """Give the member ids that came in an answer a symbol."""
        for side, own in zip(self.sides, waiting.members, strict=True):
            side.members[symbol] = own

    def start_of(self, name: str, partition: int) -> int:
        """Kafka's log start of a partition."""
        part = {"partition_index": partition, "timestamp": -2}
        tree = {"replica_id": -1, "topics": [{"name": name, "partitions": [part]}]}
        answer = self.kafka.ask(Case("start", 2, 11, {**tree, "timeout_ms": 5_000}))
        return int(answer["topics"][0]["partitions"][0]["offset"])

    def judge(self, case: Case, theirs: Plain, ours: Plain) -> None:
        """Remember what differs between two answers."""
        api = API[case.key].name if case.key in API else str(case.key)
        for path, kafka, own in unequal(theirs, ours):
            self.found.append(
                Difference(str(case), api, case.version, case.valid, path, kafka, own)
            )

    def _known(self, case: Case, theirs: Plain, ours: Plain) -> bool:
        """Whether all that differs has differed before: waiting for it is in vain."""
        paths = {path for path, *_ in unequal(theirs, ours)}
        return paths <= {found.path for found in self.found if found.api == API[case.key].name}

    def settle(self) -> None:
        """Wait until both brokers have seen what was decided: twice a later change of a config."""
        for _ in range(2):
            value = str(next(self._marks))
            change = {"name": "retention.ms", "config_operation": 0, "value": value}
            resource = {"resource_type": 2, "resource_name": MARKER, "configs": [change]}
            ask = {"resource_type": 2, "resource_name": MARKER}
            wanted = {**ask, "configuration_keys": ["retention.ms"]}
            for side in self.sides:
                mark = Case("mark", 44, 1, {"resources": [resource]})
                look = Case("look", 32, 4, {"resources": [wanted]})
                deadline = time.monotonic() + SETTLED_SECONDS
                # Some requests make Kafka's controller give up, and elect itself anew.
                while any(error_codes(side.ask(mark))):
                    assert time.monotonic() < deadline, "nothing can be changed any more"
                while f"'{value}'" not in repr(side.ask(look)):
                    assert time.monotonic() < deadline, "a change is not seen"

    def coordinate(self) -> None:
        """Have both make the topic of committed offsets, and wait until groups are served."""
        find = Case("find", 10, 4, {"key_type": 0, "coordinator_keys": ["any"]})
        produce = Case("new producer", 22, 5, {"transactional_id": None})
        place = Case("find", 10, 4, {"key_type": 1, "coordinator_keys": ["any"]})
        describe = Case("describe", 65, 0, {"transactional_ids": ["any"]})
        fetch = Case("fetch", 9, 7, {"group_id": "any", "topics": None})
        asked = (find, place, fetch, describe)
        for side in self.sides:
            deadline = time.monotonic() + SETTLED_SECONDS
            while {*error_codes([side.ask(case) for case in asked])} - {0, UNKNOWN_ID}:
                assert time.monotonic() < deadline, "no coordinator"
                time.sleep(0.05)
            while any(error_codes(side.ask(produce))):
                assert time.monotonic() < deadline, "no producer ids"
        self.settle()

    def close(self) -> None:
        """Close all connections."""
        for side in self.sides:
            side.close()


def numbered_case(case: Case, number: int) -> Case:
    """The case with its number in its texts."""
    return Case(
        case.label,
        case.key,
        case.version,
        numbered(case.tree, number),
        [],
        case.listener,
        case.valid,
        case.cut,
        case.more,
    )


def unequal(theirs: Any, ours: Any, path: str = "") -> Iterator[tuple[str, Plain, Plain]]:
    """Each (path, Kafka's, ours) that differs; lists of different lengths as a whole."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in theirs:
            yield from unequal(theirs[name], ours.get(name), f"{path}.{name}" if path else name)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for one, other in zip(theirs, ours, strict=True):
            yield from unequal(one, other, f"{path}[]")
    elif isinstance(theirs, list) and isinstance(ours, list):
        gone, new = list(theirs), list(ours)
        for item in theirs:
            if item in new:
                gone.remove(item)
                new.remove(item)
        yield f"{path}[#]", gone, new
    elif theirs != ours:
        yield path, theirs, ours
