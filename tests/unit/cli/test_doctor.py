"""What the doctor makes of what it sees."""

from __future__ import annotations

import fcntl
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from barnabas.cli.doctor import configuration, machine, running
from barnabas.cli.doctor.findings import Finding, Level
from barnabas.client.admin import ConfigEntry, ConfigSource
from barnabas.client.metadata import NodeAddress, PartitionState, TopicState
from barnabas.client.storage import StoredIn
from barnabas.config.broker import BrokerConfig, default_properties
from barnabas.config.endpoints import Endpoint
from barnabas.host import survey
from barnabas.host.survey import ClockFacts, DiskFacts, LimitFacts
from barnabas.wire.errors import ErrorCode

GIB = 1 << 30
NOW = 1_800_000_000_000
DISK = DiskFacts("/d", "/d", True, "ext4", 1, 100 * GIB, 50 * GIB, True, False, (0.5,) * 20)
CLOCK = ClockFacts(NOW, 0.01, 200.0, True)


def bad(findings: Iterable[Finding]) -> list[tuple[Level, str]]:
    """Level and area of what is not well; each of those has a fix."""
    found = [finding for finding in findings if finding.level > Level.NOTE]
    assert all(finding.fix for finding in found)
    return [(finding.level, finding.area) for finding in found]


def texts(findings: Iterable[Finding]) -> str:
    return "\n".join(finding.text for finding in findings)


def config(**overrides: str) -> BrokerConfig:
    given = {name.replace("_", "."): value for name, value in overrides.items()}
    return BrokerConfig.from_properties(default_properties("/data") | given)


# -- configs --


def test_names_that_nobody_knows_and_what_is_not_built() -> None:
    properties = default_properties("/data")
    assert bad(configuration.judge_file(properties)) == []
    assert bad(configuration.judge_file(properties | {"log.retension.ms": "1"})) == [
        (Level.WARNING, "configuration")
    ]
    refused = properties | {"authorizer.class.name": "x.Y"}
    assert bad(configuration.judge_file(refused)) == [(Level.ERROR, "configuration")]


@pytest.mark.parametrize(
    ("overrides", "area"),
    [
        ({"unclean_leader_election_enable": "true"}, "configuration"),
        ({"log_retention_ms": "-1"}, "configuration"),
        ({"log_dirs": "/tmp/x"}, "disk"),
    ],
)
def test_risky_values(overrides: dict[str, str], area: str) -> None:
    assert bad(configuration.judge_values(config())) == []
    assert bad(configuration.judge_values(config(**overrides))) == [(Level.WARNING, area)]


def test_listeners_that_others_reach() -> None:
    assert bad(configuration.judge_listeners(config())) == []
    everywhere = "PLAINTEXT://:9092,CONTROLLER://localhost:9093"
    found = list(configuration.judge_listeners(config(listeners=everywhere)))
    assert bad(found) == [(Level.WARNING, "listeners")]
    assert "clients are told the address that they have reached" in texts(found)
    loopback = config(listeners=everywhere, advertised_listeners="PLAINTEXT://localhost:9092")
    assert "their own machine" in texts(configuration.judge_listeners(loopback))
    controller = config(listeners="PLAINTEXT://localhost:9092,CONTROLLER://[::]:9093")
    assert "the controller is reachable" in texts(configuration.judge_listeners(controller))
    metrics = config(barnabas_metrics_listener=":9404")
    assert "metrics are readable" in texts(configuration.judge_listeners(metrics))


# -- the machine --


