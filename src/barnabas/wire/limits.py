"""Every limit of the decoders, by name. All of them bound what hostile bytes can cost.

Array counts have a further bound that needs no constant: a count may not exceed the bytes that
remain divided by the least size of one element, computed per message and version.
"""

from __future__ import annotations

MAX_STRING_BYTES = 32_767
"""Longest string, in UTF-8 bytes: what the signed 16-bit length of the old form can say."""

MAX_TAGGED_FIELDS = 64
"""Tagged fields in one struct. Kafka defines at most ten in any; CVE-2026-111115 had no bound."""

MAX_UNKNOWN_TAG_BYTES = 128 * 1024
"""Payload of one tagged field that this version does not know (kept as raw bytes)."""

MAX_ELEMENTS = 1_000_000
"""Array elements (structs, strings, integers alike) in one message.

A decoded struct takes 100 to 400 bytes, an integer 40, so that one message costs at most a few
hundred megabytes, whatever its frame. The largest honest requests, a follower's fetch or an offset
commit over all partitions of a node, stay below a tenth of it. Callers that trust their peer more
(a client that reads the metadata of a huge cluster) pass a budget of their own.
"""
