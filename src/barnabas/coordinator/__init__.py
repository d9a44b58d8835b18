"""What every coordinator (groups, transactions) is built on: records, effects, placement.

A coordinator is one state machine for each partition of its internal topic, a `Shard`. A decision
only reads the shard; the records that it asks for are appended to the partition; replay of what was
appended is the only thing that changes what the log knows; the reply leaves when the high watermark
has passed. What only memory knows (who waits for a rebalance, sessions) a decision may change.
"""
