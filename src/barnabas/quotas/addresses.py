"""IP addresses as keys: one text for each address."""

from __future__ import annotations


def canonical_address(text: str) -> str | None:
    """The one way to write an address; None for what is no address, such as a host name.

    An IPv4 address in IPv6 clothes is an IPv4 address, and the zone of a link-local address does
    not count, as in Java.
    """
    if text.isascii() and text.replace(".", "").isdigit() and text.count(".") == 3:
        parts = text.split(".")
        plain = all(part and str(int(part)) == part and int(part) < 256 for part in parts)
        return text if plain else None
    if ":" not in text:
        return None
    from ipaddress import IPv6Address  # takes milliseconds to import

    try:
        address = IPv6Address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped
    return str(address if mapped is None else mapped)
