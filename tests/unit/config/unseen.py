"""What is said to work and has no test yet that sees its effect. This list only shrinks.

A name goes out when a test with `@pytest.mark.effect_of` sees its effect; `test_effects.py` fails
for a name that has such a test, and for a config that works and has neither.
"""

from __future__ import annotations

from typing import Final

UNSEEN: Final[frozenset[str]] = frozenset(
    {
        "log.flush.interval.messages",
        "log.flush.interval.ms",
        "log.flush.scheduler.interval.ms",
        "runtime:listener.security.protocol.map",
        "runtime:listeners",
        "runtime:log.flush.interval.messages",
        "runtime:log.flush.interval.ms",
        "runtime:max.connections",
        "runtime:max.connections.per.ip",
        "topic:flush.messages",
        "topic:flush.ms",
    }
)
