"""`barnabas start`. Imports as little as it can: what it imports, every start pays for."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from socket import gaierror
from typing import TYPE_CHECKING, Any

import click

from barnabas import __version__
from barnabas.cli import logs
from barnabas.cli.exits import Exit, Failure
from barnabas.cli.node_config import DEFAULT_DATA, StartOptions, everywhere, node_properties
from barnabas.cli.options import DEFAULT_PORT, examples, format_address, parse_pairs
from barnabas.cli.properties_file import load_properties

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from barnabas.config.broker import BrokerConfig
    from barnabas.host.notify import ServiceManager
    from barnabas.ports import Ports
    from barnabas.server.node import Node

_PROMISES = {
    "synced": "what is acknowledged survives a power cut",
    "page-cache": "what is acknowledged survives a crash of the process (Kafka's default)",
}

log = logging.getLogger("barnabas.cli")


@click.command(
    "start",
    epilog=examples(
        "barnabas start",
        "barnabas start --data /var/lib/barnabas --port 19092",
        "barnabas start --config server.properties",
        "barnabas start --host 0.0.0.0 --advertise broker.example.com:9092",
        "barnabas start --override barnabas.ack.mode=page-cache --override num.partitions=6",
        "barnabas start --metrics-port 9404   # http://localhost:9404/metrics",
        "barnabas start --port 0 --data $(mktemp -d)   # any free port, printed",
    ),
)
@click.option("--config", type=click.Path(exists=True, dir_okay=False), help="A server.properties.")
@click.option(
    "--env",
    "from_env",
    is_flag=True,
    help="Take KAFKA_* and CLUSTER_ID from the environment, as Kafka's container image does.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False),
    help=f"Where the data goes. Default: log.dirs of the file, else {DEFAULT_DATA}.",
)
@click.option("--host", help="Listen there. Default: localhost only.")
@click.option("--port", type=click.IntRange(0, 65_535), help=f"Default: {DEFAULT_PORT}; 0: any.")
@click.option("--advertise", metavar="HOST:PORT", help="What clients are told to connect to.")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    help="Serve /metrics, /livez and /readyz there. Default: nowhere; 0: any port.",
)
@click.option(
    "--override", "overrides", multiple=True, metavar="KEY=VALUE", help="Any config. Repeatable."
)
@click.option("--log-format", type=click.Choice(["human", "json"]), default="human")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
)
def command(
    config: str | None,
    from_env: bool,
    data: str | None,
    host: str | None,
    port: int | None,
    advertise: str | None,
    metrics_port: int | None,
    overrides: tuple[str, ...],
    log_format: str,
    log_level: str,
) -> None:
    """Start a node: broker and controller in one process.

    An empty data directory is formatted. Ctrl-C or SIGTERM stop the node cleanly. Events go to
    stderr, what the node tells about itself to stdout.
    """
    logs.set_up(log_format, log_level)
    options = StartOptions(
        data=None if data is None else os.path.abspath(data),
        host=host,
        port=port,
        advertise=advertise,
        metrics_port=metrics_port,
        overrides=parse_pairs(overrides, "--override"),
    )
    cluster_id = None
    file = None if config is None else load_properties(config)
    if from_env:
        file, cluster_id, options = _with_environment(file, options)
    properties = node_properties(file, options, os.path.abspath(DEFAULT_DATA))
    _run(properties, log_format, cluster_id)


def _with_environment(
    file: dict[str, str] | None, options: StartOptions
) -> tuple[dict[str, str] | None, str | None, StartOptions]:
    """The file (else the one that is mounted) under the environment; the cluster id; the options."""
    from barnabas.cli.environment import MOUNTED, from_environment
    from barnabas.config.own import PREFIX as OWN_PREFIX

    found = from_environment(os.environ)
    if found.ignored:
        log.warning("nothing here reads %s", ", ".join(found.ignored))
    if file is None and os.path.exists(MOUNTED):
        file = load_properties(MOUNTED)
    if file is None and all(name.startswith(OWN_PREFIX) for name in found.properties):
        overrides = {**found.properties, **options.overrides}
        return None, found.cluster_id, everywhere(options._replace(overrides=overrides))
    properties = {**(file or {}), **found.properties}
    if not {"log.dirs", "log.dir"} & properties.keys():
        properties["log.dirs"] = os.path.abspath(DEFAULT_DATA)
    return properties, found.cluster_id, options


def _run(properties: dict[str, str], log_format: str, cluster_id: str | None) -> None:
    from barnabas.config import support
    from barnabas.config.broker import BrokerConfig
    from barnabas.host import open_ports, run
    from barnabas.host.dump import dump_on_signal
    from barnabas.host.limits import share_open_files
    from barnabas.host.network import machine_name
    from barnabas.host.notify import ServiceManager
    from barnabas.server.node import Node

    report = support.check(properties)
    for warning in report.warnings:
        log.warning(warning)
    if report.errors:
        raise Failure("\n".join(["The node can't start.", *report.errors]), Exit.CANNOT_START)
    config = BrokerConfig.from_properties(properties)

    async def main(stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        ports = open_ports(loop)
        files = share_open_files()
        node = Node(
            config,
            ports,
            hostname=machine_name(),
            max_open_files=files.logs,
            max_connections=files.connections,
            cluster_id=cluster_id,
        )
        manager = ServiceManager(os.environ, loop)
        try:
            with dump_on_signal(loop, lambda: _described(node, ports)):
                await _serve(node, config, log_format, stop, manager)
        except BaseException:
            manager.stopping()
            await _stop_after_failure(node)
            raise
        else:
            manager.stopping()
            await node.stop()
        finally:
            ports.close()

    run(main)


def _described(node: Node, ports: Ports) -> Iterable[tuple[str, Mapping[str, object]]]:
    from barnabas.server.dump import describe

    return describe(node, ports.executor)


async def _serve(
    node: Node,
    config: BrokerConfig,
    log_format: str,
    stop: asyncio.Event,
    manager: ServiceManager,
) -> None:
    from barnabas.host.memory import settle

    try:
        await node.start()
    except Exception as error:
        raise _cannot_start(error, config) from error
    click.echo(_screen(node, config, log_format))
    settle()
    manager.ready()
    await _until_stopped(node, stop)


async def _stop_after_failure(node: Node) -> None:
    """Leave as little behind as possible; what fails now must not hide what failed first."""
    try:
        await node.stop()
    except Exception:
        log.exception("the node did not stop cleanly")


async def _until_stopped(node: Node, stop: asyncio.Event) -> None:
    """Return at the first signal to stop. Raises `Failure` when the node can't go on."""
    failed = node.failed
    stopped = asyncio.ensure_future(stop.wait())
    events: set[asyncio.Future[Any]] = {stopped} if failed is None else {stopped, failed}
    await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if failed is not None and failed.done():
        raise Failure(
            f"The node stops: {failed.result()}", Exit.FAILED, "The log above says what happened."
        )


