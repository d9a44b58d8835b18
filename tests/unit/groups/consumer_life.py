"""A random life of one consumer group: members come, stay, read other things, leave and are replaced."""

from __future__ import annotations

from random import Random
from typing import Any

from barnabas.groups.settings import ConsumerGroupSettings
from barnabas.wire.codec import encode
from tests.unit.groups.consumer_desk import ConsumerDesk

SIZES = (1, 3, 7, 12, 40, 130)
MEMBERS_MAX = 30


class Life:
    """Runs on a desk of its own; the same seed makes the same life."""

    def __init__(self, seed: str) -> None:
        self.random = Random(seed)
        self.topics = {f"t{n}": self.pick(*SIZES) for n in range(self.pick(1, 1, 2, 4))}
        settings = ConsumerGroupSettings(assignment_ms=self.pick(0, 0, 1_000))
        self.desk = ConsumerDesk(self.topics, settings, offsets_check_ms=10**12)
        self.alike = self.random.random() < 0.7
        self.assignors = self.pick(("uniform",), ("uniform",), ("uniform", "range", None))
        self.with_regexes = self.random.random() < 0.2
        self.shared = self.some()
        self.members: dict[str, str | None] = {}
        """Member id -> instance id."""
        self.answers: list[bytes] = []
        self._made = 0

    def pick(self, *choices: Any) -> Any:
        """One of them."""
        return self.random.choice(choices)

    def some(self) -> list[str]:
        """Names of topics."""
        return self.random.sample(sorted(self.topics), self.random.randint(1, len(self.topics)))

    def live(self, steps: int) -> Life:
        """Go on for some steps."""
        for _ in range(steps):
            self.desk.advance(self.pick(1, 1, 10, 300, 2_000))
            what = self.random.random()
            if not self.members or (what < 0.3 and len(self.members) < MEMBERS_MAX):
                self.join()
            elif what < 0.85:
                for each in self.random.sample(sorted(self.members), len(self.members)):
                    self.beat(each)
            elif what < 0.93:
                self.leave(self.pick(*sorted(self.members)))
            elif what < 0.98:
                self.change_topic()
            else:
                self.desk.reload()
            self.desk.answer_regexes()
        return self

    def heard(self, member_id: str, response: Any) -> bool:
        """Whether the answer is no error."""
        self.answers.append(encode(response, 1))
        if response.error_code:
            self.members.pop(member_id, None)
            return False
        self.desk.note(member_id, response)
        return True

    def join(self) -> None:
        """Somebody new, or in the place of a static member that may be there."""
        self._made += 1
        member_id = f"m{self.random.randrange(1_000)}-{self._made}"
        instance = self.pick(None, None, None, f"i{self.random.randrange(5)}")
        fields: dict[str, Any] = {"server_assignor": self.pick(*self.assignors)}
        if self.with_regexes and self.random.random() < 0.6:
            fields["subscribed_topic_regex"] = self.pick("t.*", "t[01]", "x.*")
        names = self.shared if self.alike else self.some()
        if self.heard(member_id, self.desk.start(member_id, names, instance_id=instance, **fields)):
            self.members[member_id] = instance

    def beat(self, member_id: str) -> None:
        """A heartbeat; it may say everything, or read something else."""
        fields: dict[str, Any] = {"instance_id": self.members.get(member_id)}
        if self.random.random() < 0.8:
            fields["owned"] = self.desk.owned.get(member_id, {})
        if self.random.random() < 0.2:
            fields["rebalance_timeout_ms"] = 30_000
        if self.random.random() < 0.05:
            fields["subscribed_topic_names"] = self.shared if self.alike else self.some()
        self.heard(member_id, self.desk.beat(member_id, **fields))

    def leave(self, member_id: str) -> None:
        """For good, or for a while."""
        instance = self.members.pop(member_id)
        epoch = -1 if instance is None else self.pick(-1, -2)
        self.answers.append(encode(self.desk.beat(member_id, epoch, instance_id=instance), 1))
        self.desk.epochs.pop(member_id, None)

    def change_topic(self) -> None:
        """One is made, grows, or goes."""
        name = f"t{self.random.randrange(5)}"
        if name in self.topics and name != "t0" and self.random.random() < 0.3:
            del self.topics[name]
            self.shared = [each for each in self.shared if each != name] or ["t0"]
            self.desk.topic(name, None)
        else:
            self.topics[name] = self.topics.get(name, 0) + self.random.randint(1, 5)
            self.desk.topic(name, self.topics[name])
