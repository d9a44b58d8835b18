"""The metadata log of a quorum of one, on a simulated disk."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from barnabas.log.errors import StorageError
from barnabas.metadata.controller.decision import Decision
from barnabas.metadata.errors import MetadataError
from barnabas.metadata.features import initial_levels
from barnabas.metadata.framing import encode_records
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.record_types import BeginTransactionRecord, ConfigRecord
from barnabas.metadata.snapshot import write_snapshot
from barnabas.raft.election import decode_election
from barnabas.raft.types import OffsetAndEpoch, ReplicaKey, Voter, VoterSet
from barnabas.records.batch import iter_batches
from barnabas.records.builder import build_batch
from barnabas.replication.metadata_files import snapshot_name, write_snapshot_file
from barnabas.replication.snapshotter import SnapshotSettings
from barnabas.testing.sim.plan import FaultPlan
from barnabas.testing.sim.world import SimWorld
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.fetch_request import FetchPartition
from barnabas.wire.messages.fetch_snapshot_request import PartitionSnapshot, SnapshotId
from tests.unit.replication.harness import DIRECTORY, Running, refused, run, started

SMALL = SnapshotSettings(max_bytes_between=400, retention_bytes=1 << 40, retention_ms=-1)


def contents(running: Running, name: str) -> bytes:
    """A file of the metadata directory."""
    file = running.ports.disk.open(f"{DIRECTORY}/{name}")
    try:
        return file.pread(file.size(), 0)
    finally:
        file.close()


def test_a_new_cluster_gets_its_first_records_and_publishes_them() -> None:
    async def test(world: SimWorld) -> None:
        ports = world.host("a").ports
        ports.disk.make_dirs("/data")
        running = Running(ports)
        seen: list[tuple[int, int]] = []
        running.log.subscribe(
            lambda old, new, _: seen.append((old.provenance.offset, new.provenance.offset))
        )
        await running.log.start()
        log = running.log
        assert log.image.features.levels() == initial_levels()
        assert log.image.configs.of(4, "") == {"min.insync.replicas": "1"}
        assert (log.leader_id, log.leader_epoch, log.high_watermark) == (1, 1, 10)
        # The LeaderChange batch changes nothing, the bootstrap batch does.
        assert seen == [(0, 9)]
        state = decode_election(contents(running, "quorum-state"))
        assert (state.epoch, state.leader_id, state.voted) == (1, 1, None)
        headers = [h for _, h in iter_batches(contents(running, f"{0:020d}.log"))]
        assert [h.is_control for h in headers] == [True, False]
        assert {h.leader_epoch for h in headers} == {1}

    run(test)


def test_a_reply_comes_after_the_commit_and_the_publishers() -> None:
    async def test(world: SimWorld) -> None:
        running = await started(world.host("a").ports)
        order: list[str] = []
        running.log.subscribe(lambda *_: order.append("published"))
        before = running.log.high_watermark
        reply = await running.put("k")
        order.append("replied")
        assert (reply, order) == ("k", ["published", "replied"])
        assert running.values == {"k": "v"}
        assert running.log.high_watermark == before + 1

    run(test)


def test_decisions_queue_on_what_was_appended_and_are_answered_in_order() -> None:
    async def test(world: SimWorld) -> None:
        running = await started(world.host("a").ports)
        done: list[int] = []

        async def add(number: int) -> None:
            def decide(image: MetadataImage) -> Decision[None]:
                count = len(image.configs.of(2, "t"))
                assert count == number
                return Decision([ConfigRecord(2, "t", str(number), "v")], None)

            await running.log.submit(decide)
            done.append(number)

        await asyncio.gather(*(add(n) for n in range(50)))
        assert done == list(range(50))
        assert len(running.values) == 50

    run(test)


def test_a_refusal_that_rests_on_an_uncommitted_change_waits_for_it() -> None:
    async def test(world: SimWorld) -> None:
        running = await started(world.host("a").ports)
        first = asyncio.ensure_future(running.put("k"))
        await asyncio.sleep(0)

        def exists(image: MetadataImage) -> Decision[bool]:
            return Decision((), "k" in image.configs.of(2, "t"))

        assert await running.log.submit(exists) is True
        assert first.done()
        assert running.values == {"k": "v"}

    run(test)


def test_errors_of_a_decision_reach_the_caller_and_change_nothing() -> None:
    async def test(world: SimWorld) -> None:
        running = await started(world.host("a").ports)
        end = running.log.end_offset

        def refuse(_: MetadataImage) -> Decision[None]:
            raise KafkaError(ErrorCode.INVALID_CONFIG, "no")

        large = [ConfigRecord(2, "t", str(n), "x" * 32_000) for n in range(300)]
        with pytest.raises(KafkaError) as caught:
            await running.log.submit(refuse)
        assert refused(caught.value) is ErrorCode.INVALID_CONFIG
        with pytest.raises(KafkaError) as caught:
            await running.log.submit(lambda _: Decision(large, None))
        assert refused(caught.value) is ErrorCode.POLICY_VIOLATION
        assert running.log.end_offset == end
        await running.put("ok")
        assert running.values == {"ok": "v"}

    run(test)


def test_a_large_decision_that_need_not_be_atomic_is_split() -> None:
    async def test(world: SimWorld) -> None:
        running = await started(world.host("a").ports)
        records = [ConfigRecord(2, "t", str(n % 7), str(n)) for n in range(25_000)]
        before = len(contents(running, f"{0:020d}.log"))
        await running.log.submit(lambda _: Decision(records, None, atomic=False))
        batches = iter_batches(contents(running, f"{0:020d}.log")[before:])
        assert [h.records_count for _, h in batches] == [10_000, 10_000, 5_000]
        assert running.values == {str(n % 7): str(n) for n in range(24_993, 25_000)}

    run(test)


def test_a_caller_that_goes_away_takes_nobody_with_it() -> None:
    async def test(world: SimWorld) -> None:
        running = await started(world.host("a").ports)
        first = asyncio.ensure_future(running.put("a"))
        await asyncio.sleep(0)
        first.cancel()
        await running.put("b")
        assert running.values == {"a": "v", "b": "v"}

    run(test)


def test_a_restart_replays_and_leads_a_new_epoch() -> None:
    async def test(world: SimWorld) -> None:
        ports = world.host("a").ports
        running = await started(ports)
        await running.put("k")
        image = running.log.image
        await running.log.stop()
        again = await started(ports, clean=True)
        assert again.log.leader_epoch == 2
        assert again.log.image.topics == image.topics
        assert again.log.image.configs == image.configs
        assert again.log.image.features == image.features
        assert again.log.end_offset == image.provenance.offset + 2

    run(test)


def test_nothing_is_accepted_after_stop() -> None:
    async def test(world: SimWorld) -> None:
        running = await started(world.host("a").ports)
        await running.log.stop()
        with pytest.raises(KafkaError) as caught:
            await running.put("k")
        assert refused(caught.value) is ErrorCode.NOT_CONTROLLER

    run(test)


def test_a_snapshot_is_written_when_enough_was_committed() -> None:
    async def test(world: SimWorld) -> None:
        ports = world.host("a").ports
        running = await started(ports, snapshots=SMALL)
        for n in range(12):
            await running.put(f"k{n}")
        await running.log.stop()
        names = [n for n in ports.disk.list_dir(DIRECTORY) if n.endswith(".checkpoint")]
        assert len(names) >= 2
        again = await started(ports, snapshots=SMALL)
        assert len(again.values) == 12
        assert again.log.image.features.levels() == initial_levels()

    run(test)


def test_no_snapshot_without_anything_new() -> None:
    async def test(world: SimWorld) -> None:
        ports = world.host("a").ports
        hourly = SnapshotSettings(max_interval_ms=1000)
        running = await started(ports, snapshots=hourly)
        await ports.clock.sleep(5_000)
        assert not any(n.endswith(".checkpoint") for n in ports.disk.list_dir(DIRECTORY))
        await running.put("k")
        await ports.clock.sleep(100)
        assert any(n.endswith(".checkpoint") for n in ports.disk.list_dir(DIRECTORY))
        await running.log.stop()

    run(test)


def test_old_snapshots_and_segments_go_and_the_rest_is_enough() -> None:
    async def test(world: SimWorld) -> None:
        ports = world.host("a").ports
        tight = SnapshotSettings(max_bytes_between=400, retention_bytes=1_000)
        running = await started(ports, snapshots=tight, segment_bytes=500)
        for n in range(40):
            await running.put(f"k{n % 5}", str(n))
        values = running.values
        await running.log.stop()
        names = ports.disk.list_dir(DIRECTORY)
        assert f"{0:020d}.log" not in names
        assert len([n for n in names if n.endswith(".checkpoint")]) < 4
        assert not [n for n in names if n.endswith(".deleted")]
        again = await started(ports, snapshots=tight, segment_bytes=500)
        assert again.values == values
        assert again.log.image.features.levels() == initial_levels()
        verdict = await again.log.reads.fetch(
            ReplicaKey(9), FetchPartition(0, again.log.leader_epoch, 1, 0), 1000
        )
        assert verdict.partition.snapshot_id.end_offset > 1

    run(test)


def test_a_snapshot_ahead_of_the_log_replaces_it() -> None:
    async def test(world: SimWorld) -> None:
        ports = world.host("a").ports
        running = await started(ports)
        image = running.log.image
        await running.log.stop()
        records = [*image.records(), ConfigRecord(2, "t", "from", "afar")]
        batches = write_snapshot(
            records, epoch=6, metadata_version=30, last_contained_timestamp_ms=5, now_ms=5
        )
        write_snapshot_file(ports.disk, DIRECTORY, OffsetAndEpoch(500, 6), batches, "x")
        again = await started(ports)
        assert again.values == {"from": "afar"}
        assert again.log.leader_epoch == 7
        assert again.log.end_offset == 501
        await again.put("k")
        await again.log.stop()
        assert (await started(ports)).values == {"from": "afar", "k": "v"}

    run(test)


def test_half_written_and_half_deleted_snapshots_are_removed() -> None:
    async def test(world: SimWorld) -> None:
        ports = world.host("a").ports
        await (await started(ports)).log.stop()
        name = snapshot_name(OffsetAndEpoch(5, 1))
        for leftover in (name.replace(".checkpoint", "-12.checkpoint.part"), name + ".deleted"):
            ports.disk.open(f"{DIRECTORY}/{leftover}", create=True).close()
        await started(ports)
        left = ports.disk.list_dir(DIRECTORY)
        assert not [n for n in left if n.endswith((".part", ".deleted"))]

    run(test)


def test_a_damaged_snapshot_stops_the_start() -> None:
    async def test(world: SimWorld) -> None:
        ports = world.host("a").ports
        await (await started(ports)).log.stop()
        write_snapshot_file(ports.disk, DIRECTORY, OffsetAndEpoch(500, 6), [b"no"], "x")
        with pytest.raises(MetadataError):
            await started(ports)

    run(test)


def test_a_transaction_left_open_is_aborted() -> None:
    async def test(world: SimWorld) -> None:
        ports = world.host("a").ports
        running = await started(ports)
        end = running.log.end_offset
        await running.log.stop()
        records = [BeginTransactionRecord("x"), ConfigRecord(2, "t", "held", "back")]
        batch = build_batch(
            [(None, value, 5, ()) for value in encode_records(records, 30)],
            base_offset=end,
            leader_epoch=1,
        )
        file = ports.disk.open(f"{DIRECTORY}/{0:020d}.log")
        file.pwritev([batch], file.size())
        file.close()
        again = await started(ports, snapshots=SMALL)
        assert again.values == {}
        for n in range(12):
            await again.put(str(n))
        await again.log.stop()
        assert len((await started(ports, snapshots=SMALL)).values) == 12

    run(test)


def test_a_failed_sync_fails_everybody_and_says_so_once() -> None:
    async def test(world: SimWorld) -> None:
        host = world.host("a")
        running = await started(host.ports)
        host.disk.faults.error_rate = 1.0
        results = await asyncio.gather(
            *(running.put(str(n)) for n in range(3)), return_exceptions=True
        )
        assert [type(result) for result in results] == [StorageError] * 3
        assert len(running.failures) == 1
        with pytest.raises(StorageError):
            await running.put("k")
        assert running.values == {}

    run(test)


def test_a_quorum_of_several_is_refused_with_a_sentence() -> None:
    async def test(world: SimWorld) -> None:
        voters = VoterSet({n: Voter(ReplicaKey(n)) for n in (1, 2, 3)})
        with pytest.raises(KafkaError, match="not supported"):
            await started(world.host("a").ports, voters=voters)

    run(test)


def test_observers_fetch_records_park_at_the_end_and_are_described() -> None:
    async def test(world: SimWorld) -> None:
        running = await started(world.host("a").ports)
        log, observer = running.log, ReplicaKey(9, bytes([9] * 16))
        woken: list[int] = []
        log.on_progress(lambda: woken.append(log.high_watermark))
        answer = await log.reads.fetch(observer, FetchPartition(0, 1, 0, 0), 1 << 20)
        assert not answer.parkable
        assert answer.partition.records is not None
        last = [h.last_offset for _, h in iter_batches(answer.partition.records)][-1]
        at_end = FetchPartition(0, 1, last + 1, 1)
        answer = await log.reads.fetch(observer, at_end, 1 << 20)
        assert answer.parkable
        assert answer.partition.high_watermark == log.high_watermark
        behind = FetchPartition(0, 1, last + 1, 1, high_watermark=3)
        assert not (await log.reads.fetch(observer, behind, 1 << 20)).parkable
        await running.put("k")
        assert woken[-1] == log.high_watermark
        answer = await log.reads.fetch(observer, at_end, 1)
        # A first batch comes whole, however small the limit.
        assert answer.partition.records
        topic = log.reads.describe_quorum(()).topics[0].partitions[0]
        assert (topic.leader_id, topic.high_watermark) == (1, log.high_watermark)
        assert [v.replica_id for v in topic.current_voters] == [1]
        assert [(o.replica_id, o.log_end_offset) for o in topic.observers] == [(9, last + 1)]

    run(test)


def test_snapshots_are_served_in_slices() -> None:
    async def test(world: SimWorld) -> None:
        ports = world.host("a").ports
        running = await started(ports, snapshots=SMALL)
        for n in range(12):
            await running.put(f"k{n}")
        await ports.clock.sleep(100)
        reads, epoch = running.log.reads, running.log.leader_epoch
        answer = await reads.fetch(ReplicaKey(9), FetchPartition(0, epoch, 0, 0), 1000)
        wanted = SnapshotId(
            answer.partition.snapshot_id.end_offset, answer.partition.snapshot_id.epoch
        )
        whole = contents(running, snapshot_name(OffsetAndEpoch(wanted.end_offset, wanted.epoch)))
        got = b""
        while len(got) < len(whole):
            part = await reads.fetch_snapshot(9, PartitionSnapshot(0, epoch, wanted, len(got)), 100)
            assert (part.error_code, part.size, part.position) == (0, len(whole), len(got))
            got += bytes(part.unaligned_records)
        assert got == whole
        for request, code in [
            (PartitionSnapshot(0, epoch, wanted, len(whole)), ErrorCode.POSITION_OUT_OF_RANGE),
            (PartitionSnapshot(0, epoch, wanted, -1), ErrorCode.POSITION_OUT_OF_RANGE),
            (PartitionSnapshot(0, epoch, SnapshotId(3, 1), 0), ErrorCode.SNAPSHOT_NOT_FOUND),
            (PartitionSnapshot(0, epoch + 1, wanted, 0), ErrorCode.UNKNOWN_LEADER_EPOCH),
        ]:
            part = await reads.fetch_snapshot(9, request, 100)
            assert (ErrorCode(part.error_code), bytes(part.unaligned_records)) == (code, b"")

    run(test)


@pytest.mark.parametrize("seed", range(40))
def test_what_was_answered_survives_power_cuts(seed: int) -> None:
    """Crashes at random moments of start, commit, roll, snapshot and clean-up."""

    async def test(world: SimWorld) -> None:
        random = Random(seed)
        host = world.host("a")
        tight = SnapshotSettings(max_bytes_between=300, retention_bytes=1_000)
        promised: dict[str, str] = {}
        attempted: dict[str, set[str]] = {}
        epoch = 0

        async def life(number: int) -> None:
            nonlocal epoch
            running = await started(host.ports, snapshots=tight, segment_bytes=500)
            assert running.log.leader_epoch > epoch
            epoch = running.log.leader_epoch
            assert running.log.image.features.levels() == initial_levels()
            for key in {*promised, *running.values}:
                # An unanswered change may or may not have happened; an answered one has.
                assert running.values.get(key) in {promised.get(key), *attempted.get(key, ())}
                promised[key] = running.values[key]
            attempted.clear()
            for step in range(30):
                key, value = f"k{random.randrange(6)}", f"{number}.{step}"
                attempted.setdefault(key, set()).add(value)
                await running.put(key, value)
                promised[key] = value
                attempted[key].discard(value)

        for number in range(6):
            task = host.spawn(life(number))
            await asyncio.sleep(random.random() * 0.05)
            if task.done():
                task.result()
            if random.random() < 0.5:
                host.power_loss()
            else:
                host.kill()
            host.restart()
        await host.spawn(life(99))

    world = SimWorld(seed, faults=FaultPlan())
    world.run(test(world))
