"""One file per API: decode, ask, decide, encode. Each states its versions and its errors.

A handler file is imported when its API is asked for the first time, with the messages and decisions
that it alone needs: a node starts in a quarter of a second.
"""

from __future__ import annotations

from typing import Final

#: Everything that a node serves, by API key: the module in this package. What is not built is not
#: listed. A raw handler reads the frame itself; the others get a decoded message.
RAW: Final = {0: "produce", 1: "fetch"}
DECODED: Final = {
    2: "list_offsets",
    3: "metadata",
    18: "api_versions",
    19: "create_topics",
    20: "delete_topics",
    22: "init_producer_id",
    23: "offset_for_leader_epoch",
    32: "describe_configs",
    33: "alter_configs",
    37: "create_partitions",
    44: "incremental_alter_configs",
    60: "describe_cluster",
    75: "describe_topic_partitions",
}
