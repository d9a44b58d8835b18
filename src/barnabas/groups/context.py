"""Who sent a request, as far as groups care."""

from __future__ import annotations

from typing import NamedTuple


class RequestContext(NamedTuple):
    """The client behind a request, and the version that it speaks."""

    client_id: str
    client_host: str
    api_version: int
