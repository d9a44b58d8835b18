"""Membership of a consumer group as state machines: events in, effects out.

`classic` is the protocol of JoinGroup and SyncGroup, in which a member computes the assignment;
`consumer` that of ConsumerGroupHeartbeat (KIP-848), in which the coordinator does.
"""
