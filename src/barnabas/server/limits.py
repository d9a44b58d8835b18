"""Limits of the server that are not Kafka configs, each with its reason."""

from __future__ import annotations

from typing import Final

#: Array elements of one request, of all its arrays together: a ListOffsets of 100,000 topics takes
#: 27 MiB and a third of a second, a Fetch of 10,000 partitions has 10,000.
REQUEST_ELEMENTS: Final = 100_000

#: Shared receive buffer of a listener. A read larger than this goes on in the next callback.
SCRATCH_BYTES: Final = 256 * 1024

#: First allocation for a frame that has not arrived whole. Grows by doubling, so that a frame that
#: only promises to be large costs at most twice what has arrived (Kafka allocates what is promised).
FRAME_FIRST_BYTES: Final = 16 * 1024

#: A connection that has delivered a frame of n bytes may have n bytes (up to this) allocated at once.
FRAME_TRUSTED_BYTES: Final = 4 * 1024 * 1024

#: Frames waiting behind a parked request on one connection, beyond which reading stops. Kafka takes
#: one request at a time; a pipelining client has a handful in flight.
BACKLOG_BYTES: Final = 1024 * 1024
BACKLOG_FRAMES: Final = 256

#: Produce requests of one connection that may wait for their acknowledgement at the same time.
PENDING_BYTES: Final = 32 * 1024 * 1024
PENDING_REQUESTS: Final = 1024

#: Those of all connections. Beyond it no frame grows until some are answered.
PARKED_BYTES: Final = 128 * 1024 * 1024

#: Period of the sweep over idle connections and over acknowledgements that ran out of time.
SWEEP_INTERVAL_MS: Final = 250

#: Longest client id kept for logs and caches of a connection.
HEADER_CACHE_BYTES: Final = 512

#: Frames of all connections that are incomplete or wait for their turn (`memory_budget.py`), unless
#: `queued.max.request.bytes` says otherwise. Beyond it frames wait for each other.
RECEIVE_BYTES: Final = 16 * 1024 * 1024
SCRATCH_TIGHT_BYTES: Final = 16 * 1024

#: Frames of throttled connections, which count apart: what their clients had sent already. Beyond it
#: they count like any other, and when others wait for memory they are closed.
MUTED_BYTES: Final = 64 * 1024 * 1024

#: While a frame waits for memory, others must grow by so much per sweep (64 KiB/s) after a second.
FRAME_PATIENCE_TICKS: Final = 4
FRAME_LEAST_TICK_BYTES: Final = 16 * 1024

#: Bytes of records that one Fetch response holds in memory at most. Clients ask for up to 50 MiB by
#: default; returning less is always allowed, and bounds what a client that never reads can hold.
FETCH_RESPONSE_BYTES: Final = 8 * 1024 * 1024

#: An answer that is worth counting.
UNSENT_NOTED_BYTES: Final = 128 * 1024

#: Answers of all clients that do not read, beyond which a Fetch gets little, and how long such a
#: client may go on taking nothing when there is no room left (10 s).
UNSENT_BYTES: Final = 16 * 1024 * 1024
FETCH_LEAST_BYTES: Final = 64 * 1024

#: What a Fetch still gets when there is no room at all, from whoever reads: clients that do not must
#: not keep small events from others. Less than what a connection may cost.
FETCH_CROWDED_BYTES: Final = 16 * 1024
UNSENT_PATIENCE_TICKS: Final = 40

#: Partitions of all fetch sessions together, half a kilobyte each. Beyond it fetches go without a
#: session, which costs them bytes and nothing else.
SESSION_PARTITIONS: Final = 300_000
