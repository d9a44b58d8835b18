"""The Java 4.3.1 clients: Admin, producer and consumer, by a program that checks for itself."""

from __future__ import annotations

import pytest

from tests.interop.kafka import Node, java_tool

STOPS = [
    "cluster",
    "topics",
    "configs",
    *(f"codec {codec}" for codec in ("none", "gzip", "snappy", "lz4", "zstd")),
    *(f"acks {acks}" for acks in ("0", "1", "all")),
    "too large",
    "offsets",
    "deleted",
    "directories",
    "operated",
]


@pytest.mark.usefixtures("java")
def test_client_tour(each_node: Node) -> None:
    printed = java_tool("ClientTour", each_node.address).stdout.splitlines()
    assert printed == [*(f"ok {stop}" for stop in STOPS), "tour complete"]
