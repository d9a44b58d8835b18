"""Metrics and health of a node."""

from __future__ import annotations

import re

import pytest

from barnabas.instruments import Times
from barnabas.log.errors import StorageError
from barnabas.records.builder import build_batch
from barnabas.server.dump import describe
from barnabas.server.health import Stage
from barnabas.server.loop_watch import AVERAGE_NS, LoopWatch
from barnabas.server.metrics.exposition import MS, PIECE_STEPS, pieces, summary, text
from barnabas.server.node import Node
from barnabas.wire.messages.consumer_group_heartbeat_request import ConsumerGroupHeartbeatRequest
from barnabas.wire.messages.consumer_group_heartbeat_response import ConsumerGroupHeartbeatResponse
from barnabas.wire.messages.delete_groups_request import DeleteGroupsRequest
from barnabas.wire.messages.delete_groups_response import DeleteGroupsResponse
from barnabas.wire.messages.find_coordinator_request import FindCoordinatorRequest
from barnabas.wire.messages.find_coordinator_response import FindCoordinatorResponse
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse
from barnabas.wire.messages.offset_commit_request import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from barnabas.wire.messages.offset_commit_response import OffsetCommitResponse
from tests.unit.server.calm import Session, calm
from tests.unit.server.http_client import Answer, get

PORT = 9404
ON = {"barnabas.metrics.listener": f":{PORT}"}
_SAMPLE = re.compile(r'([a-z_:][a-z0-9_:]*)(?:\{((?:[a-zA-Z_]+="[^"\\\n]*",?)*)\})? (\S+)')


async def ask(s: Session, path: str) -> Answer:
    return await get(s.host.ports, s.node.host.address, PORT, path)


