"""Barnabas: the event streaming platform of Apache Kafka, in Python.

`Producer` is imported when it is first asked for, so that `import barnabas` costs next to nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

_PLACES = {
    "Producer": "barnabas.client.producer",
    "RecordMetadata": "barnabas.client.deliveries",
}


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'barnabas' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(place), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
