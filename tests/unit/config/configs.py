"""A node's config for the tests of this folder."""

from __future__ import annotations

from barnabas.config.broker import BrokerConfig, default_properties


def broker_config(changes: dict[str, str | None] | None = None) -> BrokerConfig:
    """The config of a node that starts without a file, with `changes` (None takes a name away)."""
    merged: dict[str, str | None] = {**default_properties("/data"), **(changes or {})}
    return BrokerConfig.from_properties({n: v for n, v in merged.items() if v is not None})
