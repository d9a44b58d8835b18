"""From `barnabas start`'s options to a node's properties."""

from __future__ import annotations

from barnabas.cli.node_config import StartOptions, node_properties
from barnabas.config.broker import BrokerConfig

FILE = {
    "process.roles": "broker,controller",
    "node.id": "7",
    "listeners": "CONTROLLER://localhost:9093,INSIDE://:9092",
    "controller.listener.names": "CONTROLLER",
    "controller.quorum.bootstrap.servers": "localhost:9093",
    "listener.security.protocol.map": "INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "INSIDE",
    "log.dirs": "/file/data",
}


def options(
    data: str | None = None,
    host: str | None = None,
    port: int | None = None,
    advertise: str | None = None,
    metrics_port: int | None = None,
    **overrides: str,
) -> StartOptions:
    return StartOptions(data, host, port, advertise, metrics_port, overrides)


def test_without_a_file_a_node_is_broker_and_controller_on_loopback() -> None:
    made = BrokerConfig.from_properties(node_properties(None, options(), "/here/data"))
    assert made.process_roles == {"broker", "controller"}
    assert [str(e) for e in made.broker_listeners] == ["PLAINTEXT://localhost:9092"]
    assert made.log_dirs == ("/here/data",)


def test_options_choose_data_host_and_port() -> None:
    properties = node_properties(None, options("/d", "::1", 19092), "/here")
    made = BrokerConfig.from_properties(properties)
    assert [str(e) for e in made.broker_listeners] == ["PLAINTEXT://[::1]:19092"]
    assert [str(e) for e in made.controller_listeners] == ["CONTROLLER://localhost:19093"]
    assert made.log_dirs == ("/d",)


def test_port_0_takes_any_port_for_both_listeners() -> None:
    made = BrokerConfig.from_properties(node_properties(None, options(port=0), "/d"))
    assert {endpoint.port for endpoint in made.listeners} == {0}


def test_a_file_stays_as_it_is_without_options() -> None:
    assert node_properties(FILE, options(), "/here") == FILE


def test_options_win_over_the_file() -> None:
    properties = node_properties(FILE | {"log.dir": "/old"}, options("/d", port=5), "/here")
    assert properties["log.dirs"] == "/d"
    assert "log.dir" not in properties
    assert properties["listeners"] == "CONTROLLER://localhost:9093,INSIDE://:5"


def test_a_host_replaces_the_host_of_the_client_listener_only() -> None:
    properties = node_properties(FILE, options(host="10.0.0.1"), "/here")
    assert properties["listeners"] == "CONTROLLER://localhost:9093,INSIDE://10.0.0.1:9092"


def test_every_address_is_an_empty_host() -> None:
    for host in ("0.0.0.0", "::", "*"):
        properties = node_properties(None, options(host=host), "/here")
        made = BrokerConfig.from_properties(properties)
        assert [(e.name, e.host) for e in made.listeners] == [
            ("PLAINTEXT", None),
            ("CONTROLLER", "localhost"),
        ]


def test_advertise_names_the_client_listener() -> None:
    properties = node_properties(FILE, options(advertise="example.com:1234"), "/here")
    assert properties["advertised.listeners"] == "INSIDE://example.com:1234"
    properties = node_properties(None, options(advertise="[::1]:7"), "/here")
    assert properties["advertised.listeners"] == "PLAINTEXT://[::1]:7"


def test_overrides_win_over_everything() -> None:
    properties = node_properties(FILE, options(port=5, listeners="X://:1"), "/here")
    assert properties["listeners"] == "X://:1"


def test_metrics_are_offered_where_clients_are() -> None:
    def listener(**asked: str | int) -> tuple[str, int] | None:
        made = options(host=asked.get("host"), metrics_port=9404)  # type: ignore[arg-type]
        return BrokerConfig.from_properties(node_properties(None, made, "/d")).metrics_listener

    assert listener() == ("localhost", 9404)
    assert listener(host="0.0.0.0") == ("", 9404)
    assert listener(host="::1") == ("::1", 9404)
    assert BrokerConfig.from_properties(FILE).metrics_listener is None
