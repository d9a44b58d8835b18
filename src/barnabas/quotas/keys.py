"""What can be limited, and for whom."""

from __future__ import annotations

from typing import Final, TypeAlias

QuotaEntity: TypeAlias = tuple[tuple[str, str | None], ...]
"""Sorted (entity type, entity name) pairs; the name None is the default entity of its type."""

USER: Final = "user"
CLIENT_ID: Final = "client-id"
IP: Final = "ip"

PRODUCER_BYTE_RATE: Final = "producer_byte_rate"
CONSUMER_BYTE_RATE: Final = "consumer_byte_rate"
REQUEST_PERCENTAGE: Final = "request_percentage"
CONTROLLER_MUTATION_RATE: Final = "controller_mutation_rate"
CONNECTION_CREATION_RATE: Final = "connection_creation_rate"

#: The largest value of a key that takes whole numbers alone; None for one that takes fractions.
CLIENT_KEYS: Final[dict[str, float | None]] = {
    PRODUCER_BYTE_RATE: 2.0**63,
    CONSUMER_BYTE_RATE: 2.0**63,
    REQUEST_PERCENTAGE: None,
    CONTROLLER_MUTATION_RATE: None,
}
IP_KEYS: Final[dict[str, float | None]] = {CONNECTION_CREATION_RATE: 2.0**31 - 1}
