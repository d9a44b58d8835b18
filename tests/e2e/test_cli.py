"""The command line end to end, against a node that it has started itself.

BARNABAS_E2E_BOOTSTRAP=host:port runs the same commands against another node, an Apache Kafka for
instance; what needs a node of its own starts one all the same.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from barnabas.cli.exits import Exit
from tests.e2e.node import Node, Shell, run, start_arguments

ELSEWHERE = os.environ.get("BARNABAS_E2E_BOOTSTRAP")
_names = count()


@pytest.fixture(scope="module")
def sh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Commands against a node."""
    if ELSEWHERE:
        yield Shell(ELSEWHERE)
        return
    node = Node(tmp_path_factory.mktemp("node") / "data")
    yield Shell(node.address)
    assert node.stop() == Exit.OK


@pytest.fixture
def topic(sh: Shell) -> Iterator[str]:
    """A topic with three partitions."""
    name = f"e2e-{os.getpid()}-{next(_names)}"
    sh("topics", "create", name, "--partitions", "3")
    yield name
    if ELSEWHERE:  # our own node goes away with all its topics
        sh("topics", "delete", name, "--if-exists", "--yes")


# -- topics and configs --


def test_the_life_of_a_topic(sh: Shell) -> None:
    name = f"e2e-{os.getpid()}-life"
    sh("topics", "create", name, "-p", "2", "-c", "retention.ms=1234567")
    listed = sh.json("topics", "list")
    assert [t["partitions"] for t in listed if t["name"] == name] == [2]
    sh("topics", "alter", name, "-p", "4", "--set", "segment.bytes=2097152")
    [described] = sh.json("topics", "describe", name, "--offsets")
    assert described["configs"].items() >= {"retention.ms": "1234567"}.items()
    assert described["configs"]["segment.bytes"] == "2097152"
    assert [(p["partition"], p["start"], p["end"]) for p in described["partitions"]] == [
        (n, 0, 0) for n in range(4)
    ]
    sh("topics", "delete", name)
    code, told = sh.fail("topics", "describe", name)
    assert code == Exit.NOT_FOUND
    assert name in told


def test_creating_twice_and_deleting_twice(sh: Shell, topic: str) -> None:
    code, told = sh.fail("topics", "create", topic)
    assert code == Exit.FAILED
    assert "TOPIC_ALREADY_EXISTS" in told
    sh("topics", "create", topic, "--if-not-exists")
    sh("topics", "delete", topic)
    assert sh.fail("topics", "delete", topic)[0] == Exit.NOT_FOUND
    sh("topics", "delete", topic, "--if-exists")


def test_the_life_of_a_quota(sh: Shell) -> None:
    user = f"e2e-{os.getpid()}"
    sh("quotas", "set", "--user", user, "producer_byte_rate=1e6", "request_percentage=12.5")
    sh("quotas", "set", "--user", user, "--client-id-default", "consumer_byte_rate=5")
    assert sh.json("quotas", "list", "--user", user) == [
        {"entity": {"client-id": None, "user": user}, "quotas": {"consumer_byte_rate": 5}},
        {
            "entity": {"user": user},
            "quotas": {"producer_byte_rate": 1_000_000, "request_percentage": 12.5},
        },
    ]
    sh("quotas", "delete", "--user", user, "request_percentage")
    assert [q["quotas"] for q in sh.json("quotas", "list", "--user", user)] == [
        {"consumer_byte_rate": 5},
        {"producer_byte_rate": 1_000_000},
    ]
    rows = [line.split() for line in sh("quotas", "list", "--user", user).decode().splitlines()]
    assert rows == [
        ["USER", "CLIENT-ID", "IP", "QUOTA", "VALUE"],
        [user, "<default>", "consumer_byte_rate", "5"],
        [user, "producer_byte_rate", "1000000"],
    ]
    sh("quotas", "delete", "--user", user)
    sh("quotas", "delete", "--user", user, "--client-id-default")
    assert sh.json("quotas", "list", "--user", user) == []
    assert sh.fail("quotas", "delete", "--user", user)[0] == Exit.NOT_FOUND


