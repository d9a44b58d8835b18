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
"""Array elements (structs, strings, numbers alike) and unknown tagged fields in one message.

They are what costs memory and steps: a number takes up to 40 bytes once decoded, a struct 100 to
400, and never more than 60 times its bytes on the wire; so that one message costs a few hundred
megabytes and a second or two at the very most, however large its frame. The largest honest
requests stay below it: a reassignment of 200,000 partitions with three replicas each has 800,000,
the fetch of a follower for 100,000 partitions has 200,000. Who trusts its peer more (a client that
reads the metadata of a huge cluster) or less passes another budget to the decoder.
"""
