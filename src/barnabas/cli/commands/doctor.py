"""`barnabas doctor`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import click

from barnabas import __version__
from barnabas.cli.doctor import configuration, machine
from barnabas.cli.doctor.findings import Finding, Level, error
from barnabas.cli.exits import Exit
from barnabas.cli.node_config import DEFAULT_DATA, StartOptions, node_properties
from barnabas.cli.options import examples, output_option, parse_pairs
from barnabas.cli.output import emit
from barnabas.cli.properties_file import load_properties
from barnabas.cli.session import with_cluster
from barnabas.config.broker import BrokerConfig
from barnabas.config.values import ConfigError
from barnabas.host import survey

_COLOURS = {Level.OK: "green", Level.NOTE: "blue", Level.WARNING: "yellow", Level.ERROR: "red"}
_CODES = {Level.WARNING: Exit.DOCTOR_WARNS, Level.ERROR: Exit.DOCTOR_FINDS_ERRORS}


@click.command(
    "doctor",
    epilog=examples(
        "barnabas doctor --config server.properties      # before a start",
        "barnabas doctor --data /var/lib/barnabas",
        "barnabas doctor --bootstrap-server broker:9092  # a running node, from where clients are",
        "barnabas doctor --bootstrap-server broker:9092 -o json",
    ),
)
@click.option("--config", type=click.Path(exists=True, dir_okay=False), help="A server.properties.")
@click.option("--data", type=click.Path(file_okay=False), help="As for `barnabas start`.")
@click.option(
    "--override", "overrides", multiple=True, metavar="KEY=VALUE", help="Any config. Repeatable."
)
@click.option(
    "-b",
    "--bootstrap",
    "--bootstrap-server",
    "bootstrap",
    metavar="HOST:PORT[,...]",
    help="Look at a running cluster instead, as its clients see it.",
)
@click.option("--all", "everything", is_flag=True, help="Say what is well, too.")
@output_option
def command(
    config: str | None,
    data: str | None,
    overrides: tuple[str, ...],
    bootstrap: str | None,
    everything: bool,
    output: str,
) -> None:
    """Look for what is wrong or risky, in words and with the fix.

    Without --bootstrap-server it looks at this machine and at what `barnabas start` would do with
    these options: configs, listeners and what clients will be told, disks (space, file system, the
    time a synced write takes), clock, limits, versions. With it, at a running cluster: addresses
    that clients are told and whether they are reached from here, partitions, disks, configs.

    Exit code 0: nothing, or notes only; 8: warnings; 9: errors.
    """
    if bootstrap is not None:
        from barnabas.cli.doctor.running import judge_cluster, look_at_cluster

        findings = list(judge_cluster(with_cluster(bootstrap, look_at_cluster)))
    else:
        options = StartOptions(
            None if data is None else os.path.abspath(data),
            None,
            None,
            None,
            None,
            parse_pairs(overrides, "--override"),
        )
        file = None if config is None else load_properties(config)
        findings = list(
            _before_a_start(node_properties(file, options, os.path.abspath(DEFAULT_DATA)))
        )
    worst = max((finding.level for finding in findings), default=Level.OK)
    _print(findings, worst, output, everything)
    click.get_current_context().exit(_CODES.get(worst, Exit.OK))


def _before_a_start(properties: dict[str, str]) -> Iterator[Finding]:
    yield from configuration.judge_file(properties)
    try:
        config = BrokerConfig.from_properties(properties)
    except ConfigError:
        config = None  # told above
    if config is not None:
        yield from configuration.judge_values(config)
        yield from configuration.judge_listeners(config)
        for listener in config.listeners:
            host = None if listener.everywhere else listener.host
            problem = survey.cannot_listen(host, listener.port)
            yield configuration.judge_opening(listener, problem)
        for told in config.advertised_broker_listeners:
            if told.host and not told.everywhere and not survey.resolves(told.host):
                yield error(
                    "listeners",
                    f"Clients are told {told.host}, which has no address here.",
                    "Advertise a name that the clients' machines can resolve.",
                )
    clock = survey.look_at_clock()
    if config is not None:
        disks = [survey.look_at_disk(os.path.abspath(path)) for path in config.log_dirs]
        yield from machine.judge_disks(disks, clock.wall_ms)
    yield from machine.judge_clock(clock)
    yield from machine.judge_limits(survey.look_at_limits())
    yield from machine.judge_versions(__version__, sys.version_info[:3], _uvloop())


def _uvloop() -> str:
    try:
        import uvloop
    except ImportError:
        return ""
    return str(getattr(uvloop, "__version__", "of an unknown version"))


def _print(findings: list[Finding], worst: Level, output: str, everything: bool) -> None:
    if output != "table":
        plain = [
            {"level": f.level.name.lower(), "area": f.area, "text": f.text, "fix": f.fix or None}
            for f in findings
        ]
        emit({"worst": worst.name.lower(), "findings": plain}, output)
        return
    shown = [f for f in findings if everything or f.level > Level.OK]
    for finding in sorted(shown, key=lambda each: -each.level):
        level = click.style(f"{finding.level.name.lower():7}", fg=_COLOURS[finding.level])
        click.echo(f"{level}  {finding.area}: {finding.text}")
        if finding.fix:
            click.echo(f"         {finding.fix}")
    well = sum(finding.level is Level.OK for finding in findings)
    hint = "" if everything else " (--all lists them)"
    click.echo(f"{'' if not shown else chr(10)}{well} of {len(findings)} checks are well{hint}.")
