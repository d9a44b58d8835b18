"""What an operator sees of a node from outside: its port for metrics and health."""

from __future__ import annotations

from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from barnabas.cli.exits import Exit
from tests.e2e.node import DEADLINE_S, Node, Shell


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
    assert node.stop() == Exit.OK
