"""Directories that `barnabas format` makes: what is in them, and that a node starts on them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from barnabas.config.broker import BrokerConfig, default_properties
from barnabas.log.directory import BadDirectory, LogDirectory, decode_meta
from barnabas.metadata.bootstrap import bootstrap_records, decode_bootstrap
from barnabas.metadata.features import KRAFT_VERSION, METADATA_VERSION
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.releases import formatted_levels, release_level
from barnabas.metadata.snapshot import read_snapshot
from barnabas.ports import Disk
from barnabas.server.directories import BOOTSTRAP_CHECKPOINT, open_directories
from barnabas.server.formatting import (
    Formatted,
    Plan,
    format_node,
    parse_voters,
    standalone,
)
from barnabas.testing.sim import SimWorld
from barnabas.testing.sim.host import SimHost
from barnabas.wire import uuids
from barnabas.wire.messages.update_features_request import FeatureUpdateKey, UpdateFeaturesRequest
from barnabas.wire.messages.update_features_response import UpdateFeaturesResponse
from barnabas.wire.messages.voters_record import Voter, VotersRecord
from tests.sim.node_host import CONTROLLER_PORT, DATA, PORT, NodeHost
from tests.unit.server.calm import Session

CLUSTER = "4L6g3nShT-eMCtK--X86sw"
STATIC = formatted_levels(None, {}, dynamic=False)
DYNAMIC = formatted_levels(None, {}, dynamic=True)
DIRECTORY = uuids.from_text("JEXY6aqzQY-32P5TStzaFg")


def configured(**more: str) -> BrokerConfig:
    """A node's configuration; underscores stand for dots."""
    properties = default_properties(DATA, port=PORT, controller_port=CONTROLLER_PORT)
    return BrokerConfig.from_properties(
        properties | {name.replace("_", "."): value for name, value in more.items()}
    )


def formatted(
    host: SimHost, config: BrokerConfig, plan: Plan, *, ignore_formatted: bool = False
) -> list[Formatted]:
    """What was told."""
    told: list[Formatted] = []
    ports = host.ports
    format_node(
        config,
        plan,
        ports.disk,
        ports.clock,
        ports.random,
        ignore_formatted=ignore_formatted,
        on_formatted=told.append,
    )
    return told


def read(disk: Disk, path: str) -> bytes:
    file = disk.open(path)
    try:
        return file.pread(file.size(), 0)
    finally:
        file.close()


@pytest.fixture
def host() -> SimHost:
    """A machine with an empty disk."""
    return SimWorld(1).host("broker")


def test_a_static_quorum(host: SimHost) -> None:
    config = configured(log_dirs="/b,/a", metadata_log_dir="/m")
    told = formatted(host, config, Plan(CLUSTER, STATIC, None))
    assert told == [
        Formatted("/a", False, False),
        Formatted("/b", False, False),
        Formatted("/m", True, False),
    ]
    disk = host.ports.disk
    ids = set()
    for path in ("/a", "/b", "/m"):
        meta = decode_meta(read(disk, f"{path}/meta.properties"))
        assert (meta.cluster_id, meta.node_id) == (CLUSTER, 1)
        ids.add(meta.directory_id)
        assert decode_bootstrap(read(disk, f"{path}/{BOOTSTRAP_CHECKPOINT}")) == bootstrap_records()
        assert not disk.exists(f"{path}/__cluster_metadata-0")
    assert len(ids - {None}) == 3


def test_a_dynamic_quorum_of_this_node(host: SimHost) -> None:
    config = configured(log_dirs="/a", metadata_log_dir="/m")
    voters = standalone(config, host.ports.random)
    formatted(host, config, Plan(None, DYNAMIC, voters))
    disk = host.ports.disk
    data = read(disk, "/m/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint")
    records: list[object] = []
    content = read_snapshot(data, records.append)
    assert (content.kraft_version, content.voters, records) == (1, voters, [])
    (voter,) = voters.voters
    endpoint = voter.endpoints[0]
    assert (endpoint.name, endpoint.host, endpoint.port) == ("CONTROLLER", "localhost", 9093)
    own = decode_meta(read(disk, "/m/meta.properties")).directory_id
    assert own == voter.voter_directory_id
    assert decode_meta(read(disk, "/a/meta.properties")).directory_id != own
    assert not disk.exists("/a/__cluster_metadata-0")
    levels = {
        getattr(r, "name", None) for r in decode_bootstrap(read(disk, "/m/bootstrap.checkpoint"))
    }
    assert KRAFT_VERSION not in levels


