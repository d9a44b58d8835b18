"""All planted bugs."""

from __future__ import annotations

from tests.planted import (
    in_cleaning,
    in_client,
    in_consumer,
    in_consumer_groups,
    in_groups,
    in_log,
    in_partition,
    in_processing,
    in_recovery,
    in_server,
    in_storage,
    in_transactions,
)
from tests.planted.bug import Bug

BUGS: tuple[Bug, ...] = (
    *in_log.BUGS,
    *in_cleaning.BUGS,
    *in_recovery.BUGS,
    *in_partition.BUGS,
    *in_server.BUGS,
    *in_consumer_groups.BUGS,
    *in_storage.BUGS,
    *in_consumer.BUGS,
    *in_groups.BUGS,
    *in_transactions.BUGS,
    *in_client.BUGS,
    *in_processing.BUGS,
)
