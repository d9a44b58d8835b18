"""Who sent a request, as far as groups care."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


def _anything(topic: str) -> bool:
    del topic
    return True


class RequestContext(NamedTuple):
    """The client behind a request, and the version that it speaks.

    `may_describe(topic)`: whether it may know of a topic at all.
    """

    client_id: str
    client_host: str
    api_version: int
    may_describe: Callable[[str], bool] = _anything
