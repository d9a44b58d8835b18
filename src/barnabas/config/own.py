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

SYNCED: Final = "synced"
PAGE_CACHE: Final = "page-cache"

BROKER: Final[Mapping[str, ConfigKey]] = MappingProxyType(
    {
        ACK_MODE: ConfigKey(ACK_MODE, "string", SYNCED, ("in", (SYNCED, PAGE_CACHE))),
        VALIDATION: ConfigKey(VALIDATION, "string", "header", ("in", ("header", "full"))),
    }
)
"""Node-wide: what an acknowledgement promises, and how much of a produced batch is checked."""

TOPIC: Final[Mapping[str, ConfigKey]] = MappingProxyType(
    {ACK_MODE: ConfigKey(ACK_MODE, "string", None, ("in", (SYNCED, PAGE_CACHE)), hidden=True)}
)
"""Per topic: its own mode of acknowledgement; without it the node's holds."""
