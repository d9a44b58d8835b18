"""Coordinators at work: the pure shards bound to partitions, clock and clients of this node.

`runtime` runs one kind of coordinator, `loading` reads a shard back from its partition, `timers`
wakes shards, `tickets` are the requests that wait.
"""
