"""Random records and batches for the tests of `records`."""

from __future__ import annotations

from random import Random

from barnabas.records.builder import NewRecord

SIZES = (0, 1, 7, 63, 64, 100, 8191, 8192, 70_000)


def random_content(random: Random) -> bytes | None:
    """Null, empty, short or long; text compresses, noise does not."""
    if random.random() < 0.2:
        return None
    size = random.choice(SIZES) if random.random() < 0.2 else random.randrange(200)
    return random.randbytes(size) if random.random() < 0.5 else b"abcd" * (size // 4)


def random_record(random: Random, timestamp: int) -> NewRecord:
    """(key, value, timestamp, headers), often plain, sometimes with everything."""
    if random.random() < 0.4:
        return None, random.randbytes(random.randrange(120)), timestamp, ()
    headers = tuple(
        (random.choice(("", "k", "schlüssel", "x" * 100)), random_content(random))
        for _ in range(random.choice((0, 0, 1, 3)))
    )
    return random_content(random), random_content(random), timestamp, headers


def random_records(random: Random, count: int) -> list[NewRecord]:
    """`count` records whose timestamps jump about, also backwards."""
    timestamp = random.choice((0, 1_700_000_000_000))
    records = []
    for _ in range(count):
        timestamp = max(0, timestamp + random.choice((0, 0, 1, 5, 70, -3, 20_000, -100_000)))
        records.append(random_record(random, timestamp))
    return records