def test_quotas_that_cannot_be_set(sh: Shell) -> None:
    assert sh.fail("quotas", "set", "producer_byte_rate=1")[0] == Exit.USAGE
    assert sh.fail("quotas", "set", "--user", "u", "producer_byte_rate=much")[0] == Exit.USAGE
    both = ("--user", "u", "--user-default")
    assert sh.fail("quotas", "set", *both, "producer_byte_rate=1")[0] == Exit.USAGE
    code, told = sh.fail("quotas", "set", "--ip", "10.0.0.1", "producer_byte_rate=1")
    assert (code, "INVALID_REQUEST" in told) == (Exit.FAILED, True)


def test_what_the_node_refuses(sh: Shell, topic: str) -> None:
    assert sh.fail("topics", "create", "no/such/name")[0] == Exit.FAILED
    assert "INVALID_PARTITIONS" in sh.fail("topics", "alter", topic, "-p", "1")[1]
    assert "INVALID_CONFIG" in sh.fail("topics", "alter", topic, "--set", "retention.ms=x")[1]
    sh("topics", "create", f"{topic}-x", "--validate-only")
    assert sh.fail("topics", "describe", f"{topic}-x")[0] == Exit.NOT_FOUND


def test_configs_are_set_added_to_taken_from_and_deleted(sh: Shell, topic: str) -> None:
    def policy() -> tuple[str, str]:
        [entry] = sh.json("configs", "describe", "topic", topic, "cleanup.policy")
        return entry["value"], entry["source"]

    assert policy() == ("delete", "DEFAULT_CONFIG")
    sh("configs", "alter", "topic", topic, "--append", "cleanup.policy=compact")
    assert policy() == ("delete,compact", "DYNAMIC_TOPIC_CONFIG")
    sh("configs", "alter", "topic", topic, "--subtract", "cleanup.policy=delete")
    assert policy() == ("compact", "DYNAMIC_TOPIC_CONFIG")
    sh("configs", "alter", "topic", topic, "--delete", "cleanup.policy", "--validate-only")
    assert policy()[0] == "compact"
    sh("configs", "alter", "topic", topic, "--delete", "cleanup.policy")
    assert policy() == ("delete", "DEFAULT_CONFIG")
    assert sh.fail("configs", "describe", "topic", topic, "no.such")[0] == Exit.NOT_FOUND


def test_broker_configs(sh: Shell) -> None:
    brokers = sh.json("cluster", "describe")["brokers"]
    node = str(brokers[0]["id"])
    shown = sh.json("configs", "describe", "broker", node, "log.dirs", "node.id")
    assert {entry["name"]: entry["read_only"] for entry in shown} == {
        "log.dirs": True,
        "node.id": True,
    }
    sh("configs", "alter", "broker", "default", "--set", "log.retention.ms=7654321")
    [entry] = sh.json("configs", "describe", "broker", node, "log.retention.ms")
    assert (entry["value"], entry["source"]) == ("7654321", "DYNAMIC_DEFAULT_BROKER_CONFIG")
    sh("configs", "alter", "broker", "default", "--delete", "log.retention.ms")
    assert sh.fail("configs", "describe", "broker", "4711")[0] == Exit.NOT_FOUND


def test_levels_of_loggers(sh: Shell) -> None:
    [node] = sh.json("configs", "list", "broker-logger")

    def level() -> str:
        [entry] = sh.json("configs", "describe", "broker-logger", node, "barnabas.request")
        assert entry["source"] == "DYNAMIC_BROKER_LOGGER_CONFIG"
        return str(entry["value"])

    before = level()
    sh("configs", "alter", "broker-logger", node, "--set", "barnabas.request=FATAL")
    assert level() == "FATAL"
    assert b"barnabas.request" in sh("configs", "describe", "broker-logger", node)
    sh("configs", "alter", "broker-logger", node, "--delete", "barnabas.request")
    assert level() == before
    refused = sh.fail("configs", "alter", "broker-logger", node, "--set", "barnabas.request=loud")
    assert (refused[0], "INVALID_CONFIG" in refused[1]) == (Exit.FAILED, True)


