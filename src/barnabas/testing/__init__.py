"""Public test support: a real node for any test (`Broker`), the simulator (`barnabas.testing.sim`)
and checkers of client histories (`barnabas.testing.checkers`).

`from barnabas.testing import Broker`. With pytest, the fixtures `kafka`, `kafka_topic` and
`fresh_kafka` are there without an import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from barnabas.testing.broker import Broker

__all__ = ["Broker"]


def __getattr__(name: str) -> Any:
    """Load `Broker` when it is used: whoever wants the simulator needs no node."""
    if name == "Broker":
        from barnabas.testing.broker import Broker

        return Broker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
