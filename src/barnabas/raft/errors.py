"""What may not happen in a quorum."""


class QuorumError(Exception):
    """The quorum's rules are broken beyond repair, such as two leaders in one epoch: stop."""