def test_subscriptions_and_groups(sh: Shell) -> None:
    assert sh.fail("configs", "describe", "client-metrics", "all")[0] == Exit.NOT_FOUND
    sh("configs", "alter", "client-metrics", "all", "--set", "interval.ms=1000")
    assert sh.json("configs", "list", "client-metrics") == ["all"]
    [entry] = sh.json("configs", "describe", "client-metrics", "--synonyms")
    assert (entry["resource"], entry["name"], entry["value"]) == ("all", "interval.ms", "1000")
    assert [each["value"] for each in entry["synonyms"]] == ["1000"]
    sh("configs", "alter", "client-metrics", "all", "--delete", "interval.ms")
    assert sh.json("configs", "list", "client-metrics") == []
    session = "consumer.session.timeout.ms"
    sh("configs", "alter", "group", "g", "--set", f"{session}=50000")
    [entry] = sh.json("configs", "describe", "group", "g", session)
    assert (entry["value"], entry["source"]) == ("50000", "DYNAMIC_GROUP_CONFIG")


def test_configs_of_everything_of_a_kind(sh: Shell, topic: str) -> None:
    sh("configs", "alter", "topic", topic, "--set", "flush.ms=77")
    sh("configs", "alter", "broker", "default", "--set", "log.flush.interval.ms=88")
    found = sh.json("configs", "describe", "topic", "--synonyms", "--documentation")
    [entry] = [e for e in found if (e["resource"], e["name"]) == (topic, "flush.ms")]
    assert [each["value"] for each in entry["synonyms"]][:2] == ["77", "88"]
    assert entry["documentation"]
    brokers = {(e["resource"], e["name"]) for e in sh.json("configs", "describe", "broker")}
    assert ("default", "log.flush.interval.ms") in brokers
    rows = sh("configs", "describe", "topic", "--synonyms").decode()
    assert "DYNAMIC_TOPIC_CONFIG:flush.ms=77, DYNAMIC_DEFAULT_BROKER_CONFIG:log.flush" in rows
    sh("configs", "alter", "broker", "default", "--delete", "log.flush.interval.ms")


def test_the_cluster_describes_itself(sh: Shell) -> None:
    found = sh.json("cluster", "describe")
    assert len(found["cluster_id"]) == 22
    assert found["features"]["metadata.version"] >= 30
    assert b"BROKER" in sh("cluster", "describe")


# -- records in and out --


def test_lines_go_in_and_come_out(sh: Shell, topic: str) -> None:
    lines = b"".join(b"line %d\n" % n for n in range(2000))
    sh("produce", topic, "--partition", "1", stdin=lines)
    assert sh("consume", topic) == lines
    assert sh("consume", topic, "--partition", "0") == b""


def test_an_unfinished_last_line_counts_and_empty_lines_do(sh: Shell, topic: str) -> None:
    sh("produce", topic, "-p", "0", stdin=b"a\n\nb")
    assert sh("consume", topic) == b"a\n\nb\n"


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_every_codec(sh: Shell, topic: str, codec: str) -> None:
    lines = b"".join(b"the same words, number %d\n" % n for n in range(500))
    sh("produce", topic, "-p", "0", "-z", codec, stdin=lines)
    assert sh("consume", topic) == lines


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_every_kind_of_acknowledgement(sh: Shell, topic: str, acks: str) -> None:
    sh("produce", topic, "-p", "0", "--acks", acks, stdin=b"x\n")
    with sh.popen(["consume", topic, "--from", "beginning", "--follow", "--max", "1"]) as reader:
        assert reader.communicate(timeout=60)[0] == b"x\n"