def _no_port(error: OSError, config: BrokerConfig) -> Failure:
    addresses = ", ".join(str(endpoint) for endpoint in config.listeners)
    ports = [endpoint.port for endpoint in config.listeners]
    if config.metrics_listener is not None:
        addresses += f", metrics on {format_address(*config.metrics_listener)}"
        ports.append(config.metrics_listener[1])
    twice = [port for port in ports if port and ports.count(port) > 1]
    hint = "Choose another port with --port (0 takes any free one)."
    if error.errno != errno.EADDRINUSE:
        hint = "Give an address of this machine with --host, and with --advertise what clients are told."
    elif twice:
        hint = f"Port {twice[0]} is named twice (the controller listens on the one after --port)."
    return Failure(f"Cannot listen on {addresses}: {error.strerror}.", Exit.CANNOT_START, hint)


def _cannot_start(error: Exception, config: BrokerConfig) -> Exception:
    """A sentence and what to do next, for what goes wrong outside of us; else the error itself."""
    from barnabas.config.values import ConfigError
    from barnabas.log.directory import BadDirectory
    from barnabas.metadata.errors import MetadataError
    from barnabas.wire.errors import KafkaError

    directories = ", ".join(config.log_dirs)
    if isinstance(error, BlockingIOError):
        return Failure(
            f"Another node uses the data directory {directories}.",
            Exit.CANNOT_START,
            "Stop it, or choose another directory with --data.",
        )
    if isinstance(error, gaierror) or (
        isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
    ):
        return _no_port(error, config)
    if isinstance(error, OSError):
        place = f" {error.filename}" if error.filename else f" in {directories}"
        return Failure(f"Cannot start: {error.strerror}{place}.", Exit.CANNOT_START)
    if isinstance(error, BadDirectory | ConfigError | KafkaError | MetadataError):
        return Failure(f"Cannot start: {error}", Exit.CANNOT_START)
    return error


def _screen(node: Node, config: BrokerConfig, log_format: str) -> str:
    """What the node tells about itself once it answers."""
    host, port = node.address
    address = format_address(host, port)
    directories = ", ".join(config.log_dirs)
    if log_format == "json":
        import json

        facts = {
            "event": "started",
            "version": __version__,
            "address": address,
            "data": list(config.log_dirs),
            "cluster_id": node.cluster_id,
            "node_id": config.node_id,
            "ack_mode": config.ack_mode,
        }
        if node.monitor_address is not None:
            facts["metrics"] = format_address(*node.monitor_address)
        return json.dumps(facts)
    near = "localhost" if host in ("::", "0.0.0.0") else host
    at = "" if port == DEFAULT_PORT else f" -b {format_address(near, port)}"
    promise = _PROMISES[config.ack_mode]
    monitor = ""
    if node.monitor_address is not None:
        monitor = f"\n  metrics     http://{format_address(*node.monitor_address)}/metrics"
    return f"""\
{click.style(f"Barnabas {__version__}", bold=True)} listens on {click.style(address, bold=True)}
  data        {directories}
  cluster id  {node.cluster_id}
  acks        {config.ack_mode}: {promise}{monitor}

Next:
  barnabas topics create orders{at}
  echo hello | barnabas produce orders{at}
  barnabas consume orders{at}

Ctrl-C stops the node."""