def test_what_is_formatted_is_left_alone_when_asked_to(host: SimHost) -> None:
    first = configured(log_dirs="/a")
    formatted(host, first, Plan(CLUSTER, STATIC, None))
    before = read(host.ports.disk, "/a/meta.properties")
    both = configured(log_dirs="/a,/b")
    plan = Plan(None, STATIC, None)
    with pytest.raises(BadDirectory, match="/a is formatted already"):
        formatted(host, both, plan)
    assert not host.ports.disk.exists("/b/meta.properties")
    told = formatted(host, both, plan, ignore_formatted=True)
    assert told == [Formatted("/a", True, True), Formatted("/b", False, False)]
    assert read(host.ports.disk, "/a/meta.properties") == before
    assert decode_meta(read(host.ports.disk, "/b/meta.properties")).cluster_id == CLUSTER


@pytest.mark.parametrize("ignore", [False, True])
def test_what_belongs_to_others_is_refused(host: SimHost, ignore: bool) -> None:
    formatted(host, configured(), Plan(CLUSTER, STATIC, None))
    other = Plan("AAAAAAAAQACAAAAAAAAAAg", STATIC, None)
    with pytest.raises(BadDirectory, match="belongs to node 1 of cluster"):
        formatted(host, configured(), other, ignore_formatted=ignore)
    with pytest.raises(BadDirectory, match="belongs to node 1 of cluster"):
        formatted(
            host, configured(node_id="2"), Plan(CLUSTER, STATIC, None), ignore_formatted=ignore
        )


def test_a_directory_in_use_is_refused(host: SimHost) -> None:
    used = LogDirectory(host.ports.disk, DATA)
    used.lock()
    with pytest.raises(BlockingIOError):
        formatted(host, configured(), Plan(CLUSTER, STATIC, None))
    used.unlock()
    formatted(host, configured(), Plan(CLUSTER, STATIC, None))


def test_a_formatting_that_was_interrupted_is_done_again(host: SimHost) -> None:
    """meta.properties is the last file to be written; without it nothing starts on the rest."""
    config = configured()
    disk, ports = host.ports.disk, host.ports
    formatted(host, config, Plan(CLUSTER, DYNAMIC, standalone(config, ports.random)))
    disk.unlink(f"{DATA}/meta.properties")
    with pytest.raises(BadDirectory, match="barnabas format"):
        open_directories(config, disk, ports.clock, ports.random)
    voters = standalone(config, ports.random)
    formatted(host, config, Plan(CLUSTER, DYNAMIC, voters))
    opened = open_directories(config, disk, ports.clock, ports.random)
    assert opened.metadata.meta is not None
    assert opened.metadata.meta.directory_id == voters.voters[0].voter_directory_id
    opened.unlock()


def test_a_metadata_log_is_never_formatted_away(host: SimHost) -> None:
    config = configured()
    disk = host.ports.disk
    disk.make_dirs(f"{DATA}/__cluster_metadata-0")
    disk.open(f"{DATA}/__cluster_metadata-0/00000000000000000000.log", create=True).close()
    with pytest.raises(BadDirectory, match=r"lost its meta\.properties"):
        formatted(host, config, Plan(CLUSTER, STATIC, None))
    with pytest.raises(BadDirectory, match=r"no meta\.properties"):
        open_directories(config, disk, host.ports.clock, host.ports.random)


def test_voters_as_text() -> None:
    voters = parse_voters(f"1@h:9:{uuids.to_text(DIRECTORY)}", "C")
    (voter,) = voters.voters
    assert (voter.voter_id, voter.voter_directory_id) == (1, DIRECTORY)
    six = parse_voters(f" 3@[::1]:0:{uuids.to_text(DIRECTORY)} ,", "C").voters[0]
    assert (six.voter_id, six.endpoints[0].host, six.endpoints[0].port) == (3, "::1", 0)


