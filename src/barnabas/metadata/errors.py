"""What can be wrong with metadata records."""


class MetadataError(Exception):
    """A committed metadata record cannot be read or applied.

    Fatal to the node: going on with a picture that differs from the other nodes' would be worse
    than stopping. Kafka stops as well.
    """
