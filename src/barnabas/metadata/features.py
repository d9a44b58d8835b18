"""Feature levels of Apache Kafka 4.3.1 (KIP-584, KIP-778): what this node supports and writes."""

from __future__ import annotations

from typing import NamedTuple

METADATA_VERSION = "metadata.version"
KRAFT_VERSION = "kraft.version"
TRANSACTION_VERSION = "transaction.version"
GROUP_VERSION = "group.version"
ELR_VERSION = "eligible.leader.replicas.version"
SHARE_VERSION = "share.version"
STREAMS_VERSION = "streams.version"

# Levels of metadata.version that change what is written (names of Apache Kafka's releases).
MV_MINIMUM = 7  # 3.3-IV3, the lowest level that a 4.x node runs at
MV_REGISTER_BROKER_V2 = 8  # 3.4-IV0
MV_SCRAM = 11  # 3.5-IV2
MV_NO_EPOCH_BUMP_ON_SHRINK = 12  # 3.6-IV0
MV_TRANSACTIONS = 13  # 3.6-IV1
MV_DELEGATION_TOKENS = 14  # 3.6-IV2
MV_CONTROLLER_REGISTRATION = 15  # 3.7-IV0
MV_DIRECTORY_ASSIGNMENT = 17  # 3.7-IV2
MV_ELR = 23  # 4.0-IV1
MV_CORDONED_LOG_DIRS = 30  # 4.3-IV0
MV_LATEST = 30  # 4.3-IV0, latest production level of 4.3.1


#: Levels of metadata.version that cannot be given up again, because records changed with them.
_MV_CHANGES = frozenset({7, 8, 11, 13, 14, 15, 17, 23, 30})


class LevelRange(NamedTuple):
    """Supported levels, both ends included."""

    min: int
    max: int


def supported_features() -> dict[str, LevelRange]:
    """What a 4.3.1 node announces in ApiVersions and when it registers."""
    return {
        METADATA_VERSION: LevelRange(MV_MINIMUM, MV_LATEST),
        KRAFT_VERSION: LevelRange(0, 1),
        TRANSACTION_VERSION: LevelRange(0, 2),
        GROUP_VERSION: LevelRange(0, 1),
        ELR_VERSION: LevelRange(0, 1),
        SHARE_VERSION: LevelRange(0, 1),
        STREAMS_VERSION: LevelRange(0, 1),
    }


def initial_levels() -> dict[str, int]:
    """Finalised levels of a new 4.3 cluster; metadata.version comes first.

    kraft.version is not among them: it is a control record, and 0 under static voters.
    """
    return {
        METADATA_VERSION: MV_LATEST,
        ELR_VERSION: 1,
        GROUP_VERSION: 1,
        SHARE_VERSION: 1,
        STREAMS_VERSION: 1,
        TRANSACTION_VERSION: 2,
    }


def dependencies(name: str, level: int) -> dict[str, int]:
    """The least levels of other features that `level` of a feature needs."""
    if name == ELR_VERSION and level >= 1:
        return {METADATA_VERSION: MV_ELR}
    return {}


def metadata_changed(low: int, high: int) -> bool:
    """Whether a log written at metadata.version `high` may hold what `low` does not know."""
    return any(low < level <= high for level in _MV_CHANGES)
