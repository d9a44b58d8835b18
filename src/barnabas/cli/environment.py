"""A node's properties from the environment, as the container image of Apache Kafka takes them. Pure.

KAFKA_LOG_RETENTION_MS stands for log.retention.ms: `_` for a dot, `__` for an underscore, `___` for
a dash.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

PREFIX: Final = "KAFKA_"
CLUSTER_ID: Final = "CLUSTER_ID"
#: Where images of Kafka look for a file that somebody has mounted; the environment goes before it.
MOUNTED: Final = "/mnt/shared/config/server.properties"

#: What is for a JVM, for log4j, or for the image's own scripts.
_NOT_CONFIGS: Final = frozenset(
    {
        "KAFKA_VERSION",
        "KAFKA_HEAP_OPTS",
        "KAFKA_LOG4J_OPTS",
        "KAFKA_OPTS",
        "KAFKA_JMX_OPTS",
        "KAFKA_JMX_PORT",
        "KAFKA_JMX_HOSTNAME",
        "KAFKA_JVM_PERFORMANCE_OPTS",
        "KAFKA_GC_LOG_OPTS",
        "KAFKA_LOG4J_ROOT_LOGLEVEL",
        "KAFKA_LOG4J_LOGGERS",
        "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    }
)


class FromEnvironment(NamedTuple):
    """What the environment says."""

    properties: dict[str, str]
    cluster_id: str | None
    ignored: list[str]
    """Variables that mean something to Kafka's image and nothing here."""


def from_environment(environment: Mapping[str, str]) -> FromEnvironment:
    """Read KAFKA_* and CLUSTER_ID."""
    ours = sorted(name for name in environment if name.startswith(PREFIX) and name != PREFIX)
    return FromEnvironment(
        {config_name(name): environment[name] for name in ours if name not in _NOT_CONFIGS},
        environment.get(CLUSTER_ID, "").strip() or None,
        [name for name in ours if name in _NOT_CONFIGS],
    )


def config_name(variable: str) -> str:
    """The config that a variable stands for."""
    dotted = variable.removeprefix(PREFIX).lower().replace("_", ".")
    return dotted.replace("...", "-").replace("..", "_")
