"""One seed with groups: members of both protocols, plain and transactional, on a node that suffers."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from random import Random

from barnabas.client.errors import ClientError
from barnabas.ports import Buffer
from barnabas.records.batch import iter_batches
from barnabas.records.builder import build_batch
from barnabas.testing.checkers import Violation, check_events
from barnabas.testing.checkers.events import Acked, Consumed, Isolation, Place, Produced
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.fetch_response import FetchResponse
from barnabas.wire.messages.list_offsets_request import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from barnabas.wire.messages.list_offsets_response import ListOffsetsResponse
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import ProduceResponse
from tests.sim.node_clients import LATEST, parse
from tests.sim.node_groups import INPUT, OUTPUT, SESSION_MS, Groups, Member, Noting
from tests.sim.node_members import ClassicMember, ConsumerMember
from tests.sim.node_run import ALIVE_MS, Seed

NODE = {
    "barnabas.ack.mode": "synced",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": str(SESSION_MS),
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "300",
    "group.consumer.assignment.interval.ms": "0",
    "offsets.topic.num.partitions": "2",
    "transaction.state.log.num.partitions": "2",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
}
TOPIC = {"retention.ms": "-1", "internal.segment.bytes": "4000", "index.interval.bytes": "200"}


class Feeder(Noting):
    """Writes unique values into `in`, one at a time, and never twice."""

    count = 0

    async def work(self) -> None:
        """One value."""
        topic_id = await self.topic_id(INPUT)
        if topic_id is None:
            await self.pause(100)
            return
        self.count += 1
        value = f"{self.name}/{self.count}"
        place = Place(INPUT, self.random.randrange(self.run.topics[INPUT]))
        now = self.ports.clock.wall_ms()
        part = PartitionProduceData(
            place.partition, bytes(build_batch([(None, value.encode(), now, ())]))
        )
        self.note(Produced(self.name, self.now(), INPUT, value))
        request = ProduceRequest(None, -1, 5_000, [TopicProduceData(INPUT, topic_id, [part])])
        answer = await self.ask(request, ProduceResponse)
        found = answer.responses[0].partition_responses[0]
        if found.error_code == ErrorCode.NONE:
            self.note(Acked(self.name, self.now(), *place, found.base_offset, value))
        await self.pause(self.random.choice((10, 50, 200)))


class LastReader(Noting):
    """Reads what is committed, from the first record to the last."""

    async def read_all(self, topic: str) -> None:
        """T6: within a bound the last stable offset is the end."""
        for number in range(self.run.topics[topic]):
            while (ends := await self._ends(topic, number)) is None or ends[0] != ends[1]:
                await self.pause(200)
            topic_id = await self.topic_id(topic)
            assert topic_id is not None
            offset = 0
            while offset < ends[0]:
                part = FetchPartition(number, fetch_offset=offset, partition_max_bytes=5_000)
                request = FetchRequest(
                    max_wait_ms=100,
                    min_bytes=1,
                    isolation_level=1,
                    session_epoch=-1,
                    topics=[FetchTopic(topic, topic_id, [part])],
                )
                answer = (await self.ask(request, FetchResponse)).responses[0].partitions[0]
                data = answer.records or b""
                gone = {
                    (each.producer_id, each.first_offset)
                    for each in answer.aborted_transactions or ()
                }
                records = committed(data, gone, offset)
                self.note(
                    Consumed(
                        self.name,
                        self.now(),
                        topic,
                        number,
                        tuple(records),
                        isolation=Isolation.COMMITTED,
                    )
                )
                offset = max((h.next_offset for _, h in iter_batches(data)), default=ends[0])

    async def _ends(self, topic: str, number: int) -> tuple[int, int] | None:
        found = []
        for isolation in (1, 0):
            wanted = ListOffsetsPartition(number, timestamp=LATEST)
            request = ListOffsetsRequest(-1, isolation, [ListOffsetsTopic(topic, [wanted])], 5_000)
            part = (await self.ask(request, ListOffsetsResponse)).topics[0].partitions[0]
            if part.error_code != ErrorCode.NONE:
                return None
            found.append(part.offset)
        return found[0], found[1]


def committed(data: Buffer, aborted: set[tuple[int, int]], start: int) -> list[tuple[int, str]]:
    """The records that a read_committed consumer hands out: a marker ends what was aborted."""
    found: list[tuple[int, str]] = []
    dropping: set[int] = set()
    for position, header in iter_batches(data):
        begun = {each for each in aborted if each[1] <= header.base_offset}
        dropping |= {producer_id for producer_id, _ in begun}
        aborted -= begun
        if header.is_control:
            dropping.discard(header.producer_id)
            continue
        if header.is_transactional and header.producer_id in dropping:
            continue
        records, _ = parse(data[position : position + header.size])
        found += [(offset, value.decode()) for offset, value in records if offset >= start]
    return found


class GroupSeed(Seed):
    """A seed whose clients are members of groups."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        pick = Random(f"{seed}/groups")
        partitions = pick.randrange(1, 5)
        self.knobs = replace(
            self.knobs,
            page_cache=False,
            topics={INPUT: (partitions, TOPIC), OUTPUT: (partitions, TOPIC)},
        )
        self.run.page_cache = False
        self.host.overrides |= NODE
        self.host.overrides["group.initial.rebalance.delay.ms"] = pick.choice(("0", "300"))
        self.groups = Groups()
        self.members: list[Member] = []
        for group in ("g", "h")[: pick.randrange(1, 3)]:
            kind = pick.choice((ClassicMember, ConsumerMember))
            transactional = pick.randrange(2) == 0
            for number in range(pick.randrange(1, 5)):
                host = self.clients[number % 2]
                name = f"{group}{number}"
                self.members.append(
                    kind(self.run, host, name, self.groups, group, transactional=transactional)
                )

    def execute(self) -> list[Violation]:
        """Everything; what was violated."""
        self.world.run(self._main())
        found = [*self.run.violations, *self.groups.violations]
        found += self._exactly_once()
        return found + check_events(self.groups.events, complete=False)

    def _exactly_once(self) -> list[Violation]:
        """T7: what a group has written is what it has read, once and in order."""
        held: dict[Place, list[str]] = {}
        for event in self.groups.events:
            if isinstance(event, Consumed) and event.isolation is Isolation.COMMITTED:
                place = Place(event.topic, event.partition)
                held.setdefault(place, []).extend(value for _, value in event.records)
        found = []
        for group in self.groups.owned:
            for number in range(self.run.topics[INPUT]):
                outputs = held.get(Place(OUTPUT, number), [])
                came = [each.split("|")[2] for each in outputs if each.split("|")[0] == group]
                went = held.get(Place(INPUT, number), [])[: len(came)]
                if came != went:
                    text = f"{group} made {came} of {went} in partition {number}"
                    found.append(Violation("T7", text))
        return found

    async def _main(self) -> None:
        await self.up()
        for name, (partitions, configs) in self.knobs.topics.items():
            await self.clients[0].spawn(self.admin.create_stable(name, partitions, configs))
        feeder = Feeder(self.run, self.clients[0], "feeder", self.groups)
        workers = [self.clients[0].spawn(feeder.live())]
        workers += [member.host.spawn(member.live()) for member in self.members]
        await self._torment()
        await self._heal()
        await self._within("all partitions are owned", self._owned())
        self.run.over = True
        await asyncio.gather(*workers)
        await self._crash(self.pick.choice(("kill", "power", "stop")))
        await self.up()
        await self._within("transactions end", self.clients[1].spawn(self._read_all()))
        assert await self.host.stop()

    async def _within(self, what: str, work: asyncio.Future[None]) -> None:
        await asyncio.wait([work], timeout=ALIVE_MS / 1000)
        if not work.done():
            work.cancel()
            self.run.violations.append(Violation("liveness", f"not in time: {what}"))
        else:
            work.result()

    def _owned(self) -> asyncio.Future[None]:
        """G4: members that behave share all partitions of the topic."""
        everything = {Place(INPUT, number) for number in range(self.run.topics[INPUT])}

        async def wait() -> None:
            while True:
                owned = self.groups.owned.values()
                if all(set().union(*each.values()) == everything for each in owned):
                    return
                await asyncio.sleep(0.1)

        return asyncio.ensure_future(wait())

    async def _read_all(self) -> None:
        reader = LastReader(self.run, self.clients[1], "last reader", self.groups)
        for topic in (INPUT, OUTPUT):
            while True:
                try:
                    await reader.read_all(topic)
                    break
                except ClientError:
                    await reader.pause(200)
        reader.hang_up()


def main(number: int) -> None:
    """Run one seed and print what it found."""
    seed = GroupSeed(number)
    violations = seed.execute()
    for violation in violations:
        print(f"{violation.rule}: {violation.text}")
    kinds = [type(event).__name__ for event in seed.groups.events]
    print({kind: kinds.count(kind) for kind in sorted(set(kinds))})
    print(f"seed {number}: {len(violations)} violations, trace {seed.world.trace_hash()}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
