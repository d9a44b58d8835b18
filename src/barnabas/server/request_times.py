"""Where the time of a request goes, by API, in Kafka's phases.

* queue: it lay behind an earlier request of its connection;
* local: its handler ran on the loop;
* remote: it waited for the disk, for other threads, for data or for the clock;
* held: its answer waited for the answers before it;
* sending: until the answers of this turn of the loop were given to the kernel.

A request that never waits (most do not) has a local and a sending time only; the zeros of the other
phases are filled in when somebody looks.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from barnabas.instruments import BOUNDS_NS, Times
from barnabas.wire.apis import API

if TYPE_CHECKING:
    from barnabas.server.request import Request

log = logging.getLogger("barnabas.request")

_MS: Final = 1_000_000
#: Lines about slow requests in a number of sweeps of the node (10 s); what is more is only counted.
SLOW_LINES: Final = 10
SLOW_SWEEPS: Final = 40
#: JoinGroup and SyncGroup wait for other members, as long as it takes.
PATIENT: Final = frozenset({11, 14})


class ApiTimes:
    """The phases of all requests of one API."""

    __slots__ = ("held", "local", "name", "queue", "remote", "sending", "total")

    def __init__(self, name: str) -> None:
        self.name = name
        self.total = Times()
        self.queue = Times()
        self.local = Times()
        self.remote = Times()
        self.held = Times()
        self.sending = Times()


class RequestRecorder:
    """Notes the times of answered requests; tells of slow ones.

    `slow_ms` is `barnabas.slow.request.ms`: a request that took longer is worth a warning (-1: none
    is). Waiting that its client asked for, or that other requests caused, does not count.
    """

    __slots__ = ("_details", "_lines", "_now", "_slow_ns", "_sweeps", "_unsaid", "apis")

    def __init__(self, now_ns: Callable[[], int], slow_ms: int) -> None:
        self._now = now_ns
        self._slow_ns = slow_ms * _MS if slow_ms >= 0 else 1 << 62
        self._lines = SLOW_LINES
        self._sweeps = 0
        self._unsaid = 0
        self.apis: dict[int, ApiTimes] = {}
        self.follow_level()

    def follow_level(self) -> None:
        """The level of the logger may have changed: it says whether every request has a line."""
        self._details = log.isEnabledFor(logging.DEBUG)

    def of(self, api_key: int) -> ApiTimes:
        """The times of one API, for its entries in the tables of all listeners."""
        if api_key not in self.apis:
            self.apis[api_key] = ApiTimes(API[api_key].name)
        return self.apis[api_key]

    def record(self, requests: list[Request]) -> None:
        """The answers of these have just been given to the kernel (or there is none to give)."""
        sent = self._now()
        slow = self._slow_ns
        for request in requests:
            entry = request.entry
            entry.count += 1
            times = entry.times
            arrived, began, left = request.arrived_ns, request.began_ns, request.left_ns
            answered, held = request.answered_ns, request.taken_ns
            phase, spent = times.local, left - began
            phase.counts[bisect_left(BOUNDS_NS, spent)] += 1
            phase.total_ns += spent
            phase, spent = times.sending, sent - held
            phase.counts[bisect_left(BOUNDS_NS, spent)] += 1
            phase.total_ns += spent
            phase, spent = times.total, sent - arrived
            phase.counts[bisect_left(BOUNDS_NS, spent)] += 1
            phase.total_ns += spent
            if answered != left:
                phase, waited = times.remote, answered - left
                phase.counts[bisect_left(BOUNDS_NS, waited)] += 1
                phase.total_ns += waited
            if began != arrived:
                times.queue.add(began - arrived)
            if held != answered:
                times.held.add(held - answered)
            # What it had to wait for others of its connection is theirs.
            if sent - began - (held - answered) - request.patience_ns > slow:
                self._tell_slow(request, sent)
            if self._details:
                log.debug("request", extra=_details(request, sent))

    def _tell_slow(self, request: Request, sent_ns: int) -> None:
        if request.api_key in PATIENT and request.left_ns - request.began_ns <= self._slow_ns:
            return
        if self._lines:
            self._lines -= 1
            log.warning("slow request", extra=_details(request, sent_ns))
        else:
            self._unsaid += 1

    def sweep(self) -> None:
        """The node sweeps: now and then allow new lines, and say how many were kept back."""
        self._details = log.isEnabledFor(logging.DEBUG)  # which may change while the node runs
        self._sweeps += 1
        if self._sweeps < SLOW_SWEEPS:
            return
        self._sweeps = 0
        self._lines = SLOW_LINES
        if self._unsaid:
            log.warning("slow requests without a line of their own", extra={"count": self._unsaid})
            self._unsaid = 0


def _details(request: Request, sent_ns: int) -> dict[str, object]:
    """What a line about a request holds. The names are a promise: docs/operations.md lists them."""
    connection = request.connection
    return {
        "api": request.entry.times.name,
        "version": request.api_version,
        "client": "{}:{}".format(*connection.peer[:2]),
        "client_id": connection.client_id,
        "listener": connection.listener_name,
        "correlation_id": request.correlation_id,
        "bytes": request.size,
        "total_ms": _ms(sent_ns - request.arrived_ns),
        "queue_ms": _ms(request.began_ns - request.arrived_ns),
        "local_ms": _ms(request.left_ns - request.began_ns),
        "remote_ms": _ms(request.answered_ns - request.left_ns),
        "held_ms": _ms(request.taken_ns - request.answered_ns),
        "sending_ms": _ms(sent_ns - request.taken_ns),
    }


def _ms(ns: int) -> float:
    return round(ns / _MS, 3)
