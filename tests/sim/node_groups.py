"""Members of consumer groups on a simulated node: they note what they do as events for the checkers.

A member reads its partitions of `in` from the committed offsets on. It commits plainly, or in
transactions that write what it makes of each value to `out` (read, process, write).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from barnabas.client.errors import ClientError
from barnabas.records.builder import build_batch
from barnabas.testing.checkers import Event, Violation
from barnabas.testing.checkers.events import (
    Assigned,
    Begun,
    Committed,
    Consumed,
    Ended,
    Ending,
    Isolation,
    Lost,
    Place,
    Produced,
    Revoked,
)
from barnabas.testing.sim import SimHost, SimLoop
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.end_txn_request import EndTxnRequest
from barnabas.wire.messages.end_txn_response import EndTxnResponse
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.fetch_response import FetchResponse
from barnabas.wire.messages.find_coordinator_request import FindCoordinatorRequest
from barnabas.wire.messages.find_coordinator_response import FindCoordinatorResponse
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.offset_commit_request import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from barnabas.wire.messages.offset_commit_response import OffsetCommitResponse
from barnabas.wire.messages.offset_fetch_request import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from barnabas.wire.messages.offset_fetch_response import OffsetFetchResponse
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import ProduceResponse
from barnabas.wire.messages.txn_offset_commit_request import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from barnabas.wire.messages.txn_offset_commit_response import TxnOffsetCommitResponse
from tests.sim.node_clients import Client, Run, parse

INPUT, OUTPUT = "in", "out"
SESSION_MS, REBALANCE_MS, TRANSACTION_MS = 2_000, 2_000, 3_000
NOT_MINE = (
    ErrorCode.UNKNOWN_MEMBER_ID,
    ErrorCode.ILLEGAL_GENERATION,
    ErrorCode.FENCED_INSTANCE_ID,
    ErrorCode.FENCED_MEMBER_EPOCH,
    ErrorCode.STALE_MEMBER_EPOCH,
)


class PutOut(Exception):
    """The member is none any more."""


@dataclass
class Groups:
    """What all members share: their events, and what else went wrong."""

    events: list[Event] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    transactions: int = 0
    last: int = 0
    owned: dict[str, dict[str, set[Place]]] = field(default_factory=dict)
    """Group -> member -> what it believes to own."""


def transform(group: str, transaction: str, value: str) -> str:
    """What a member makes of a value; each attempt is told apart."""
    return f"{group}|{transaction}|{value}"


class Noting(Client):
    """A client with a list of events."""

    def __init__(self, run: Run, host: SimHost, name: str, groups: Groups) -> None:
        super().__init__(run, host, name)
        self.groups = groups

    def now(self) -> int:
        """Microseconds of the world; each call is later than the one before."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        self.groups.last = max(self.groups.last + 1, loop.now_us)
        return self.groups.last

    def note(self, event: Event) -> None:
        """Something happened."""
        self.groups.events.append(event)


