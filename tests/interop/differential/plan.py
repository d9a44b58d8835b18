"""Which requests are sent: every valid one in every version, and each with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator

from barnabas.server.handlers import DECODED, RAW
from barnabas.wire.apis import API
from tests.interop.differential.broken import broken_bytes, variations, wrong_versions
from tests.interop.differential.duel import READS
from tests.interop.differential.sent import Case
from tests.interop.differential.valid import TOPICS, VALID, Base, batch, create, produce
from tests.interop.differential.valid_groups import VALID_GROUPS
from tests.interop.differential.valid_members import VALID_MEMBERS
from tests.interop.differential.valid_transactions import VALID_TRANSACTIONS

ALL = {**VALID, **VALID_GROUPS, **VALID_TRANSACTIONS, **VALID_MEMBERS}

PRODUCE, JOIN_GROUP, FIND_COORDINATOR = 0, 11, 10
ADD_PARTITIONS, WRITE_MARKERS = 24, 27
ALTER_CONFIGS, INCREMENTAL_ALTER_CONFIGS = 33, 44

ONCE = {
    (JOIN_GROUP, "protocols twice"),
    (JOIN_GROUP, "protocols.metadata b'nothing'"),
    (ALTER_CONFIGS, "resources twice"),
    (INCREMENTAL_ALTER_CONFIGS, "resources.configs.config_operation 127"),
    (ADD_PARTITIONS, "transactions empty"),
    (WRITE_MARKERS, "markers.topics twice"),
    (WRITE_MARKERS, "markers.topics.partition_indexes twice"),
    (PRODUCE, "topic_data twice"),
    (PRODUCE, "topic_data.partition_data twice"),
}
"""What leaves one node with another state than the other, or costs a time-out: asked once."""

SINCE = {(3, "of all"): 1, (3, "by id"): 12, (20, "by id"): 6, (9, "of all"): 2}
"""First version in which a valid request is one."""


def served() -> list[int]:
    """Keys of the APIs that a broker listener of ours serves: first those that change nothing."""
    keys = [key for key in RAW | DECODED if API[key].on_broker]
    return sorted(keys, key=lambda key: (key not in READS, key == PRODUCE, key == JOIN_GROUP, key))


def prepare() -> list[Case]:
    """The topics and what is in them."""
    made = [create("marker", 1)]
    for name, (partitions, configs) in TOPICS.items():
        some = [{"name": key, "value": value} for key, value in configs.items()]
        made.append(create(name, partitions, configs=some))
    return [
        *made,
        produce("alpha", batch(b"a", b"b", b"c")),
        produce("alpha", batch(b"d", at=1_700_000_100_000), 1),
        produce("beta", batch(b"one", b"two")),
        produce("gamma", batch(b"now")),
    ]


def versions(key: int, label: str) -> range:
    """In which versions a valid request is sent."""
    api = API[key]
    return range(max(api.min_version, SINCE.get((key, label), 0)), api.max_version + 1)


def valid_cases(key: int) -> Iterator[Case]:
    """Every valid request of an API in every version."""
    for label, tree, before in ALL[key]():
        for version in versions(key, label):
            yield Case(label, key, version, tree, before, valid=True)


def edges(key: int, label: str) -> list[int]:
    """The first, the first flexible and the last version."""
    span = versions(key, label)
    return sorted({span[0], span[-1], min(max(span[0], API[key].flexible), span[-1])})


def broken_cases(key: int) -> Iterator[Case]:
    """Each field and the bytes of valid requests, broken."""
    bases = ALL[key]()
    yield from wrong_versions(key, bases[0])
    for number, base in enumerate(bases):
        label = base[0]
        some = edges(key, label) if number == 0 else edges(key, label)[-1:]
        for version in some:
            last = number == len(bases) - 1 and version == some[-1]
            yield from _broken(key, version, base, last=last)


def _broken(key: int, version: int, base: Base, *, last: bool) -> Iterator[Case]:
    label, tree, before = base
    yield from broken_bytes(key, version, base)
    late = []
    for what, changed in variations(API[key].request, version, tree):
        case = Case(f"{label}, {what}", key, version, changed, before)
        if (key, what) not in ONCE:
            yield case
        elif last:
            late.append(case)
    yield from late
