"""Groups whose members agree among themselves (JoinGroup, SyncGroup): the classic protocol."""
