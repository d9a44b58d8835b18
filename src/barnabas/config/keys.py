"""The shape of one config's definition."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

ConfigType: TypeAlias = Literal[
    "boolean", "string", "int", "short", "long", "double", "list", "class", "password"
]
"""How a value is parsed; Kafka's `ConfigDef.Type` in lower case."""

Dynamic: TypeAlias = Literal["R", "C", "B", "L", "D"]
"""When a broker config may change: R only at a start; C at run time for the whole cluster or one
broker; B at run time for one broker only; L like B and only with a listener's prefix; D only at
run time (it has no meaning in a file)."""

Valid: TypeAlias = tuple[object, ...] | None
"""What a parsed value must satisfy (`values.check`):

* `("range", lowest or None, highest or None)`, both ends included
* `("list", may be empty, may be null, allowed entries or ())`; entries that are there twice count
  once
* `("in", entries)`, `("in-any-case", entries)`
* `("non-null",)`, `("non-empty",)`, `("gzip-level",)`, `("throttled-replicas",)`, `("voters",)`,
  `("bootstrap-servers",)`, `("offset-reset",)`, `("listen-address",)`
"""


class ConfigKey(NamedTuple):
    """One config: its name, how its text is read, and what holds when it is not set."""

    name: str
    type: ConfigType
    default: str | None
    """Text of the default; None = unset (or there is no default, when `required`)."""
    valid: Valid
    required: bool = False
    hidden: bool = False
    """Left out of DescribeConfigs unless it is set."""
    dynamic: Dynamic = "R"
    """Only of meaning for broker configs; every topic config may change at run time."""

    @property
    def sensitive(self) -> bool:
        """Whether the value must never be shown."""
        return self.type == "password"
