"""Configs that only Barnabas has. All start with `barnabas.`, so that none can meet Kafka's.

Apache Kafka keeps unknown broker names and skips unknown topic names when it opens a directory of
ours, so a file or a directory with these still starts there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from .keys import ConfigKey

PREFIX: Final = "barnabas."
ACK_MODE: Final = "barnabas.ack.mode"
VALIDATION: Final = "barnabas.validation"
METRICS_LISTENER: Final = "barnabas.metrics.listener"
SLOW_REQUEST_MS: Final = "barnabas.slow.request.ms"

SYNCED: Final = "synced"
PAGE_CACHE: Final = "page-cache"

BROKER: Final[Mapping[str, ConfigKey]] = MappingProxyType(
    {
        ACK_MODE: ConfigKey(ACK_MODE, "string", SYNCED, ("in", (SYNCED, PAGE_CACHE))),
        METRICS_LISTENER: ConfigKey(METRICS_LISTENER, "string", "", ("listen-address",)),
        SLOW_REQUEST_MS: ConfigKey(SLOW_REQUEST_MS, "int", "1000", ("range", -1, None)),
        VALIDATION: ConfigKey(VALIDATION, "string", "header", ("in", ("header", "full"))),
    }
)
"""Node-wide: what an acknowledgement promises, how much of a produced batch is checked, where
metrics and health are asked for (empty: nowhere), which requests are worth a line in the log."""

TOPIC: Final[Mapping[str, ConfigKey]] = MappingProxyType(
    {ACK_MODE: ConfigKey(ACK_MODE, "string", None, ("in", (SYNCED, PAGE_CACHE)), hidden=True)}
)
"""Per topic: its own mode of acknowledgement; without it the node's holds."""