def test_bytes_are_bytes(sh: Shell, topic: str) -> None:
    blob = bytes(range(256)) * 100
    sh("produce", topic, "-p", "1", "--whole", "--key", "k", stdin=blob)
    assert sh("consume", topic, "--delimiter", "") == blob
    sh("produce", topic, "-d", "\\0", "-p", "2", stdin=b"a\nb\0c\xff\0")
    assert sh("consume", topic, "-p", "2", "-d", "\\0") == b"a\nb\0c\xff\0"


def test_json_round_trip_with_everything(sh: Shell, topic: str) -> None:
    records: list[dict[str, object]] = [
        {"key": "k", "value": "v", "headers": [["h", "1"], ["h", None]], "timestamp": 1000},
        {"key": None, "value": {"base64": "/w=="}, "headers": [], "timestamp": 2000},
        {"key": "", "value": None, "headers": [], "timestamp": 3000},
    ]
    text = "\n".join(json.dumps(record | {"partition": 2}) for record in records)
    sh("produce", topic, "-f", "json", stdin=text.encode())
    found = sh.lines("consume", topic, "-f", "json")
    fields = ("key", "value", "headers", "timestamp")
    assert [{f: line[f] for f in fields} for line in found] == records
    assert [(line["partition"], line["offset"]) for line in found] == [(2, n) for n in range(3)]


def test_keys_keep_their_partition_and_order(sh: Shell, topic: str) -> None:
    lines = b"".join(b"k%d\t%d\n" % (n % 5, n) for n in range(500))
    sh("produce", topic, "-k", "\\t", stdin=lines)
    places: dict[object, set[object]] = {}
    values: dict[object, list[int]] = {}
    for line in sh.lines("consume", topic, "-f", "json"):
        places.setdefault(line["key"], set()).add(line["partition"])
        values.setdefault(line["key"], []).append(int(str(line["value"])))
    assert all(len(found) == 1 for found in places.values())
    assert values == {f"k{k}": list(range(k, 500, 5)) for k in range(5)}
    assert sorted(sh("consume", topic, "-k", "\\t").splitlines()) == sorted(lines.splitlines())


def test_the_summary_and_the_report(sh: Shell, topic: str) -> None:
    sh("produce", topic, "-p", "1", stdin=b"a\nb\n")
    done = run(sh.address, "produce", topic, "-p", "1", "--report", stdin=b"c\n")
    told = done.stderr.decode()
    assert "1 records" in told
    assert "partition 1: last offset 2" in told


def test_bad_input_is_named_and_what_came_before_is_there(sh: Shell, topic: str) -> None:
    code, told = sh.fail("produce", topic, "-f", "json", stdin=b'{"value":"a"}\nnope\n')
    assert code == Exit.USAGE
    assert "record 2" in told
    assert sh("consume", topic) == b"a\n"
    assert sh.fail("produce", topic, "-p", "3", stdin=b"x")[0] == Exit.NOT_FOUND
    assert sh.fail("consume", topic, "-p", "3")[0] == Exit.NOT_FOUND
    assert sh.fail("consume", f"{topic}-nope")[0] == Exit.NOT_FOUND


def test_a_batch_that_is_too_large_is_refused_with_a_hint(sh: Shell, topic: str) -> None:
    sh("topics", "alter", topic, "--set", "max.message.bytes=1000")
    code, told = sh.fail("produce", topic, "--whole", stdin=bytes(5000))
    assert code == Exit.FAILED
    assert "MESSAGE_TOO_LARGE" in told
    assert "max.message.bytes" in told


# -- where to begin and when to end --


