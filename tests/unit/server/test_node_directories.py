"""Several log directories: placement, a failed, a missing, a new one, and the way back."""

from __future__ import annotations

import pytest

from barnabas.log.directory import BadDirectory
from barnabas.metadata.image.partition import NO_LEADER
from barnabas.testing.sim import DiskFault
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest, DeleteTopicState
from barnabas.wire.messages.delete_topics_response import DeleteTopicsResponse
from barnabas.wire.messages.describe_log_dirs_request import DescribeLogDirsRequest
from barnabas.wire.messages.describe_log_dirs_response import DescribeLogDirsResponse
from barnabas.wire.messages.metadata_request import MetadataRequest, MetadataRequestTopic
from barnabas.wire.messages.metadata_response import (
    MetadataResponse,
    MetadataResponsePartition,
)
from tests.unit.server.calm import Session, calm

TWO = {"log.dirs": "/data,/more"}
STORAGE = ErrorCode.KAFKA_STORAGE_ERROR


def homes(s: Session, topic: str = "t") -> dict[int, str]:
    """Path of the log directory of each partition, as the node sees it."""
    assert s.node.node is not None
    manager = s.node.node._manager
    return {index: home.path for (name, index), home in manager.homes.items() if name == topic}


def assigned(s: Session, topic: str = "t") -> dict[int, str]:
    """The same as the metadata has it."""
    assert s.node.node is not None
    paths = {
        home.meta.directory_id: home.path
        for home in s.node.node._manager.directories
        if home.meta is not None
    }
    partitions = s.node.node.broker.image.topics.by_name[topic].partitions
    return {n: paths.get(p.directory(1) or b"", "?") for n, p in partitions.items()}


async def described(s: Session, topic: str = "t") -> dict[int, MetadataResponsePartition]:
    """Metadata of the partitions of a topic."""
    request = MetadataRequest([MetadataRequestTopic(name=topic)], False)
    found = (await s.ask(request, MetadataResponse)).topics[0]
    return {p.partition_index: p for p in found.partitions}


async def online(s: Session) -> dict[str, bool]:
    """Log directories by path; whether they are online."""
    answer = await s.ask(DescribeLogDirsRequest(None), DescribeLogDirsResponse)
    return {d.log_dir: d.error_code == 0 for d in answer.results}


async def filled(s: Session, partitions: int = 2) -> None:
    """Topic t with a record in each partition: even ones in /data, odd ones in /more."""
    await s.create("t", partitions)
    for index in range(partitions):
        assert (await s.produce("t", s.batch(b"%d" % index), index=index)).error_code == 0
    assert homes(s) == {n: ("/data", "/more")[n % 2] for n in range(partitions)}


def stored(s: Session, base: str) -> list[str]:
    """Partition directories below a log directory."""
    disk = s.node.host.disk
    return [name for name in disk.list_dir(base) if disk.is_dir(f"{base}/{name}")]


@pytest.mark.effect_of("log.dirs")
def test_new_partitions_go_where_the_fewest_are_and_the_metadata_learns_where() -> None:
    async def scenario(s: Session) -> None:
        await filled(s, 5)
        await s.sleep(10)
        assert assigned(s) == homes(s)
        await s.create("u", 3)
        assert sorted(homes(s, "u").values()) == ["/data", "/more", "/more"]
        await s.restart("power")
        await s.sleep(10)
        assert assigned(s) == homes(s)
        assert assigned(s, "u") == homes(s, "u")

    calm(scenario, TWO)


def test_a_directory_that_fails_goes_offline_and_the_rest_serves_on() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        s.node.host.disk.faults.rules.append(DiskFault("sync", path="/more/t-1", times=-1))
        assert (await s.produce("t", s.batch(b"lost"), index=1)).error_code == STORAGE
        assert await online(s) == {"/data": True, "/more": False}
        assert (await s.fetch("t", index=1)).error_code == STORAGE
        assert (await s.produce("t", s.batch(b"on"), index=0)).error_code == 0
        assert await s.values("t") == [b"0", b"on"]
        found = await described(s)
        assert (found[0].leader_id, found[0].offline_replicas) == (1, [])
        assert found[1].error_code == ErrorCode.LEADER_NOT_AVAILABLE
        assert (found[1].leader_id, found[1].offline_replicas) == (NO_LEADER, [1])
        await s.create("u", 3)
        assert set(homes(s, "u").values()) == {"/data"}
        s.node.host.disk.faults.rules.clear()
        await s.restart("stop")
        await s.sleep(10)
        found = await described(s)
        assert [(p.leader_id, p.offline_replicas) for p in found.values()] == [(1, []), (1, [])]
        assert (await s.values("t", index=1))[0] == b"1"

    calm(scenario, TWO)


