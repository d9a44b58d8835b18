"""The log says once that a volume is nearly full, and once that it is not any more."""

from __future__ import annotations

import logging

import pytest

from barnabas.server.disk_space import CHECK_INTERVAL_MS, low_mark
from tests.unit.server.calm import Session, calm

GIB = 1 << 30
MIB = 1 << 20


@pytest.mark.parametrize(
    ("total", "mark"), [(8 * MIB, 8 * MIB // 10), (50 * GIB, 5 * GIB), (4096 * GIB, 10 * GIB)]
)
def test_a_tenth_is_little_and_ten_gibibytes_are_enough(total: int, mark: int) -> None:
    assert low_mark(total) == mark


def test_a_volume_that_fills_up_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "barnabas.server")

    def said() -> list[tuple[str, str]]:
        found = [(r.levelname, r.getMessage()) for r in caplog.records if "volume" in r.message]
        caplog.clear()
        return found

    async def scenario(s: Session) -> None:
        disk = s.node.host.disk
        minute = CHECK_INTERVAL_MS + 1000
        await s.sleep(minute)
        assert said() == []
        used = disk.model.used_bytes()
        disk.capacity = used + 50 * MIB  # a tenth is a little more than 5 MiB
        await s.sleep(minute)
        assert said() == []
        ballast = disk.open("/ballast", create=True)
        ballast.truncate(46 * MIB)
        await s.sleep(3 * minute)
        assert said() == [
            (
                "WARNING",
                "the volume of log directory /data has 4 MiB left of 50; when it is full the "
                "directory goes offline. Make room, delete topics or records, or keep them "
                "shorter.",
            )
        ]
        for size, expected in (
            (44 * MIB + 3 * MIB // 4, []),
            (40 * MIB, ["INFO"]),
            (48 * MIB, ["WARNING"]),
        ):
            ballast.truncate(size)
            await s.sleep(2 * minute)
            assert [level for level, _ in said()] == expected, size

    calm(scenario)
