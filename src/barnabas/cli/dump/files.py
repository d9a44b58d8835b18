"""Which reader a file needs, by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from barnabas.cli.dump import indexes, state
from barnabas.cli.dump.batches import LogOptions, dump_log
from barnabas.cli.dump.indexes import LogMap
from barnabas.cli.dump.items import Item

_SEGMENT = re.compile(r"(\d{20})\.(log|index|timeindex|txnindex|snapshot)")
_METADATA_SNAPSHOT = re.compile(r"(\d{20}-\d{10}|bootstrap)\.checkpoint")
_SUFFIX = re.compile(r"(\.deleted|\.swap|\.cleaned|\.part|\.tmp)+$")
METADATA_DIRECTORY = "__cluster_metadata-0"
_NAMED: dict[str, Callable[[memoryview], Iterator[Item]]] = {
    "recovery-point-offset-checkpoint": state.dump_offsets,
    "log-start-offset-checkpoint": state.dump_offsets,
    "replication-offset-checkpoint": state.dump_offsets,
    "cleaner-offset-checkpoint": state.dump_offsets,
    "leader-epoch-checkpoint": state.dump_leader_epochs,
    "partition.metadata": state.dump_partition_metadata,
    "meta.properties": state.dump_properties,
    "quorum-state": state.dump_json,
    ".kafka_cleanshutdown": state.dump_json,
}
Open = Callable[[str], memoryview | None]
"""The contents of a file beside this one, by name; None when it is absent."""


class UnknownFile(Exception):
    """No reader for a file of this name."""


def dump_file(
    directory: str, name: str, view: memoryview, beside: Open, *, records: bool | None, verify: bool
) -> Iterator[Item]:
    """The items of a file. `directory` is the name of the directory that it is in.

    `records` None: as suits the file. Raises `UnknownFile`, and `Damage` while items are taken.
    """
    plain = _SUFFIX.sub("", name)
    if plain in _NAMED:
        return _NAMED[plain](view)
    if _METADATA_SNAPSHOT.match(plain):
        options = LogOptions(records=records is not False, metadata=True, verify=verify)
        return dump_log(view, options)
    found = _SEGMENT.match(plain)
    if found is None:
        raise UnknownFile(name)
    base, suffix = int(found[1]), found[2]
    if suffix == "log":
        metadata = directory.startswith(METADATA_DIRECTORY)
        wanted = metadata if records is None else records
        return dump_log(view, LogOptions(base, wanted, metadata, verify))
    if suffix == "snapshot":
        return state.dump_producer_snapshot(view)
    if suffix == "txnindex":
        return indexes.dump_txn_index(view, base)
    log_view = beside(f"{found[1]}.log") if verify else None
    log = None if log_view is None else LogMap(log_view)
    if suffix == "index":
        return indexes.dump_offset_index(view, base, log)
    return indexes.dump_time_index(view, base, log)
