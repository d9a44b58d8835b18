"""What consumers of a classic group tell their assignor, where the group itself has to know it."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

from barnabas.wire.codec import decode
from barnabas.wire.errors import ProtocolError
from barnabas.wire.messages.consumer_protocol_subscription import ConsumerProtocolSubscription

CONSUMER: Final = "consumer"
"""The protocol type whose metadata is a ConsumerProtocolSubscription."""

_VERSION = Struct(">h")


def subscribed_topics(metadata: Iterable[bytes]) -> frozenset[str] | None:
    """The topics in the subscriptions of all members; None when one of them is none.

    Only what version 0 has is read, which all versions begin with.
    """
    topics: set[str] = set()
    for each in metadata:
        if len(each) < _VERSION.size or _VERSION.unpack_from(each)[0] < 0:
            return None
        try:
            found = decode(ConsumerProtocolSubscription, 0, each, _VERSION.size)
        except ProtocolError:
            return None
        topics.update(found.topics)
    return frozenset(topics)
