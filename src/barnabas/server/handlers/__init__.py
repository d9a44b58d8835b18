"""One file per API: decode, ask, decide, encode. Each states its versions and its errors.

A handler file is imported when its API is asked for the first time, with the messages and decisions
that it alone needs: a node starts in a quarter of a second.
"""

from __future__ import annotations

from typing import Final

#: Everything that a node serves, by API key: the module. What is not built is not
#: listed. A raw handler reads the frame itself; the others get a decoded message.
RAW: Final = {
    0: "barnabas.server.handlers.produce",
    1: "barnabas.server.handlers.fetch",
}
#: Of the latter, those that clients repeat so often that there is a short way (`coordinators/repeats`).
REPEATED: Final = frozenset({8, 12})
DECODED: Final = {
    2: "barnabas.server.handlers.list_offsets",
    3: "barnabas.server.handlers.metadata",
    8: "barnabas.server.handlers.offset_commit",
    9: "barnabas.server.handlers.offset_fetch",
    10: "barnabas.server.handlers.find_coordinator",
    11: "barnabas.server.handlers.join_group",
    12: "barnabas.server.handlers.heartbeat",
    13: "barnabas.server.handlers.leave_group",
    14: "barnabas.server.handlers.sync_group",
    15: "barnabas.server.handlers.describe_groups",
    16: "barnabas.server.handlers.list_groups",
    18: "barnabas.server.handlers.api_versions",
    19: "barnabas.server.handlers.create_topics",
    20: "barnabas.server.handlers.delete_topics",
    21: "barnabas.server.handlers.delete_records",
    22: "barnabas.server.handlers.init_producer_id",
    23: "barnabas.server.handlers.offset_for_leader_epoch",
    24: "barnabas.server.handlers.add_partitions_to_txn",
    25: "barnabas.server.handlers.add_offsets_to_txn",
    26: "barnabas.server.handlers.end_txn",
    27: "barnabas.server.handlers.write_txn_markers",
    28: "barnabas.server.handlers.txn_offset_commit",
    32: "barnabas.server.handlers.describe_configs",
    33: "barnabas.server.handlers.alter_configs",
    35: "barnabas.server.handlers.describe_log_dirs",
    37: "barnabas.server.handlers.create_partitions",
    42: "barnabas.server.handlers.delete_groups",
    43: "barnabas.server.handlers.elect_leaders",
    44: "barnabas.server.handlers.incremental_alter_configs",
    45: "barnabas.server.handlers.alter_partition_reassignments",
    46: "barnabas.server.handlers.list_partition_reassignments",
    47: "barnabas.server.handlers.offset_delete",
    48: "barnabas.server.handlers.describe_client_quotas",
    49: "barnabas.server.handlers.alter_client_quotas",
    50: "barnabas.server.handlers.describe_user_scram_credentials",
    55: "barnabas.server.handlers.describe_quorum",
    57: "barnabas.server.handlers.update_features",
    60: "barnabas.server.handlers.describe_cluster",
    61: "barnabas.server.handlers.describe_producers",
    64: "barnabas.server.handlers.unregister_broker",
    65: "barnabas.server.handlers.describe_transactions",
    66: "barnabas.server.handlers.list_transactions",
    68: "barnabas.server.handlers.consumer_group_heartbeat",
    69: "barnabas.server.handlers.consumer_group_describe",
    74: "barnabas.server.handlers.list_config_resources",
    75: "barnabas.server.handlers.describe_topic_partitions",
}
