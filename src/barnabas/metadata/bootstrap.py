"""The first records of a cluster, and what a controller appends when it becomes active."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from barnabas.metadata.controller.decision import MIN_INSYNC_REPLICAS
from barnabas.metadata.errors import MetadataError
from barnabas.metadata.features import (
    ELR_VERSION,
    METADATA_VERSION,
    MV_LATEST,
    MV_TRANSACTIONS,
    initial_levels,
)
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.configs import BROKER
from barnabas.metadata.record_types import (
    AbortTransactionRecord,
    BeginTransactionRecord,
    ConfigRecord,
    EndTransactionRecord,
    FeatureLevelRecord,
)
from barnabas.metadata.snapshot import read_snapshot, write_snapshot
from barnabas.wire.message import Message
from barnabas.wire.primitives import Buffer

BOOTSTRAP_TRANSACTION = "Bootstrap records"
FAILOVER = "Controller failover"


def bootstrap_records(levels: Mapping[str, int] | None = None) -> list[Message]:
    """FeatureLevelRecords of a new cluster, metadata.version first; features at 0 are left out."""
    chosen = initial_levels() if levels is None else levels
    records: list[Message] = [
        FeatureLevelRecord(
            name=METADATA_VERSION, feature_level=chosen.get(METADATA_VERSION, MV_LATEST)
        )
    ]
    records += (
        FeatureLevelRecord(name=name, feature_level=level)
        for name, level in sorted(chosen.items())
        if name != METADATA_VERSION and level > 0
    )
    return records


def encode_bootstrap(records: Sequence[Message], now_ms: int) -> bytes:
    """Content of `bootstrap.checkpoint`, which every log directory gets when it is formatted."""
    batches = write_snapshot(
        records,
        epoch=0,
        metadata_version=_metadata_version(records),
        last_contained_timestamp_ms=0,
        now_ms=now_ms,
    )
    return b"".join(batches)


def decode_bootstrap(data: Buffer) -> list[Message]:
    """Records in `bootstrap.checkpoint`. Raises MetadataError."""
    records: list[Message] = []
    read_snapshot(data, records.append)
    return records


def activation_records(
    image: MetadataImage,
    bootstrap: Sequence[Message],
    *,
    default_min_isr: int,
    open_transaction: bool,
) -> list[list[Message]]:
    """What the new active controller appends first, as atomic batches (KIP-868).

    On an empty log: the bootstrap records, in one metadata transaction where metadata.version
    has them. Otherwise an abort, when the former controller left a transaction open. Raises
    MetadataError when the open transaction cannot be aborted at this metadata.version.
    """
    if image.features.metadata_version is None:
        return _first_activation(bootstrap, default_min_isr, open_transaction)
    if not open_transaction:
        return []
    if image.features.metadata_version < MV_TRANSACTIONS:
        raise MetadataError("a transaction is open at a metadata.version without transactions")
    return [[AbortTransactionRecord(reason=FAILOVER)]]


def _first_activation(
    bootstrap: Sequence[Message], default_min_isr: int, open_transaction: bool
) -> list[list[Message]]:
    records = list(bootstrap)
    if any(
        isinstance(r, FeatureLevelRecord) and r.name == ELR_VERSION and r.feature_level > 0
        for r in bootstrap
    ):
        # Eligible leaders need one min.insync.replicas for the whole cluster (KIP-966).
        records.append(
            ConfigRecord(
                resource_type=BROKER,
                resource_name="",
                name=MIN_INSYNC_REPLICAS,
                value=str(default_min_isr),
            )
        )
    if _metadata_version(bootstrap) < MV_TRANSACTIONS:
        if open_transaction:
            raise MetadataError("a transaction is open at a metadata.version without transactions")
        return [records]
    prefix: list[Message] = [AbortTransactionRecord(reason=FAILOVER)] if open_transaction else []
    begin = BeginTransactionRecord(name=BOOTSTRAP_TRANSACTION)
    return [[*prefix, begin, *records, EndTransactionRecord()]]


def _metadata_version(records: Sequence[Message]) -> int:
    for record in records:
        if isinstance(record, FeatureLevelRecord) and record.name == METADATA_VERSION:
            return record.feature_level
    return MV_LATEST
