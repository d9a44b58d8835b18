"""The client for programs that block: `from barnabas.sync import Producer`."""

from barnabas.client.blocking_producer import Producer

__all__ = ["Producer"]
