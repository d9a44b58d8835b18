"""What is said to work and has no test yet that sees its effect. This list only shrinks.

A name goes out when a test with `@pytest.mark.effect_of` sees its effect; `test_effects.py` fails
for a name that has such a test, and for a config that works and has neither.
"""

from __future__ import annotations

from typing import Final

UNSEEN: Final[frozenset[str]] = frozenset({})