@pytest.mark.parametrize(
    "text",
    ["", "1", "1@h:9", "@h:9:{}", "x@h:9:{}", "-1@h:9:{}", "1@:9:{}", "1@h::{}", "1@h:65536:{}",
     "1@h:9:short", "1@h:9:{},1@h:8:{}", "2147483648@h:9:{}"],
)  # fmt: skip
def test_what_names_no_voters(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_voters(text.replace("{}", uuids.to_text(DIRECTORY)), "C")


def test_levels_of_a_format() -> None:
    assert STATIC[KRAFT_VERSION] == 0
    assert DYNAMIC[KRAFT_VERSION] == 1
    old = formatted_levels(release_level("3.9"), {"transaction.version": 1}, dynamic=True)
    assert (old[METADATA_VERSION], old["transaction.version"], old["group.version"]) == (21, 1, 0)
    assert formatted_levels(None, {METADATA_VERSION: 22}, dynamic=False)["group.version"] == 1


@pytest.mark.parametrize(
    ("release", "features", "dynamic", "complaint"),
    [
        (30, {METADATA_VERSION: 30}, False, "not both"),
        (None, {"nothing": 1}, False, "no feature nothing"),
        (None, {"group.version": 2}, False, "0 to 1"),
        (None, {"group.version": -1}, False, "0 to 1"),
        (22, {"eligible.leader.replicas.version": 1}, False, "needs metadata.version"),
        (None, {KRAFT_VERSION: 1}, False, KRAFT_VERSION),
        (None, {KRAFT_VERSION: 0}, True, KRAFT_VERSION),
        (None, {METADATA_VERSION: 31}, False, "7 to 30"),
    ],
)
def test_levels_that_do_not_fit(
    release: int | None, features: Mapping[str, int], dynamic: bool, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        formatted_levels(release, features, dynamic=dynamic)


def on_formatted(levels: Mapping[str, int], voters: VotersRecord | None = None) -> Session:
    """A client of a host whose disk was formatted by hand, and that has not started yet."""
    world = SimWorld(1)
    node = NodeHost(world)
    formatted(node.host, node.config(), Plan(CLUSTER, levels, voters))
    return Session(world, node)


def image(node: NodeHost) -> MetadataImage:
    assert node.node is not None
    return node.node.broker.image


@pytest.mark.parametrize("release", ["3.3", "3.4", "3.5", "3.6", "3.7", "3.9", "4.0", "4.3"])
def test_a_node_of_every_release_starts_works_and_is_raised(release: str) -> None:
    session = on_formatted(formatted_levels(release_level(release), {}, dynamic=False))
    node = session.node

    async def main() -> None:
        assert await node.start()
        assert image(node).features.version == release_level(release)
        assert (1 in image(node).cluster.controllers) == (release_level(release) >= 15)
        await session.create("t")
        await session.produce("t", session.batch(b"old"))
        await session.restart("kill")
        assert await session.values("t") == [b"old"]
        key = FeatureUpdateKey(METADATA_VERSION, 30)
        answer = await session.ask(UpdateFeaturesRequest(1000, [key]), UpdateFeaturesResponse)
        assert answer.error_code == 0, answer.error_message
        await session.sleep(1000)
        assert 1 in image(node).cluster.controllers
        assert image(node).cluster.brokers[1].directories
        assert not image(node).cluster.brokers[1].fenced
        await session.produce("t", session.batch(b"new"))
        await session.restart("kill")
        assert await session.values("t") == [b"old", b"new"]
        session.hang_up()
        assert await node.stop()

    session.world.run(main())


def test_a_node_starts_on_a_dynamic_quorum_of_itself() -> None:
    voters = VotersRecord(voters=[Voter(1, DIRECTORY)])
    session = on_formatted(DYNAMIC, voters)
    node = session.node

    async def main() -> None:
        assert await node.start()
        assert node.node is not None
        assert node.node.broker.metadata.kraft_version == 1
        await session.create("t")
        await session.restart("power")
        assert node.node.broker.metadata.kraft_version == 1
        session.hang_up()
        assert await node.stop()

    session.world.run(main())


def test_two_directories_at_an_old_level_and_their_placements_once_it_is_raised() -> None:
    world = SimWorld(1)
    node = NodeHost(world, {"log.dirs": "/a,/b"})
    levels = formatted_levels(release_level("3.6"), {}, dynamic=False)
    formatted(node.host, node.config(), Plan(CLUSTER, levels, None))
    session = Session(world, node)

    async def main() -> None:
        assert await node.start()
        await session.create("t", 4)
        for index in range(4):
            await session.produce("t", session.batch(b"%d" % index), index=index)
        key = FeatureUpdateKey(METADATA_VERSION, 30)
        answer = await session.ask(UpdateFeaturesRequest(1000, [key]), UpdateFeaturesResponse)
        assert answer.error_code == 0, answer.error_message
        await session.sleep(1000)
        assert len(image(node).cluster.brokers[1].directories) == 2
        await session.restart()
        for index in range(4):
            assert await session.values("t", index=index) == [b"%d" % index]
        partitions = image(node).topics.by_name["t"].partitions.values()
        known = set(image(node).cluster.brokers[1].directories)
        assert {d for partition in partitions for d in partition.directories} <= known
        session.hang_up()
        assert await node.stop()

    world.run(main())
