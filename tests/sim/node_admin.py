"""A client that creates, deletes and configures topics, and remembers what was promised."""

from __future__ import annotations

from random import Random

from barnabas.client.errors import ClientError
from barnabas.testing.checkers import Register, Violation
from barnabas.testing.sim import SimHost
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.create_topics_request import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from barnabas.wire.messages.create_topics_response import CreateTopicsResponse
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest, DeleteTopicState
from barnabas.wire.messages.delete_topics_response import DeleteTopicsResponse
from barnabas.wire.messages.describe_configs_request import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
)
from barnabas.wire.messages.describe_configs_response import DescribeConfigsResponse
from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from barnabas.wire.messages.incremental_alter_configs_response import (
    IncrementalAlterConfigsResponse,
)
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse
from tests.sim.node_clients import Client, Run

SETTLED_MS = 8_000
"""An unanswered request that arrives later than this is not reckoned with."""
KNOB = "min.cleanable.dirty.ratio"
"""A config without effect on the workload."""
TOPIC = 2


class AdminClient(Client):
    """One change at a time, of a topic `v` that comes and goes, and of a config."""

    def __init__(self, run: Run, host: SimHost, name: str, pick: Random) -> None:
        super().__init__(run, host, name)
        self.random = pick
        self.violations: list[Violation] = []
        self._volatile: Register[int] = Register("partitions of v", 0)
        self._configs: dict[str, Register[str]] = {}
        self._retained = pick.randrange(3) == 0
        if self._retained:
            run.expiring.add("v")

    async def create_stable(self, name: str, partitions: int, configs: dict[str, str]) -> None:
        """A topic that stays; returns when it is there."""
        made: list[CreatableTopicConfig] = [CreatableTopicConfig(k, v) for k, v in configs.items()]
        topic = CreatableTopic(name, partitions, 1, [], made)
        while True:
            try:
                answer = await self.ask(CreateTopicsRequest([topic], 5_000), CreateTopicsResponse)
            except ClientError:
                await self.pause(300)
                continue
            code = answer.topics[0].error_code
            if code in (ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS):
                break
            assert ErrorCode(code).retriable, (ErrorCode(code), answer.topics[0].error_message)
        if configs["retention.ms"] != "-1" or "retention.bytes" in configs:
            self.run.expiring.add(name)
        while await self._patiently(name) is None:
            await self.pause(100)
        self._configs[name] = Register(f"{KNOB} of {name}", "0.5")
        self.run.topics[name] = partitions

    async def _patiently(self, name: str) -> bytes | None:
        try:
            return await self.topic_id(name)
        except ClientError:
            return None

    async def work(self) -> None:
        """One change, or a look at what is there."""
        kind = self.random.randrange(4)
        try:
            if kind == 0:
                await self._create()
            elif kind == 1:
                await self._delete()
            else:
                await self._alter()
        except ClientError:
            await self.ports.clock.sleep(SETTLED_MS if not self.run.over else 0)
            raise
        await self.pause(500)

    async def compare(self) -> None:
        """What the node says must be possible after what it acknowledged."""
        while True:
            try:
                topics = (await self.ask(MetadataRequest(None), MetadataResponse)).topics
                break
            except ClientError:
                await self.pause(300)
        found = {topic.name: len(topic.partitions) for topic in topics}
        self.violations += self._volatile.observe(found.get("v", 0))
        for name, count in self.run.topics.items():
            if name != "v" and found.get(name) != count:
                text = f"{name} has {found.get(name)} partitions, {count} were acknowledged"
                self.violations.append(Violation("metadata", text))
        for name, register in self._configs.items():
            self.violations += register.observe(await self._value(name))
        self.hang_up()

    async def _create(self) -> None:
        partitions = self.random.randrange(1, 4)
        configs = [CreatableTopicConfig("internal.segment.bytes", "2000")]
        if self._retained:
            configs.append(CreatableTopicConfig("retention.ms", "700"))
        topic = CreatableTopic("v", partitions, 1, [], configs)
        before = self._volatile.possible
        self._volatile.attempt(partitions)
        answer = await self.ask(CreateTopicsRequest([topic], 5_000), CreateTopicsResponse)
        made = answer.topics[0]
        if made.error_code == ErrorCode.NONE:
            self._volatile.acknowledged(partitions)
        elif made.error_code == ErrorCode.TOPIC_ALREADY_EXISTS:
            self._volatile.refused(before)
            if before == {0}:
                self.violations.append(Violation("metadata", "v exists after its deletion"))
        self.ids.pop("v", None)
        topic_id = await self.topic_id("v")
        if topic_id is not None:
            self.run.topics["v"] = min(self._volatile.possible - {0}, default=1)

    async def _delete(self) -> None:
        before = self._volatile.possible
        self._volatile.attempt(0)
        request = DeleteTopicsRequest([DeleteTopicState(name="v")], timeout_ms=5_000)
        answer = await self.ask(request, DeleteTopicsResponse)
        code = answer.responses[0].error_code
        if code == ErrorCode.NONE:
            self._volatile.acknowledged(0)
        elif code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
            self._volatile.refused(before)
            if 0 not in before:
                self.violations.append(Violation("metadata", "v was created and is not there"))

    async def _alter(self) -> None:
        name = self.random.choice(sorted(self._configs))
        register = self._configs[name]
        value = f"0.{self.random.randrange(1, 10)}"
        before = register.possible
        register.attempt(value)
        change = AlterConfigsResource(TOPIC, name, [AlterableConfig(KNOB, 0, value)])
        request = IncrementalAlterConfigsRequest([change], False)
        answer = await self.ask(request, IncrementalAlterConfigsResponse)
        if answer.responses[0].error_code == ErrorCode.NONE:
            register.acknowledged(value)
        elif not ErrorCode(answer.responses[0].error_code).retriable:
            register.refused(before)

    async def _value(self, name: str) -> str:
        request = DescribeConfigsRequest([DescribeConfigsResource(TOPIC, name, [KNOB])])
        answer = await self.ask(request, DescribeConfigsResponse)
        return answer.results[0].configs[0].value or ""
