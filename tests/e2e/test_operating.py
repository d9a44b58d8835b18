"""What an operator sees of a node from outside: its port for metrics and health."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from barnabas.cli.exits import Exit
from tests.e2e.node import BARNABAS, DEADLINE_S, Node, Shell, run, start_arguments


def ask(address: str, path: str) -> str:
    """The body of a page. Raises `HTTPError`."""
    with urlopen(f"http://{address}{path}", timeout=DEADLINE_S) as answer:
        body: bytes = answer.read()
    return body.decode()


def test_metrics_and_health_of_a_real_process(tmp_path: Path) -> None:
    node = Node(tmp_path / "data", "--metrics-port", "0")
    address = node.facts["metrics"]
    assert address.startswith("127.0.0.1:")
    assert "event loop turns" in ask(address, "/livez")
    assert "unfenced" in ask(address, "/readyz")
    Shell(node.address)("produce", "t", stdin=b"a\nb\n")
    lines = ask(address, "/metrics").splitlines()
    assert 'kafka_server_brokertopicmetrics_messagesin_total{topic="t"} 2' in lines
    found = dict(line.split() for line in lines if line.startswith("process_"))
    assert float(found["process_resident_memory_bytes"]) > 1 << 20
    assert int(found["process_open_fds"]) > 3
    assert float(found["process_cpu_seconds_total"]) > 0
    assert float(found["process_start_time_seconds"]) > 1_500_000_000
    with pytest.raises(HTTPError, match="404"):
        ask(address, "/")
    assert node.stop() == Exit.OK


def test_metrics_that_cannot_be_offered_stop_the_start(tmp_path: Path) -> None:
    node = Node(tmp_path / "first", "--metrics-port", "0")
    port = node.facts["metrics"].rpartition(":")[2]
    code, said = Shell(node.address).fail(
        "start", "--data", str(tmp_path / "second"), "--port", "0", "--metrics-port", port
    )
    assert code == Exit.CANNOT_START
    assert f"metrics on localhost:{port}" in said
    code, said = Shell(node.address).fail(
        "start",
        "--data",
        str(tmp_path / "second"),
        "--port",
        str(int(port) - 1),
        "--metrics-port",
        port,
    )
    assert code == Exit.CANNOT_START
    assert f"Port {port} is named twice" in said
    assert node.stop() == Exit.OK


@pytest.mark.parametrize("host", ["192.0.2.1", "nobody.invalid", "a..b"])
def test_an_address_of_another_machine_stops_the_start(host: str, tmp_path: Path) -> None:
    done = run("", "start", "--data", str(tmp_path / "data"), "--port", "0", "--host", host)
    said = done.stderr.decode()
    assert done.returncode == Exit.CANNOT_START
    assert f"Cannot listen on PLAINTEXT://{host}:0" in said
    assert "Give an address of this machine with --host" in said


def test_health_as_a_command(tmp_path: Path) -> None:
    node = Node(tmp_path / "data", "--metrics-port", "0")
    sh = Shell(node.address)
    assert b"unfenced" in sh("health", "--address", node.facts["metrics"])
    assert b"loop turns" in sh("health", "--address", node.facts["metrics"], "--live")
    node.stop()
    code, said = sh.fail("health", "--address", node.facts["metrics"])
    assert code == Exit.CANNOT_CONNECT
    assert "--metrics-port" in said


def test_a_dump_goes_to_the_log_and_the_node_goes_on(tmp_path: Path) -> None:
    node = Node(tmp_path / "data")
    node.process.send_signal(signal.SIGQUIT)
    while "end of the dump" not in node.log.read_text():
        assert node.process.poll() is None
    lines = node.log.read_text().splitlines()
    assert any("most recent call first" in line for line in lines)
    events = [json.loads(line) for line in lines if line.startswith("{")]
    dump = [event for event in events if event["logger"] == "barnabas.dump"]
    assert [dump[0]["message"], dump[-1]["message"]] == ["dump", "end of the dump"]
    assert any("_until_stopped" in event.get("stack", "") for event in dump)
    Shell(node.address)("topics", "list")
    assert node.stop() == Exit.OK


def test_a_service_manager_hears_of_start_and_stop(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.settimeout(DEADLINE_S)
        channel.bind(str(tmp_path / "notify"))
        process = subprocess.Popen(
            start_arguments(tmp_path / "data"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
        )
        assert channel.recv(100) == b"READY=1"
        process.terminate()
        assert channel.recv(100) == b"STOPPING=1"
        assert process.wait(DEADLINE_S) == Exit.OK


def test_a_node_from_the_variables_of_a_container(tmp_path: Path) -> None:
    environment = {
        "KAFKA_NODE_ID": "7",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS": "127.0.0.1:9093",
        "KAFKA_NUM_PARTITIONS": "5",
        "KAFKA_LOG_DIRS": str(tmp_path / "data"),
        "KAFKA_HEAP_OPTS": "-Xmx1G",
        "CLUSTER_ID": "4L6g3nShT-eMCtK--X86sw",
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
    command = [*BARNABAS, "start", "--env", "--log-format", "json"]

    def started(more: dict[str, str]) -> subprocess.Popen[str]:
        with (tmp_path / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                env=clean | environment | more,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    for more in ({}, {"CLUSTER_ID": "5L6g3nShT-eMCtK--X86sw"}):
        process = started(more)
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        assert (facts["node_id"], facts["cluster_id"]) == (7, "4L6g3nShT-eMCtK--X86sw")
        assert facts["data"] == [str(tmp_path / "data")]
        made = run(facts["address"], "topics", "create", "t", "--if-not-exists")
        assert made.returncode == Exit.OK, made.stderr
        [topic] = Shell(facts["address"]).json("topics", "describe", "t")
        assert len(topic["partitions"]) == 5
        process.terminate()
        assert process.wait(DEADLINE_S) == Exit.OK
        process.stdout.close()
    log = (tmp_path / "log").read_text()
    assert "nothing here reads KAFKA_HEAP_OPTS" in log
    assert "the data belongs to cluster 4L6g3nShT-eMCtK--X86sw, not to 5L6g3nShT" in log


def test_a_container_about_which_nothing_is_said(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
    process = subprocess.Popen(
        [*BARNABAS, "start", "--env", "--log-format", "json", "--port", "0"],
        cwd=tmp_path,
        env=clean | {"KAFKA_BARNABAS_METRICS_LISTENER": "127.0.0.1:0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    facts = json.loads(process.stdout.readline())
    assert facts["data"] == [str(tmp_path / "data")]
    assert "unfenced" in ask(facts["metrics"], "/readyz")
    port = facts["address"].rpartition(":")[2]
    for host in ("127.0.0.1", "[::1]"):
        Shell(f"{host}:{port}")("topics", "list")
    process.terminate()
    assert process.wait(DEADLINE_S) == Exit.OK
    process.stdout.close()


def test_ipv6_from_end_to_end(tmp_path: Path) -> None:
    node = Node(tmp_path / "data", "--host", "::1", "--metrics-port", "0")
    assert node.address.startswith("[::1]:")
    assert node.facts["metrics"].startswith("[::1]:")
    assert "unfenced" in ask(node.facts["metrics"], "/readyz")
    sh = Shell(node.address)
    sh("topics", "create", "t")
    sh("produce", "t", stdin=b"hello\n")
    assert sh("consume", "t", "--from", "beginning", "--max", "1") == b"hello\n"
    [broker] = sh.json("cluster", "describe")["brokers"]
    assert f"[{broker['host']}]:{broker['port']}" == node.address
    assert sh("health", "--address", node.facts["metrics"]).startswith(b"ok")
    assert node.stop() == Exit.OK


def test_every_address_is_told_as_the_one_that_was_reached(tmp_path: Path) -> None:
    properties = tmp_path / "server.properties"
    properties.write_text(
        "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n"
        "controller.quorum.bootstrap.servers=[::1]:9093\n"
        "listeners=PLAINTEXT://[::]:0,CONTROLLER://[::1]:0\n"
    )
    node = Node(tmp_path / "data", "--config", str(properties))
    port = node.address.rpartition(":")[2]
    for host in ("::1", "127.0.0.1"):
        literal = f"[{host}]" if ":" in host else host
        [broker] = Shell(f"{literal}:{port}").json("cluster", "describe")["brokers"]
        assert broker == {"id": 1, "host": host, "port": int(port), "rack": None}
    assert node.stop() == Exit.OK


def test_the_doctor_before_a_start_and_beside_a_node(tmp_path: Path) -> None:
    def doctor(*arguments: str) -> tuple[int, dict[str, list[str]]]:
        done = run("", "doctor", *arguments, "-o", "json")
        found = json.loads(done.stdout)
        by_level: dict[str, list[str]] = {}
        for finding in found["findings"]:
            by_level.setdefault(finding["level"], []).append(finding["text"])
        assert found["worst"] in by_level
        return done.returncode, by_level

    ports = "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"
    data = str(tmp_path / "data")
    _, found = doctor("--data", data, "--override", ports)
    # The machine's clock and disk are its own.
    assert [text for text in found.get("error", []) if "tmpfs" not in text] == []
    assert any("synced write" in text for text in found["ok"] + found.get("warning", []))
    code, found = doctor("--data", data, "--override", ports, "--override", "node.id=x")
    assert code == Exit.DOCTOR_FINDS_ERRORS
    node = Node(tmp_path / "data")
    port = node.address.rpartition(":")[2]
    taken = f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:0"
    code, found = doctor("--data", data, "--override", taken)
    assert code == Exit.DOCTOR_FINDS_ERRORS
    assert any("cannot be opened" in text for text in found["error"])
    assert any("a node runs on it" in text for text in found["note"])
    Shell(node.address)("topics", "create", "t")
    code, found = doctor("--bootstrap-server", node.address)
    assert "error" not in found
    assert any(f":{port}, reachable from here" in text for text in found["ok"])
    assert node.stop() == Exit.OK
    assert run("", "doctor", "-b", node.address).returncode == Exit.CANNOT_CONNECT


def test_benchmarks_measure_what_they_did(tmp_path: Path) -> None:
    node = Node(tmp_path / "data")
    sh = Shell(node.address)
    sh("topics", "create", "t", "--partitions", "3")
    sent = sh.json("bench", "produce", "t", "--records", "2000", "--size", "50", "-z", "lz4")
    assert (sent["records"], sent["failed"]) == (2000, 0)
    assert 0 < sent["latency_ms_p50"] <= sent["latency_ms_p99"] <= sent["latency_ms_max"]
    paced = sh.json("bench", "produce", "t", "--records", "100", "--rate", "500", "--acks", "1")
    assert paced["records"] == 100
    unheard = sh.json("bench", "produce", "t", "--records", "100", "--acks", "0")
    assert unheard["records"] == 100
    read = sh.json("bench", "consume", "t")
    assert read["records"] == 2200
    assert 500 <= sh.json("bench", "consume", "t", "--records", "500")["records"] <= 2200
    sh("topics", "create", "probe")
    there_and_back = sh.json("bench", "latency", "probe", "--records", "20")
    assert there_and_back["records"] == 20
    assert there_and_back["latency_ms_p50"] > 0
    assert b"records per second" in sh("bench", "consume", "t")
    code, _ = sh.fail("bench", "consume", "missing")
    assert code == Exit.NOT_FOUND
    assert node.stop() == Exit.OK
