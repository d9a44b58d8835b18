"""Chance from the operating system."""

from __future__ import annotations

import os
import secrets


class HostRandom:
    """`ports.Random` over the kernel's generator: fit for ids, salts and nonces."""

    __slots__ = ()

    def bytes(self, n: int) -> bytes:
        """`n` random bytes."""
        return os.urandom(n)

    def below(self, n: int) -> int:
        """A uniform integer in [0, n); raises ValueError when `n` is not positive."""
        return secrets.randbelow(n)