class Metrics(dict[str, float]):
    """Samples by name and labels; reading them checks the format."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        kinds: dict[str, str] = {}
        family = ""
        assert body.endswith(b"\n")
        for line in body.decode().splitlines():
            if line.startswith("# HELP "):
                family = line.split()[2]
                assert family not in kinds, line
            elif line.startswith("# TYPE "):
                _, _, name, kinds[family] = line.split()
                assert name == family
                assert kinds[family] in ("counter", "gauge", "summary")
            else:
                found = _SAMPLE.fullmatch(line)
                assert found, line
                name = found[1]
                if kinds[family] == "summary":
                    name = name.removesuffix("_sum").removesuffix("_count")
                assert name == family, line
                assert line.rpartition(" ")[0] not in self, line
                self[line.rpartition(" ")[0]] = float(found[3])


async def scrape(s: Session) -> Metrics:
    answer = await ask(s, "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Metrics(answer.body)


def test_groups_show_under_kafkas_names() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", 2)
        assert not [name for name in await scrape(s) if "coordinator" in name], "nobody needs one"
        topic_id = (await s.ask(MetadataRequest(None), MetadataResponse)).topics[0].topic_id
        parts = [OffsetCommitRequestPartition(at, 1) for at in (0, 1)]
        commit = OffsetCommitRequest(
            "simple", topics=[OffsetCommitRequestTopic("t", topic_id, parts)]
        )
        find = FindCoordinatorRequest("", 0, ["simple"])
        await s.ask(find, FindCoordinatorResponse)
        for _ in range(2):
            await s.ask(commit, OffsetCommitResponse)
        consumer = ConsumerGroupHeartbeatRequest(
            "c",
            "m",
            0,
            rebalance_timeout_ms=1_000,
            subscribed_topic_names=["t"],
            topic_partitions=[],
        )
        await s.ask(consumer, ConsumerGroupHeartbeatResponse)
        found = await scrape(s)
        bean = "kafka_coordinator_group_groupmetadatamanager"
        assert found[f"{bean}_numoffsets"] == 2
        assert (found[f"{bean}_numgroups"], found[f"{bean}_numgroupsempty"]) == (1, 1)
        metrics = "kafka_server_group_coordinator_metrics"
        assert found[f'{metrics}_group_count{{protocol="classic"}}'] == 1
        assert found[f'{metrics}_group_count{{protocol="consumer"}}'] == 1
        assert found[f'{metrics}_consumer_group_count{{state="stable"}}'] == 1
        assert found[f"{metrics}_offset_commit_count"] == 4
        assert found[f"{metrics}_consumer_group_rebalance_count"] == 1
        assert found[f'{metrics}_num_partitions{{state="loading"}}'] == 0
        assert found[f'{metrics}_num_partitions{{state="active"}}'] >= 1
        assert found[f"{metrics}_partition_load_time_max"] >= 0
        await s.ask(DeleteGroupsRequest(["simple"]), DeleteGroupsResponse)
        found = await scrape(s)
        assert (found[f"{bean}_numoffsets"], found[f"{bean}_numgroups"]) == (0, 0)
        assert found[f"{metrics}_offset_deletion_count"] == 2

    calm(scenario, ON)


@pytest.mark.effect_of("barnabas.metrics.listener")
def test_traffic_shows_under_kafkas_names() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", 2)
        data = s.batch(b"a", b"b", b"c")
        for _ in range(2):
            await s.produce("t", data)
        await s.fetch("t")
        await s.sleep(1000)
        found = await scrape(s)
        topics = "kafka_server_brokertopicmetrics"
        assert found[f"{topics}_messagesin_total"] == 6
        assert found[f'{topics}_messagesin_total{{topic="t"}}'] == 6
        assert found[f'{topics}_bytesin_total{{topic="t"}}'] == 2 * len(data)
        assert found[f'{topics}_bytesout_total{{topic="t"}}'] == 2 * len(data)
        requests = "kafka_network_requestmetrics"
        assert found[f'{requests}_requests_total{{request="Produce",version="13"}}'] == 2
        assert found[f'{requests}_totaltimems_count{{request="Produce"}}'] == 2
        assert found[f'{requests}_remotetimems_count{{request="FetchConsumer"}}'] == 1
        assert found[f'{requests}_totaltimems_sum{{request="Produce"}}'] > 0
        assert f'{requests}_localtimems{{request="Produce",quantile="0.99"}}' in found
        log = '{topic="t",partition="0"}'
        assert found[f"kafka_log_log_size{log}"] == 2 * len(data)
        assert found[f"kafka_log_log_logendoffset{log}"] == 6
        assert found[f"kafka_log_log_logstartoffset{log}"] == 0
        assert found[f"kafka_log_log_numlogsegments{log}"] == 1
        assert found["kafka_server_replicamanager_partitioncount"] == 2
        assert found["kafka_server_replicamanager_leadercount"] == 2
        assert found["kafka_server_replicamanager_underreplicatedpartitions"] == 0
        assert found["kafka_server_replicamanager_atminisrpartitioncount"] == 2
        assert found["kafka_controller_kafkacontroller_globaltopiccount"] == 1
        assert found["kafka_controller_kafkacontroller_activecontrollercount"] == 1
        sockets = "kafka_server_socket_server_metrics"
        labels = '{listener="PLAINTEXT",networkProcessor="0"}'
        assert found[f"{sockets}_connection_count{labels}"] == 1
        assert found["kafka_log_logflushstats_logflushrateandtimems_count"] >= 3
        assert found["kafka_server_kafkaserver_brokerstate"] == 3
        assert found['kafka_server_raft_metrics_current_state_info{state="leader"}'] == 1
        assert found["barnabas_loop_lag_seconds_count"] > 0

    calm(scenario, ON)


def test_a_node_without_a_metrics_listener_opens_no_port() -> None:
    async def scenario(s: Session) -> None:
        with pytest.raises(ConnectionRefusedError):
            await ask(s, "/livez")

    calm(scenario)


def test_sizes_of_segments_that_nobody_has_looked_at_yet() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", segment_bytes="1048576")
        data = s.batch(b"x" * 400_000)
        for _ in range(6):
            await s.produce("t", data)
        await s.restart()
        await s.produce("t", data)  # opens the log: the old segments are only listed
        found = await scrape(s)
        log = '{topic="t",partition="0"}'
        assert found[f"kafka_log_log_numlogsegments{log}"] == 4
        assert found[f"kafka_log_log_size{log}"] == 7 * len(data)

    calm(scenario, ON)


def test_a_node_is_alive_before_it_is_ready_and_until_it_is_gone() -> None:
    async def scenario(s: Session) -> None:
        assert (await ask(s, "/livez")).status == 200
        ready = await ask(s, "/readyz")
        assert ready.status == 200, ready.body
        assert b"ok   log directories: 1 of 1 online\n" in ready.body
        node = s.node.node
        assert node is not None
        for stage in (Stage.STARTING, Stage.STOPPING):
            node.stage = stage
            answer = await ask(s, "/readyz")
            assert answer.status == 503
            assert answer.body.startswith(f"FAIL stage: {stage.name.lower()}\n".encode())
            assert (await ask(s, "/livez")).status == 200
        node.stage = Stage.RUNNING
        assert (await ask(s, "/readyz")).status == 200

    calm(scenario, ON)


def test_a_node_whose_metadata_failed_is_neither(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(s: Session) -> None:
        node = s.node.node
        assert node is not None
        assert node.metadata is not None
        node.metadata.fail(StorageError("on purpose"))
        for path in ("/livez", "/readyz"):
            answer = await ask(s, path)
            assert answer.status == 503
            assert b"on purpose" in answer.body

    calm(scenario, ON)
    assert "the node stops" in caplog.text


def test_one_failed_directory_of_two_is_told_and_counted() -> None:
    async def scenario(s: Session) -> None:
        node = s.node.node
        assert node is not None
        assert node.manager is not None
        bad = next(home for home in node.manager.directories if home.path == "/more")
        node.manager.failed(bad, OSError(5, "Input/output error"))
        await s.sleep(100)
        answer = await ask(s, "/readyz")
        assert answer.status == 200
        assert b"/more is offline" in answer.body
        found = await scrape(s)
        assert found["kafka_log_logmanager_offlinelogdirectorycount"] == 1
        assert found['kafka_log_logmanager_logdirectoryoffline{logDirectory="/more"}'] == 1
        total = found['barnabas_log_directory_total_bytes{logDirectory="/data"}']
        assert 0 < found['barnabas_log_directory_usable_bytes{logDirectory="/data"}'] <= total
        assert 'barnabas_log_directory_usable_bytes{logDirectory="/more"}' not in found
        uncleanable = "kafka_log_logcleanermanager_uncleanable_partitions_count"
        assert found[f'{uncleanable}{{logDirectory="/data"}}'] == 0
        assert found['barnabas_throttled_connections{listener="PLAINTEXT"}'] == 0

    calm(scenario, ON | {"log.dirs": "/data,/more"})


def test_the_last_cleaning_under_the_names_of_kafka() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", cleanup_policy="compact", segment_ms="1")
        begin = await scrape(s)
        prefix = "kafka_log_logcleaner"
        assert begin[prefix + "manager_time_since_last_run_ms"] < 1000
        assert begin[prefix + "_cleaner_recopy_percent"] == 0
        for value in (b"1", b"2", b"3", b"4"):
            batch = build_batch([(b"a", value, s.now, ())])
            answer = await s.produce("t", bytes(batch))
            assert answer.error_code == 0
            await s.sleep(10)
        await s.sleep(1500)
        found = await scrape(s)
        assert found[prefix + "manager_max_dirty_percent"] >= 0
        assert found[prefix + "_cleaner_recopy_percent"] == 33
        assert found[prefix + "_max_clean_time_secs"] >= 0
        assert found[prefix + "_max_buffer_utilization_percent"] >= 0
        assert found[prefix + "_max_compaction_delay_secs"] == 0
        uncleanable = prefix + "manager_uncleanable_bytes"
        assert found[f'{uncleanable}{{logDirectory="/data"}}'] == 0

    calm(scenario, ON | {"log.cleaner.backoff.ms": "500"})


def test_a_scrape_of_many_partitions_comes_in_small_pieces() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", 1000)
        node = s.node.node
        assert node is not None
        for index in range(1000):
            await node.broker.partitions.open("t", index)
        found = await scrape(s)
        assert found["kafka_server_replicamanager_partitioncount"] == 1000
        assert found['kafka_log_log_logendoffset{topic="t",partition="999"}'] == 0

    calm(scenario, ON)


def test_pieces_end_after_so_many_steps_even_without_lines() -> None:
    found = list(pieces([""] * PIECE_STEPS + ["a\n"]))
    assert found == [b"", b"a\n"]


def test_a_part_that_was_never_timed_took_no_time() -> None:
    whole, part = Times(), Times()
    for _ in range(9):
        whole.add(5_000_000)
    part.add(4_000_000)
    lines = summary("x_ms", 'a="b",', part, 0, MS, of=whole).splitlines()
    assert lines[-1] == 'x_ms_count{a="b"} 9'
    assert lines[-2] == 'x_ms_sum{a="b"} 4'
    median = float(lines[0].rpartition(" ")[2])
    assert median < 0.01


def test_label_values_are_escaped() -> None:
    assert text('a"b\\c\nd') == r'"a\"b\\c\nd"'


def test_the_loops_idle_share_follows_its_processor_time() -> None:
    now = cpu = 0
    watch = LoopWatch(lambda: now, lambda: cpu)
    for _ in range(10 * AVERAGE_NS // 250_000_000):
        watch.swept(250)
        now += 250_000_000
        cpu += 50_000_000
    assert watch.idle == pytest.approx(0.8, abs=0.01)
    now += 1_000_000_000  # called a second late
    watch.swept(250)
    assert watch.lag.total_ns == 1_000_000_000


def test_a_dump_tells_of_everything_that_is_there() -> None:
    async def scenario(s: Session) -> None:
        node = s.node.node
        assert node is not None
        await s.create("t")
        await s.produce("t", s.batch(b"a"))
        told = list(describe(node, s.node.host.ports.executor))
        about = [name for name, _ in told]
        assert about[:3] == ["node", "metadata log", "memory of connections"]
        assert about.count("listener") == 2
        connection = dict(told)["connection"]
        assert connection["client_id"] == "barnabas"
        assert (connection["waiting"], connection["queued"]) == ([], 0)
        assert dict(told)["logs"].items() >= {"open": 1, "on_disk": 1}.items()
        assert dict(told)["log directory"] == {"path": "/data", "offline": ""}

    calm(scenario)


def test_a_node_that_is_not_started_can_be_dumped() -> None:
    async def scenario(s: Session) -> None:
        node = Node(s.node.config(), s.host.ports)
        assert [name for name, _ in describe(node, s.host.ports.executor)] == ["node"]

    calm(scenario)