def test_a_missing_directory_is_offline_and_nothing_begins_anew_in_its_place() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        disk = s.node.host.disk
        s.hang_up()
        assert await s.node.stop()
        disk.rename("/more", "/unmounted")
        assert await s.node.start()
        for kind in ("stop", "power"):
            assert await online(s) == {"/data": True, "/more": False}
            assert (await s.fetch("t", index=1)).error_code == STORAGE
            assert (await s.produce("t", s.batch(b"x"), index=1)).error_code == STORAGE
            assert (await described(s))[1].offline_replicas == [1]
            assert await s.values("t") == [b"0"]
            assert stored(s, "/more") == []
            assert "t-1" not in stored(s, "/data")
            await s.restart(kind)
        s.hang_up()
        assert await s.node.stop()
        disk.remove_tree("/more")
        disk.rename("/unmounted", "/more")
        assert await s.node.start()
        assert await online(s) == {"/data": True, "/more": True}
        assert await s.values("t", index=1) == [b"1"]
        assert (await s.produce("t", s.batch(b"x"), index=1)).error_code == 0

    calm(scenario, TWO)


@pytest.mark.parametrize("kind", ["mkdir", "open", "read", "sync"])
def test_a_directory_that_fails_at_the_start_is_offline(kind: str) -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        disk = s.node.host.disk
        s.hang_up()
        assert await s.node.stop()
        if kind == "mkdir":
            disk.rename("/more", "/unmounted")
        path = {"open": "/more/meta", "read": "/more/replication-offset"}.get(kind, "/more")
        disk.faults.rules.append(DiskFault(kind, path=path, times=-1))
        if kind == "sync":
            disk.rename("/more/meta.properties", "/more/old")
            s.node.overrides["log.dirs"] = "/data,/more,/third"
        assert await s.node.start()
        assert (await online(s))["/more"] is False
        assert (await s.fetch("t", index=1)).error_code == STORAGE
        assert await s.values("t") == [b"0"]
        disk.faults.rules.clear()

    calm(scenario, TWO)


def test_a_new_directory_is_formatted_and_used() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        s.node.overrides["log.dirs"] = "/data,/more,/third"
        await s.restart("stop")
        assert await online(s) == {"/data": True, "/more": True, "/third": True}
        await s.create("u", 1)
        assert homes(s, "u") == {0: "/third"}
        await s.restart("power")
        assert await s.values("t", index=1) == [b"1"]
        await s.sleep(10)
        assert assigned(s, "u") == {0: "/third"}

    calm(scenario, TWO)


def test_what_was_in_a_directory_that_is_used_no_more_begins_anew() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        disk = s.node.host.disk
        s.hang_up()
        assert await s.node.stop()
        disk.rename("/more", "/unmounted")
        assert await s.node.start()
        s.node.overrides["log.dirs"] = "/data"
        await s.restart("stop")
        assert await online(s) == {"/data": True}
        assert homes(s) == assigned(s) == {0: "/data", 1: "/data"}
        assert [p.leader_id for p in (await described(s)).values()] == [1, 1]
        assert [await s.values("t", index=n) for n in range(2)] == [[b"0"], []]
        s.node.overrides["log.dirs"] = "/data,/more"
        await s.restart("stop")
        assert await online(s) == {"/data": True, "/more": True}

    calm(scenario, TWO)


def test_a_partition_whose_files_a_crash_prevented_is_made_at_the_start() -> None:
    async def scenario(s: Session) -> None:
        s.node.host.disk.faults.stall_us = 100_000
        await s.create("t", 2)
        await s.restart("power")
        assert homes(s) == assigned(s) == {0: "/data", 1: "/more"}
        assert (await s.produce("t", s.batch(b"x"), index=1)).error_code == 0

    calm(scenario, TWO)


