"""Barnabas: the event streaming platform of Apache Kafka, in Python.

`Producer` and `Consumer` are imported when they are first asked for, so that `import barnabas` costs next to nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

_PLACES = {
    "CommitRefused": "barnabas.client.consumer.leases",
    "Consumer": "barnabas.client.consumer.face",
    "OffsetAndMetadata": "barnabas.client.consumer.leases",
    "Producer": "barnabas.client.producer",
    "RebalanceListener": "barnabas.client.consumer.running",
    "RecordMetadata": "barnabas.client.deliveries",
    "Reject": "barnabas.client.processing.failures",
    "Retry": "barnabas.client.processing.failures",
    "RetryAfter": "barnabas.client.processing.failures",
}


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'barnabas' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(place), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