class Member(Noting):
    """What the two protocols share: positions, reading, committing."""

    def __init__(
        self,
        run: Run,
        host: SimHost,
        name: str,
        groups: Groups,
        group: str,
        *,
        transactional: bool,
    ) -> None:
        super().__init__(run, host, name, groups)
        self.group = group
        self.member_id = ""
        self.generation = -1
        self.mine: set[Place] = groups.owned.setdefault(group, {}).setdefault(name, set())
        self.positions: dict[Place, int] = {}
        self.heard_ms = 0
        """When the request was sent that last told that it is a member."""
        self.asked_ms: int | None = None
        """When the first of the heartbeats was sent that may have told it to give back, None: by
        `heard_ms`. One whose answer was lost has started the coordinator's rebalance timer too."""
        self.transactional = transactional
        self.producer: tuple[int, int] | None = None
        self._pending: tuple[str, bool] | None = None
        """The transaction under way, and whether it was told to commit."""

    # -- what is mine --------------------------------------------------------------------------------

    def take(self, places: set[Place]) -> None:
        """Partitions come. An answer that was under way for longer than a session gives nothing: it
        may have been put out since, and the partitions given to another one."""
        if not self.fresh():
            self.lose()
        elif places:
            self.mine |= places
            self.note(
                Assigned(self.name, self.now(), self.group, tuple(sorted(places)), self.generation)
            )

    def give_back(self, places: set[Place]) -> None:
        """Partitions go, because it was asked to."""
        if not self.fresh():
            self.lose()
        elif places:
            self.note(Revoked(self.name, self.now(), self.group, tuple(sorted(places))))
            self._forget(places)

    def fresh(self) -> bool:
        """Whether nobody can have put it out yet; when in doubt a member gives nothing back, it has
        lost it."""
        now_ms = self.ports.clock.monotonic_ms()
        asked_ms = self.heard_ms if self.asked_ms is None else self.asked_ms
        return now_ms - self.heard_ms < SESSION_MS and now_ms - asked_ms < REBALANCE_MS

    def lose(self) -> None:
        """It learns that it was put out."""
        if self.mine:
            self.note(Lost(self.name, self.now(), self.group, tuple(sorted(self.mine))))
            self._forget(set(self.mine))

    def _forget(self, places: set[Place]) -> None:
        self.mine -= places
        for place in places:
            self.positions.pop(place, None)

    async def live(self) -> None:
        """Be a member until the run is over, whatever happens to the node."""
        while not self.run.over:
            try:
                await self.work()
            except ClientError:
                await self.pause(200)
            except PutOut:
                self.lose()
                self.member_id = ""
                self.generation = -1
            except KafkaError:
                await self.pause(100)
        self.lose()
        self.hang_up()

    async def find(self, key_type: int, key: str) -> bool:
        """FindCoordinator; whether there is one."""
        request = FindCoordinatorRequest("", key_type, [key])
        answer = await self.ask(request, FindCoordinatorResponse)
        if answer.coordinators[0].error_code == ErrorCode.NONE:
            return True
        await self.pause(200)
        return False

    # -- reading and committing ----------------------------------------------------------------------

    async def serve(self) -> None:
        """One round: read a partition, and commit what was read."""
        known = [place for place in sorted(self.mine) if place in self.positions]
        unknown = self.mine - set(known)
        if unknown:
            await self.fetch_positions(sorted(unknown))
        elif known:
            place = self.random.choice(known)
            records = await self.read(place)
            if self.transactional:
                await self.process(place, records)
            else:
                if records:
                    told = ((each, value) for each, value in records)
                    self.note(Consumed(self.name, self.now(), *place, tuple(told), self.group))
                    self.positions[place] = records[-1][0] + 1
                await self.commit(place)

    async def fetch_positions(self, places: list[Place]) -> None:
        """OffsetFetch, of stable offsets only."""
        topic_id = await self.topic_id(INPUT)
        if topic_id is None:
            return
        topic = OffsetFetchRequestTopics(INPUT, topic_id, [each.partition for each in places])
        request = OffsetFetchRequest(
            groups=[OffsetFetchRequestGroup(self.group, None, -1, [topic])], require_stable=True
        )
        found = (await self.ask(request, OffsetFetchResponse)).groups[0]
        if found.error_code != ErrorCode.NONE:
            await self.pause(100)
            return
        for part in found.topics[0].partitions:
            place = Place(INPUT, part.partition_index)
            if part.error_code == ErrorCode.NONE and place in self.mine:
                self.positions[place] = max(0, part.committed_offset)
            elif part.error_code == ErrorCode.UNSTABLE_OFFSET_COMMIT:
                await self.pause(100)

    async def read(self, place: Place) -> list[tuple[int, str]]:
        """A few records from its position on."""
        topic_id = await self.topic_id(place.topic)
        if topic_id is None:
            return []
        start = self.positions[place]
        part = FetchPartition(place.partition, fetch_offset=start, partition_max_bytes=500)
        request = FetchRequest(
            max_wait_ms=100,
            min_bytes=1,
            max_bytes=2_000,
            session_epoch=-1,
            topics=[FetchTopic(place.topic, topic_id, [part])],
        )
        answer = await self.ask(request, FetchResponse)
        if not answer.responses:
            return []
        found = answer.responses[0].partitions[0]
        if found.error_code != ErrorCode.NONE:
            return []
        records, _ = parse(found.records or b"")
        return [(offset, value.decode()) for offset, value in records if offset >= start]

    async def commit(self, place: Place) -> None:
        """OffsetCommit."""
        topic_id = await self.topic_id(place.topic)
        position = self.positions.get(place)
        if topic_id is None or position is None:
            return
        part = OffsetCommitRequestPartition(place.partition, position)
        request = OffsetCommitRequest(
            self.group,
            self.generation,
            self.member_id,
            topics=[OffsetCommitRequestTopic(place.topic, topic_id, [part])],
        )
        begun = self.now()
        answer = await self.ask(request, OffsetCommitResponse)
        code = ErrorCode(answer.topics[0].partitions[0].error_code)
        if code == ErrorCode.NONE:
            offsets = ((place.topic, place.partition, position),)
            self.note(Committed(self.name, self.now(), self.group, begun, offsets))
        elif code in NOT_MINE:
            raise PutOut

    # -- transactions --------------------------------------------------------------------------------

    async def process(self, place: Place, records: list[tuple[int, str]]) -> None:
        """Read, process, write: one transaction for these records and their offset."""
        if self.producer is None:
            self._rewind()  # whatever the last transaction came to
            await self._initialise()
            return
        if not records:
            return
        self.groups.transactions += 1
        name = f"{self.name}/{self.groups.transactions}"
        self._pending = (name, False)
        self.note(Begun(self.name, self.now(), name))
        self.note(
            Consumed(
                self.name,
                self.now(),
                *place,
                tuple(records),
                self.group,
                Isolation.UNCOMMITTED,
                name,
            )
        )
        try:
            await self._write(place, records, name)
            offsets = await self._commit_in_transaction(place, records[-1][0] + 1, name)
            commit = self.random.randrange(5) > 0
            self.note(Ending(self.name, self.now(), name, commit))
            self._pending = (name, commit)
            producer_id, epoch = self.producer
            request = EndTxnRequest(self.name, producer_id, epoch, commit)
            answer = await self.ask(request, EndTxnResponse)
            if answer.error_code != ErrorCode.NONE:
                raise KafkaError(ErrorCode(answer.error_code))
        except (KafkaError, ClientError):
            self.producer = None
            raise
        self._pending = None
        self.producer = (answer.producer_id, answer.producer_epoch)
        self.note(offsets)
        self.note(Ended(self.name, self.now(), name, commit))
        if commit:
            self.positions[place] = records[-1][0] + 1
        else:
            self._rewind()

    def _rewind(self) -> None:
        """Back to what is committed, as if its partitions were new to it."""
        if not self.fresh():
            raise PutOut
        mine = set(self.mine)
        self.give_back(mine)
        self.take(mine)

    async def _initialise(self) -> None:
        """A new epoch, which ends whatever was open."""
        if not await self.find(1, self.name):
            return
        request = InitProducerIdRequest(self.name, TRANSACTION_MS)
        answer = await self.ask(request, InitProducerIdResponse)
        if answer.error_code != ErrorCode.NONE:
            await self.pause(100)
            return
        self.producer = (answer.producer_id, answer.producer_epoch)
        if self._pending is not None and not self._pending[1]:
            self.note(Ended(self.name, self.now(), self._pending[0], False))
        self._pending = None

    async def _write(self, place: Place, records: list[tuple[int, str]], name: str) -> None:
        """Into the partition of the same number. Sequences begin at 0 with each epoch (KIP-890)."""
        assert self.producer is not None
        topic_id = await self.topic_id(OUTPUT)
        if topic_id is None:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_ID)
        values = [transform(self.group, name, value) for _, value in records]
        for value in values:
            self.note(Produced(self.name, self.now(), OUTPUT, value, name, once=False))
        now = self.ports.clock.wall_ms()
        producer_id, epoch = self.producer
        data = bytes(
            build_batch(
                [(None, value.encode(), now, ()) for value in values],
                producer_id=producer_id,
                producer_epoch=epoch,
                base_sequence=0,
                transactional=True,
            )
        )
        part = PartitionProduceData(place.partition, data)
        topic = TopicProduceData(OUTPUT, topic_id, [part])
        answer = await self.ask(ProduceRequest(self.name, -1, 5_000, [topic]), ProduceResponse)
        code = ErrorCode(answer.responses[0].partition_responses[0].error_code)
        if code != ErrorCode.NONE:
            raise KafkaError(code)

    async def _commit_in_transaction(self, place: Place, position: int, name: str) -> Committed:
        assert self.producer is not None
        part = TxnOffsetCommitRequestPartition(place.partition, position)
        topic = TxnOffsetCommitRequestTopic(place.topic, [part])
        begun = self.now()
        request = TxnOffsetCommitRequest(
            self.name,
            self.group,
            *self.producer,
            self.generation,
            self.member_id,
            None,
            [topic],
        )
        answer = await self.ask(request, TxnOffsetCommitResponse)
        code = ErrorCode(answer.topics[0].partitions[0].error_code)
        if code != ErrorCode.NONE:
            raise KafkaError(code)
        offsets = ((place.topic, place.partition, position),)
        return Committed(self.name, self.now(), self.group, begun, offsets, name)