def test_the_metadata_log_must_be_there() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        disk = s.node.host.disk
        s.hang_up()
        assert await s.node.stop()
        disk.rename("/data", "/unmounted")
        with pytest.raises(BadDirectory, match="/data is empty and should hold the metadata log"):
            await s.node.start()
        s.node.host.kill()
        disk.remove_tree("/data")
        disk.rename("/unmounted", "/data")
        assert await s.node.start()
        assert await s.values("t") == [b"0"]

    calm(scenario, TWO)


def test_without_the_metadata_directory_or_any_log_directory_the_node_stops() -> None:
    async def fails(s: Session, paths: dict[str, str], sentence: str) -> None:
        faults = s.node.host.disk.faults
        for path in paths:
            faults.rules.append(DiskFault("sync", path=path, times=-1))
        for index in range(2):
            await s.produce("t", s.batch(b"x"), index=index)
        assert s.node.node is not None
        assert s.node.node.failed is not None
        assert sentence in await s.node.node.failed
        faults.rules.clear()

    async def metadata(s: Session) -> None:
        await filled(s)
        await fails(s, {"/data/t-0": ""}, "the metadata log in /data failed")

    async def all_of_them(s: Session) -> None:
        await filled(s)
        await fails(s, {"/data/t-0": "", "/more/t-1": ""}, "every log directory is offline")

    calm(metadata, TWO)
    calm(all_of_them, {**TWO, "metadata.log.dir": "/meta"})


def test_a_topic_made_anew_while_a_directory_is_away_is_not_mixed_with_its_former_self() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        disk = s.node.host.disk
        s.hang_up()
        assert await s.node.stop()
        disk.rename("/more", "/unmounted")
        assert await s.node.start()
        doomed = DeleteTopicsRequest([DeleteTopicState(name="t")], timeout_ms=5000)
        assert (await s.ask(doomed, DeleteTopicsResponse)).responses[0].error_code == 0
        await s.create("t", 2)
        for index in range(2):
            assert (await s.produce("t", s.batch(b"new"), index=index)).error_code == 0
        s.hang_up()
        assert await s.node.stop()
        disk.remove_tree("/more")
        disk.rename("/unmounted", "/more")
        assert await s.node.start()
        assert await online(s) == {"/data": True, "/more": True}
        assert [await s.values("t", index=n) for n in range(2)] == [[b"new"], [b"new"]]
        (aside,) = stored(s, "/more")
        assert aside.startswith("t-1.")
        assert aside.endswith("-stray")

    calm(scenario, TWO)


def test_internal_partitions_are_made_while_a_directory_is_away_unless_they_are_there() -> None:
    async def scenario(s: Session) -> None:
        await filled(s)
        name = "__consumer_offsets"
        s.ids[name] = await s.create(name, 4)
        assert homes(s, name) == {}
        for index in (0, 1):
            await s.fetch(name, index=index)
        await s.sleep(10)
        assert assigned(s, name) == {0: "/data", 1: "/more", 2: "?", 3: "?"}
        disk = s.node.host.disk
        s.hang_up()
        assert await s.node.stop()
        disk.rename("/more", "/unmounted")
        assert await s.node.start()
        codes = [(await s.fetch(name, index=n)).error_code for n in range(4)]
        assert codes == [0, STORAGE, 0, 0]
        assert homes(s, name) == {0: "/data", 2: "/data", 3: "/data"}
        s.hang_up()
        assert await s.node.stop()
        disk.remove_tree("/more")
        disk.rename("/unmounted", "/more")
        s.node.overrides["log.dirs"] = "/data,/more,/third"
        assert await s.node.start()
        assert await online(s) == {"/data": True, "/more": True, "/third": True}
        assert [(await s.fetch(name, index=n)).error_code for n in range(4)] == [0, 0, 0, 0]

    calm(scenario, TWO)


def test_an_unused_internal_partition_does_not_keep_a_new_directory_out() -> None:
    async def scenario(s: Session) -> None:
        await s.create("__consumer_offsets", 4)
        s.node.overrides["log.dirs"] = "/data,/more"
        await s.restart("stop")
        assert await online(s) == {"/data": True, "/more": True}

    calm(scenario)
