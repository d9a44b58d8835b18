"""Judges configs: unknown names, what does not work here, what is risky. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from barnabas.cli.doctor.findings import Finding, error, note, ok, warning
from barnabas.config import support
from barnabas.config.broker import BrokerConfig
from barnabas.config.endpoints import Endpoint

AREA = "configuration"
LISTENERS = "listeners"
_LOOPBACK = ("localhost", "127.", "::1")
_SHORT_LIVED = ("/tmp", "/var/tmp", "/dev/shm", "/run")


def judge_file(properties: Mapping[str, str]) -> Iterator[Finding]:
    """What a node would say about its properties at a start."""
    report = support.check(properties)
    for text in report.errors:
        yield error(AREA, text, "Change or remove it: a node does not start with it.")
    for text in report.warnings:
        yield warning(AREA, text, "Correct or remove it.")
    if not report.errors and not report.warnings:
        yield ok(AREA, f"{len(properties)} configs, all known and usable")


def judge_values(config: BrokerConfig) -> Iterator[Finding]:
    """Values that a node takes and that may not be meant so."""
    if config.ack_mode == "page-cache":
        yield note(
            AREA,
            "barnabas.ack.mode=page-cache: a power cut can take acknowledged events, as with Kafka.",
        )
    else:
        yield ok(AREA, "acknowledged events survive a power cut (barnabas.ack.mode=synced)")
    if config.get_bool("unclean.leader.election.enable"):
        yield warning(
            AREA,
            "unclean.leader.election.enable=true: a replica that lacks events may become leader.",
            "Set it to false unless losing events is better than waiting.",
        )
    if config.get_bool("auto.create.topics.enable"):
        yield note(
            AREA,
            "auto.create.topics.enable=true: a client's typing error makes a topic; most set it to "
            "false in production.",
        )
    for path in config.log_dirs:
        if any(path == place or path.startswith(f"{place}/") for place in _SHORT_LIVED):
            yield warning(
                "disk",
                f"{path} lies where systems delete files at a reboot or by age.",
                "Put log.dirs on a volume of its own.",
            )
    retention = config.log_retention_ms
    if retention < 0 and config.get_int("log.retention.bytes") < 0:
        yield warning(
            AREA,
            "log.retention.ms and log.retention.bytes are unlimited: disks fill until they are full.",
            "Set one of them, or watch the disks.",
        )


def judge_listeners(config: BrokerConfig) -> Iterator[Finding]:
    """Who can reach the node, and what clients are told."""
    told = {endpoint.name: endpoint for endpoint in config.advertised_broker_listeners}
    for listener in config.broker_listeners:
        advertised = told.get(listener.name)
        open_ = listener.everywhere or not is_loopback(listener.host)
        yield from _told(listener, advertised, open_=open_)
        if open_:
            yield warning(
                LISTENERS,
                f"{listener}: whoever reaches it may read, write and delete everything; there is no "
                "TLS, no login and no authorizer here.",
                "Bind it to a private address, or let a firewall decide who reaches it.",
            )
    for listener in config.controller_listeners:
        if listener.everywhere or not is_loopback(listener.host):
            yield warning(
                LISTENERS,
                f"{listener}: the controller is reachable from other machines; a node alone needs "
                "that from nobody.",
                f"Listen on {listener.name}://localhost:{listener.port}.",
            )
    metrics = config.metrics_listener
    if metrics is not None and (not metrics[0] or not is_loopback(metrics[0])):
        yield note(LISTENERS, "metrics are readable for everybody who reaches their port")


def judge_opening(listener: Endpoint, problem: str) -> Finding:
    """Whether a listener can be opened; `problem` says why not."""
    if not problem:
        return ok(LISTENERS, f"{listener} can be opened")
    return error(
        LISTENERS,
        f"{listener} cannot be opened: {problem}.",
        "If a node runs there, ask it (--bootstrap-server); else choose an address and a port of this "
        "machine that nobody uses.",
    )


def _told(listener: Endpoint, advertised: Endpoint | None, *, open_: bool) -> Iterator[Finding]:
    if advertised is None:
        yield error(
            LISTENERS,
            f"{listener}: it is not in advertised.listeners, so its clients are told no broker.",
            f"Add {listener.name}://HOST:{listener.port} to advertised.listeners.",
        )
    elif advertised.everywhere:
        yield ok(LISTENERS, f"{listener}: clients are told the address that they have reached")
    elif open_ and is_loopback(advertised.host):
        yield warning(
            LISTENERS,
            f"{listener}: clients everywhere are told {advertised.host}:{advertised.port}, which is "
            "their own machine.",
            "Advertise a name that clients can resolve (--advertise HOST:PORT).",
        )
    else:
        yield ok(LISTENERS, f"{listener}: clients are told {advertised.host}:{advertised.port}")


def is_loopback(host: str | None) -> bool:
    """Whether a host is only this machine."""
    return host is not None and (host in _LOOPBACK or host.startswith("127."))