@pytest.mark.parametrize(
    ("change", "level", "area"),
    [
        ({"usable": 5 * GIB}, Level.WARNING, "disk"),
        ({"total": 5 * GIB, "usable": GIB // 2 - 1}, Level.WARNING, "disk"),
        ({"kind": "tmpfs"}, Level.ERROR, "disk"),
        ({"kind": "nfs4"}, Level.WARNING, "disk"),
        ({"kind": "fuse.sshfs"}, Level.WARNING, "disk"),
        ({"kind": "overlay"}, Level.WARNING, "disk"),
        ({"writable": False}, Level.ERROR, "disk"),
        ({"sync_ms": (30.0,) * 20}, Level.WARNING, "disk"),
        ({"newest_ms": NOW + 3_600_000}, Level.ERROR, "clock"),
        ({"failure": "Input/output error"}, Level.ERROR, "disk"),
    ],
)
def test_disks(change: dict[str, object], level: Level, area: str) -> None:
    assert bad(machine.judge_disks([DISK], NOW)) == []
    assert bad(machine.judge_disks([DISK._replace(**change)], NOW)) == [(level, area)]  # type: ignore[arg-type]


def test_directories_on_one_volume_are_noted() -> None:
    other = DISK._replace(directory="/e", path="/e")
    assert "share a volume" in texts(machine.judge_disks([DISK, other], NOW))
    assert "share a volume" not in texts(machine.judge_disks([DISK, other._replace(device=2)], NOW))


def test_clocks() -> None:
    assert bad(machine.judge_clock(CLOCK)) == []
    assert "unknown" in texts(machine.judge_clock(CLOCK._replace(synchronised=None)))
    for wrong, level in (
        (CLOCK._replace(wall_ms=0), Level.ERROR),
        (CLOCK._replace(drift_ms=-500.0), Level.WARNING),
        (CLOCK._replace(synchronised=False), Level.WARNING),
    ):
        assert bad(machine.judge_clock(wrong)) == [(level, "clock")]


def test_limits_and_versions() -> None:
    assert bad(machine.judge_limits(LimitFacts(100_000, GIB, 4))) == []
    assert bad(machine.judge_limits(LimitFacts(-1, -1, 1))) == []
    assert bad(machine.judge_limits(LimitFacts(1024, 64 << 20, 4))) == [
        (Level.WARNING, "limits"),
        (Level.WARNING, "limits"),
    ]
    assert bad(machine.judge_versions("1", (3, 11, 0), "0.2")) == []
    assert bad(machine.judge_versions("1", (3, 11, 0), "")) == [(Level.WARNING, "versions")]


# -- looking --


def test_a_directory_of_this_machine(tmp_path: Path) -> None:
    there = survey.look_at_disk(str(tmp_path))
    assert (there.exists, there.writable, there.in_use, there.failure) == (True, True, False, "")
    assert 0 < there.usable <= there.total
    assert len(there.sync_ms) == survey.SYNCS
    assert list(tmp_path.iterdir()) == []
    absent = survey.look_at_disk(str(tmp_path / "a" / "b"))
    assert (absent.exists, absent.path) == (False, str(tmp_path))
    (tmp_path / "file").write_text("")
    assert "no directory" in survey.look_at_disk(str(tmp_path / "file" / "x")).failure


def test_the_lock_of_another_process(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    lock.write_text("")
    holder = (
        "import fcntl, sys\nf = open(sys.argv[1], 'r+b')\nfcntl.lockf(f, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert survey.look_at_disk(str(tmp_path)).in_use
        process.communicate()
    assert not survey.look_at_disk(str(tmp_path)).in_use
    with lock.open("r+b") as file:  # what the doctor tried is given back
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_file_systems_of_linux() -> None:
    assert survey.file_system("/proc/self") == "proc"


def test_this_clock_and_these_limits() -> None:
    clock = survey.look_at_clock()
    assert clock.wall_ms > 1_700_000_000_000
    assert clock.span_ms >= 1000 * survey.CLOCK_SPAN_S
    limits = survey.look_at_limits()
    assert limits.open_files == -1 or limits.open_files > 0


def test_ports_that_are_taken_and_names_that_are_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        problem = survey.cannot_listen("127.0.0.1", port)
        assert problem
        listener = Endpoint("PLAINTEXT", "PLAINTEXT", "127.0.0.1", port)
        assert bad([configuration.judge_opening(listener, problem)]) == [(Level.ERROR, "listeners")]
        assert survey.reach("127.0.0.1", port) == ""
    assert survey.cannot_listen("127.0.0.1", port) == ""
    assert bad([configuration.judge_opening(listener, "")]) == []
    assert survey.reach("127.0.0.1", port) != ""
    assert survey.cannot_listen(None, 0) == ""
    assert survey.resolves("localhost")


# -- a running cluster --


def partition(number: int, leader: int, isr: tuple[int, ...]) -> PartitionState:
    return PartitionState(number, leader, 0, (1,), isr, (), ErrorCode.NONE)


def seen(**changes: object) -> running.Seen:
    topic = TopicState("t", bytes(16), False, {0: partition(0, 1, (1,))}, ErrorCode.NONE)
    directory = StoredIn(1, "/d", ErrorCode.NONE, 100, 50, False, ())
    entry = ConfigEntry("num.partitions", "1", ConfigSource.DEFAULT_CONFIG, False, False, None)
    made = running.Seen(
        "id",
        1,
        [NodeAddress(1, "b", 9092, None)],
        {},
        [topic],
        [directory],
        {1: [entry]},
        (),
        "nat:19092",
    )
    return made._replace(**changes)  # type: ignore[arg-type]


def test_a_cluster_that_is_well() -> None:
    assert bad(running.judge_cluster(seen())) == []
    assert "reachable from here" in texts(running.judge_cluster(seen()))


def test_a_cluster_that_is_not() -> None:
    topic = TopicState(
        "t",
        bytes(16),
        False,
        {0: partition(0, -1, (1,)), 1: partition(1, 1, ())},
        ErrorCode.NONE,
    )
    offline = StoredIn(1, "/d", ErrorCode.KAFKA_STORAGE_ERROR, -1, -1, False, ())
    full = StoredIn(1, "/e", ErrorCode.NONE, 100, 5, False, ())
    risky = ConfigEntry(
        "unclean.leader.election.enable",
        "true",
        ConfigSource.DYNAMIC_BROKER_CONFIG,
        False,
        False,
        None,
    )
    found = list(
        running.judge_cluster(
            seen(
                controller=-1,
                unreachable={"b:9092": "No route to host"},
                topics=[topic],
                directories=[offline, full],
                configs={1: [risky]},
                refused=["configs: no"],
            )
        )
    )
    assert bad(found) == [
        (Level.ERROR, "cluster"),
        (Level.ERROR, "listeners"),
        (Level.ERROR, "partitions"),
        (Level.WARNING, "partitions"),
        (Level.ERROR, "disk"),
        (Level.WARNING, "disk"),
        (Level.WARNING, "configuration"),
    ]
    assert "set at run time" in texts(found)
    assert "--advertise nat:19092, the" in "".join(each.fix for each in found)
    assert "could not be asked for configs" in texts(found)
