"""The client for programs that block: `from barnabas.sync import Consumer, Producer`."""

from barnabas.client.blocking_producer import Producer
from barnabas.client.consumer.blocking import Consumer

__all__ = ["Consumer", "Producer"]
