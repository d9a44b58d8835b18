"""Which topic names are allowed."""

from __future__ import annotations

import re

from barnabas.metadata.image import TopicsImage
from barnabas.metadata.image.topics import has_collision_chars, unified_name
from barnabas.wire.errors import ErrorCode, KafkaError

MAX_TOPIC_NAME_LENGTH = 249
METADATA_TOPIC = "__cluster_metadata"

_LEGAL = re.compile(r"[a-zA-Z0-9._-]+\Z")


def check_topic_name(name: str) -> None:
    """Raises KafkaError INVALID_TOPIC_EXCEPTION."""
    if not name:
        raise _invalid("the empty string is not allowed")
    if name in (".", ".."):
        raise _invalid(f"'{name}' is not allowed")
    if len(name) > MAX_TOPIC_NAME_LENGTH:
        raise _invalid(
            f"it has {len(name)} characters, at most {MAX_TOPIC_NAME_LENGTH} are allowed"
        )
    if not _LEGAL.match(name):
        raise _invalid(
            f"'{name}' contains characters other than ASCII letters and digits, '.', '_' and '-'"
        )


def check_collision(topics: TopicsImage, name: str) -> None:
    """Refuse a name that differs from an existing one only in `.` and `_`.

    Both characters become `_` in metric names. Raises KafkaError INVALID_TOPIC_EXCEPTION.
    """
    if has_collision_chars(name):
        others = topics.collisions.get(unified_name(name))
        if others:
            raise KafkaError(
                ErrorCode.INVALID_TOPIC_EXCEPTION,
                f"Topic '{name}' collides with existing topic: {others[0]}",
            )


def _invalid(why: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic name is invalid: {why}.")
