"""Judges what was measured on the machine: disks, clock, limits, versions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from barnabas.cli.doctor.findings import Finding, error, note, ok, warning
from barnabas.host.survey import ClockFacts, DiskFacts, LimitFacts
from barnabas.server.disk_space import low_mark

_GIB = 1 << 30
_MIB = 1 << 20
_SLOW_MS = 20.0
_MEMORY_LEAST = 256 * _MIB
_FILES_LEAST = 10_000
_LATE_MS = 60_000
_YEAR_2024_MS = 1_704_067_200_000

_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse", "9p", "ceph", "glusterfs", "virtiofs"})


def judge_disks(disks: Sequence[DiskFacts], now_ms: int) -> Iterator[Finding]:
    """Space, file system, sync latency of each log directory."""
    for disk in disks:
        if disk.failure:
            yield error(
                "disk", f"{disk.directory}: {disk.failure}", "Repair it or choose another log.dirs."
            )
            continue
        yield from _judge_disk(disk, now_ms)
    devices = [disk.device for disk in disks if not disk.failure]
    if len(set(devices)) < len(devices):
        yield note("disk", "several log directories share a volume: one failure takes them all")


def _judge_disk(disk: DiskFacts, now_ms: int) -> Iterator[Finding]:
    name = disk.directory
    if not disk.writable:
        yield error(
            "disk",
            f"{name}: this account may not write in {disk.path}.",
            "Give it to the account that runs the node.",
        )
    if not disk.exists:
        yield note("disk", f"{name} does not exist yet; a start makes and formats it")
    if disk.in_use:
        yield note("disk", f"{name} is in use: a node runs on it")
    space = f"{disk.usable / _GIB:.1f} GiB of {disk.total / _GIB:.1f} GiB free"
    if disk.usable < low_mark(disk.total):
        yield warning("disk", f"{name}: only {space}.", "Make room, or lower the retention.")
    else:
        yield ok("disk", f"{name}: {space}")
    yield from _judge_file_system(disk)
    if disk.sync_ms:
        yield _judge_sync(disk)
    if disk.newest_ms > now_ms + _LATE_MS:
        ahead = (disk.newest_ms - now_ms) // 1000
        yield error(
            "clock",
            f"{name} was changed {ahead} s in the future: the clock has gone back.",
            "Set the clock before the node starts; retention and timestamps go by it.",
        )


def _judge_file_system(disk: DiskFacts) -> Iterator[Finding]:
    name, kind = disk.directory, disk.kind
    if kind in _IN_MEMORY:
        yield error(
            "disk",
            f"{name} is on {kind}: everything is gone with the machine, acknowledged or not.",
            "Use a disk.",
        )
    elif kind.partition(".")[0] in _REMOTE:
        yield warning(
            "disk",
            f"{name} is on {kind}, over a network: syncs are slow there and locks may not hold.",
            "Use a local disk.",
        )
    elif kind == "overlay":
        yield warning(
            "disk",
            f"{name} is in the layer of a container, which goes with the container.",
            "Mount a volume there.",
        )
    elif kind:
        yield ok("disk", f"{name} is on {kind}")


def _judge_sync(disk: DiskFacts) -> Finding:
    ordered = sorted(disk.sync_ms)
    median, worst = ordered[len(ordered) // 2], ordered[-1]
    text = f"{disk.directory}: a synced write takes {median:.2f} ms, the slowest {worst:.2f} ms"
    if median > _SLOW_MS:
        return warning(
            "disk",
            f"{text}; acks=all can be no faster.",
            "Use a faster disk (SSD, NVMe), or barnabas.ack.mode=page-cache and its weaker promise.",
        )
    return ok("disk", text)


def judge_clock(clock: ClockFacts) -> Iterator[Finding]:
    """Whether timestamps can be trusted."""
    if clock.wall_ms < _YEAR_2024_MS:
        yield error("clock", "The clock is years behind.", "Set it (NTP).")
        return
    if abs(clock.drift_ms) > max(1.0, clock.span_ms / 100):
        yield warning(
            "clock",
            f"The wall clock moved {clock.drift_ms:+.1f} ms against the monotonic one within "
            f"{clock.span_ms:.0f} ms.",
            "Let NTP slew it instead of stepping it.",
        )
    if clock.synchronised is False:
        yield warning(
            "clock",
            "The kernel says that the clock is not synchronised.",
            "Run chrony, ntpd or systemd-timesyncd.",
        )
    elif abs(clock.drift_ms) <= max(1.0, clock.span_ms / 100):
        known = "and synchronised" if clock.synchronised else "(synchronised or not is unknown)"
        yield ok("clock", f"runs evenly {known}")


def judge_limits(limits: LimitFacts) -> Iterator[Finding]:
    """What the operating system allows."""
    files = limits.open_files
    if 0 <= files < _FILES_LEAST:
        yield warning(
            "limits",
            f"At most {files} files may be open: half for logs, half for connections.",
            "Raise the hard limit (LimitNOFILE= in the unit, ulimit -Hn): 100000 is plenty.",
        )
    else:
        yield ok("limits", f"{'any number of' if files < 0 else files} files may be open")
    memory = limits.memory_bytes
    if 0 <= memory < _MEMORY_LEAST:
        yield warning(
            "limits",
            f"This process may have {memory // _MIB} MiB of memory; large requests of several "
            "clients need more.",
            "Allow 256 MiB or more.",
        )
    if limits.cores == 1:
        yield note(
            "limits", "one core: clients on this machine and the node take it from each other"
        )


def judge_versions(barnabas: str, python: tuple[int, int, int], uvloop: str) -> Iterator[Finding]:
    """What runs here."""
    shown = ".".join(map(str, python))
    yield ok("versions", f"Barnabas {barnabas}, Python {shown}, uvloop {uvloop or 'absent'}")
    if not uvloop:
        yield warning(
            "versions",
            "uvloop is not installed: small requests cost twice as much.",
            "pip install uvloop",
        )
