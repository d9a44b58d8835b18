"""A node under the limits of its system."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

from tests.e2e.node import DEADLINE_S, Node, Shell


def test_connections_do_not_take_the_files_of_the_logs(tmp_path: Path) -> None:
    """However many clients come: a log that cannot open its file fails, and the node with it."""
    node = Node(tmp_path / "data", open_files=160)
    shell = Shell(node.address)
    host, port = node.address.rsplit(":", 1)
    shell("topics", "create", "t")
    with ExitStack() as stack:
        clients = []
        for _ in range(400):
            client = stack.enter_context(socket.create_connection((host, int(port)), DEADLINE_S))
            client.settimeout(DEADLINE_S)
            clients.append(client)
        refused = 0
        for client in clients[40:]:
            refused += client.recv(1) == b""
        assert refused == 360
        # Those that were let in are served, and what they ask for needs files.
        name = b"made-by-metadata"
        body = b"\0\3\0\4\0\0\0\1\xff\xff" + b"\0\0\0\1" + b"\0\x10" + name + b"\1"
        clients[0].sendall(len(body).to_bytes(4, "big") + body)
        assert clients[0].recv(4)
    shell("produce", "t", stdin=b"still here\n")
    assert shell.json("topics", "list")
    assert node.stop() == 0
