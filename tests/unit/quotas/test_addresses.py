"""One text for each address."""

from __future__ import annotations

import pytest

from barnabas.quotas.addresses import canonical_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("2001:DB8::A", "2001:db8::a"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("localhost", None),
        ("", None),
        ("1.2.3", None),
        ("1.2.3.4.5", None),
        ("1.2.3.256", None),
        ("1.2.3.04", None),
        ("1.2..4", None),
        ("\u0661.2.3.4", None),
        (":::1", None),
        ("10.0.0.1:80", None),
    ],
)
def test_addresses(text: str, address: str | None) -> None:
    assert canonical_address(text) == address