def test_where_to_begin(sh: Shell, topic: str) -> None:
    # The records are of 1970: nothing may take them for old while they are read.
    sh("configs", "alter", "topic", topic, "--set", "retention.ms=-1")
    lines = "\n".join(
        json.dumps({"value": str(n), "timestamp": 1_000_000 * (n + 1), "partition": 0})
        for n in range(10)
    )
    sh("produce", topic, "-f", "json", stdin=lines.encode())

    def read(*arguments: str) -> list[int]:
        return [int(line) for line in sh("consume", topic, *arguments).split()]

    assert read("--from", "beginning") == list(range(10))
    assert read("--from", "end") == []
    assert read("--from", "7", "-p", "0") == [7, 8, 9]
    assert read("--from", "-2") == [8, 9]
    assert read("--from", "@5000000") == [4, 5, 6, 7, 8, 9]
    assert read("--from", "1970-01-01T01:30:00Z") == [5, 6, 7, 8, 9]
    assert read("--from", "-1h") == []
    assert read("--max", "3") == [0, 1, 2]
    assert read("--from", "99", "-p", "0") == []


def test_follow_waits_for_more_and_ctrl_c_ends_it(sh: Shell, topic: str) -> None:
    sh("produce", topic, "-p", "0", stdin=b"before\n")
    with sh.popen(["consume", topic, "--follow", "--from", "-1"]) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"before\n"
        sh("produce", topic, "-p", "1", stdin=b"after\n")
        assert reader.stdout.readline() == b"after\n"
        reader.send_signal(signal.SIGINT)
        _, told = reader.communicate(timeout=60)
        assert reader.returncode == Exit.INTERRUPTED
        assert told == b""


def test_a_reader_that_goes_away_is_no_error_to_shout_about(sh: Shell, topic: str) -> None:
    sh("produce", topic, "-p", "0", stdin=b"some words\n" * 50_000)
    with sh.popen(["consume", topic]) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"some words\n"
        writer.stdout.close()
        assert writer.wait(60) == Exit.BROKEN_PIPE
        assert writer.stderr is not None
        assert writer.stderr.read() == b""


# -- the node --


def test_the_first_screen(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*start_arguments(tmp_path / "d"), "--log-format", "human"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if "Ctrl-C" in line:
            break
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == Exit.OK
    process.stdout.close()
    screen = "\n".join(lines)
    address = lines[0].split()[-1]
    assert lines[0].startswith("Barnabas ")
    assert str(tmp_path / "d") in screen
    assert "cluster id" in screen
    assert "synced" in screen
    for step in ("topics create", "produce", "consume"):
        assert any(step in line and line.endswith(f"-b {address}") for line in lines)


def test_what_was_acknowledged_is_there_after_a_stop_and_after_a_kill(tmp_path: Path) -> None:
    data = tmp_path / "data"
    written = b""
    for number, signal_number in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGTERM)):
        node = Node(data)
        sh = Shell(node.address)
        sh("topics", "create", "t", "--if-not-exists")
        assert sh("consume", "t") == written
        lines = b"".join(b"%d %d\n" % (number, n) for n in range(1000))
        sh("produce", "t", stdin=lines)
        written += lines
        node.end(signal_number)
    node = Node(data)
    assert Shell(node.address)("consume", "t") == written
    assert node.stop() == Exit.OK
    checked = run("", "log", "dump", "--verify", str(data), *map(str, data.glob("*-0")))
    assert checked.returncode == Exit.OK, checked.stdout.decode()


def test_a_node_in_the_way_is_told_apart(tmp_path: Path) -> None:
    node = Node(tmp_path / "one")
    port = node.address.rpartition(":")[2]
    same_port = run("", "start", "--port", port, "--data", str(tmp_path / "two"))
    assert same_port.returncode == Exit.CANNOT_START
    assert b"--port" in same_port.stderr
    same_data = run("", "start", "--port", "0", "--data", str(tmp_path / "one"))
    assert same_data.returncode == Exit.CANNOT_START
    assert b"--data" in same_data.stderr
    assert node.stop() == Exit.OK


def test_events_are_json_when_asked_for(tmp_path: Path) -> None:
    node = Node(tmp_path / "d", "--override", "num.partitons=3", "--log-level", "info")
    assert node.stop() == Exit.OK
    events = [json.loads(line) for line in node.log.read_text().splitlines()]
    [warning] = [e for e in events if e["level"] == "WARNING"]
    assert "num.partitions" in warning["message"]
    assert node.facts["ack_mode"] == "synced"
