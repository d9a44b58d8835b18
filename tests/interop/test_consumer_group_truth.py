"""Assignments and metadata hashes of consumer groups beside what Kafka's own classes compute."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from barnabas.groups.consumer.assignors import ASSIGNORS
from barnabas.groups.consumer.assignors.spec import GroupSpec, MemberSpec
from barnabas.groups.consumer.member import in_order
from barnabas.groups.consumer.topics import TopicFacts, TopicHashes
from barnabas.wire.uuids import to_text
from tests.interop.kafka import java_tool

pytestmark = pytest.mark.usefixtures("java")

CHAINS = 150
STEPS = 8


def truth(asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What Kafka answers to each question."""
    text = "".join(json.dumps(each) + "\n" for each in asked)
    return [
        json.loads(line) for line in java_tool("ConsumerGroupTruth", stdin=text).stdout.splitlines()
    ]


class Chain:
    """A group that changes step by step; what Kafka answered is the target of the next step."""

    def __init__(self, random_: random.Random) -> None:
        self.random = random_
        self.assignor = random_.choice(["uniform", "uniform", "range"])
        self.alike = random_.random() < 0.4
        self.topics = [random_.randbytes(16) for _ in range(random_.randint(1, 6))]
        self.partitions = {topic: random_.choice([1, 2, 3, 5, 12, 40]) for topic in self.topics}
        self.members: dict[str, tuple[str | None, list[bytes]]] = {}
        self.target: dict[str, dict[bytes, set[int]]] = {}
        self.shared = self.some()
        self.asked: GroupSpec | None = None

    def some(self) -> list[bytes]:
        return self.random.sample(self.topics, self.random.randint(0, len(self.topics)))

    def change(self) -> None:
        """Members come and go, change what they read; topics grow."""
        for _ in range(self.random.randint(1, 4)):
            name = f"m{self.random.randrange(1000)}"
            instance = self.random.choice([None, None, f"i{name}"])
            self.members[name] = (instance, self.shared if self.alike else self.some())
        while len(self.members) > 1 and self.random.random() < 0.5:
            gone = self.random.choice(list(self.members))
            del self.members[gone]
            self.target.pop(gone, None)
        if self.random.random() < 0.3:
            self.partitions[self.random.choice(self.topics)] += self.random.randint(1, 5)
        if self.random.random() < 0.2:
            self.shared = self.some()
            if self.alike:
                self.members = {m: (i, self.shared) for m, (i, _) in self.members.items()}

    def question(self) -> dict[str, Any]:
        return {
            "assignor": self.assignor,
            "alike": self.alike,
            "topics": {to_text(topic): count for topic, count in self.partitions.items()},
            "members": [
                {
                    "id": member,
                    "instance": instance,
                    "topics": [to_text(topic) for topic in topics],
                    "target": {
                        to_text(topic): sorted(parts)
                        for topic, parts in self.target.get(member, {}).items()
                    },
                }
                for member, (instance, topics) in self.members.items()
            ],
        }

    def check(self, answer: dict[str, Any]) -> None:
        """Ours is the same, given the order in which Kafka's sets happen to be read."""
        ids = {to_text(topic): topic for topic in self.topics}
        order = [ids[each] for each in answer["order"]]
        specs = {
            member: MemberSpec(
                order if self.alike else topics,
                {t: in_order(parts) for t, parts in self.target.get(member, {}).items()},
                instance,
            )
            for member, (instance, topics) in self.members.items()
        }
        found = ASSIGNORS[self.assignor](GroupSpec(specs, self.partitions, self.alike))
        expected = {
            member: {ids[topic]: set(parts) for topic, parts in topics.items()}
            for member, topics in answer["members"].items()
        }
        ours = {m: {t: set(p) for t, p in found.get(m, {}).items()} for m in specs}
        assert ours == {m: expected.get(m, {}) for m in specs}
        self.target = {member: topics for member, topics in expected.items() if member in specs}


def test_assignments_are_those_of_kafka(seed: int) -> None:
    """Random groups over random changes: uniform (alike and not) and range."""
    chains = [Chain(random.Random(f"{seed}-{number}")) for number in range(CHAINS)]
    for _ in range(STEPS):
        for chain in chains:
            chain.change()
        for chain, answer in zip(chains, truth([c.question() for c in chains]), strict=True):
            chain.check(answer)


class OneTopic:
    """`Topics` with what a test made up."""

    version = 1

    def __init__(self, racks: dict[TopicFacts, list[list[str]]]) -> None:
        self._racks = {topic.topic_id: each for topic, each in racks.items()}
        self._topics = {topic.name: topic for topic in racks}

    def by_name(self, name: str) -> TopicFacts | None:
        return self._topics.get(name)

    def by_id(self, topic_id: bytes) -> TopicFacts | None:
        return next((t for t in self._topics.values() if t.topic_id == topic_id), None)

    def names(self) -> list[str]:
        return list(self._topics)

    def racks(self, topic_id: bytes, partition: int) -> list[str]:
        return self._racks[topic_id][partition]


def test_metadata_hashes_are_those_of_kafka(seed: int) -> None:
    random_ = random.Random(seed)
    groups = []
    for _ in range(200):
        topics: dict[TopicFacts, list[list[str]]] = {}
        for number in range(random_.randint(0, 4)):
            racks = [
                random_.choices(["a", "rack-b", "ü", "\U0001f600", ""], k=random_.randint(0, 3))
                for _ in range(random_.randint(1, 40))
            ]
            name = f"t{random_.randrange(100)}.{number}"
            topics[TopicFacts(name, random_.randbytes(16), len(racks))] = racks
        groups.append(topics)
    asked = [
        {
            "topics": [
                {"id": to_text(t.topic_id), "name": t.name, "racks": racks}
                for t, racks in topics.items()
            ]
        }
        for topics in groups
    ]
    for topics, answer in zip(groups, truth(asked), strict=True):
        names = [topic.name for topic in topics]
        assert TopicHashes(OneTopic(topics)).of_group(names) == answer["hash"]
