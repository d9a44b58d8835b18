"""Directories that get no new partitions (KIP-1066)."""

from __future__ import annotations

import pytest

from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.create_topics_request import CreatableTopic, CreateTopicsRequest
from barnabas.wire.messages.create_topics_response import CreateTopicsResponse
from barnabas.wire.messages.describe_log_dirs_request import DescribeLogDirsRequest
from barnabas.wire.messages.describe_log_dirs_response import DescribeLogDirsResponse
from tests.unit.effects.levels import alter_node
from tests.unit.server.calm import Session, calm

TWO = {"log.dirs": "/one,/two"}


async def cordoned(s: Session) -> list[str]:
    """What the node says of its directories."""
    answer = await s.ask(DescribeLogDirsRequest(None), DescribeLogDirsResponse)
    return [each.log_dir for each in answer.results if each.is_cordoned]


async def create(s: Session, name: str, partitions: int) -> tuple[ErrorCode, list[int]]:
    """Create a topic; the error, and how many of its partitions are in each directory."""
    request = CreateTopicsRequest([CreatableTopic(name, partitions, 1)], 5000)
    answer = (await s.ask(request, CreateTopicsResponse)).topics[0]
    await s.sleep(100)
    disk = s.node.host.disk
    counts = [
        sum(entry.startswith(f"{name}-") for entry in disk.list_dir(path))
        for path in ("/one", "/two")
    ]
    return ErrorCode(answer.error_code), counts


@pytest.mark.effect_of("cordoned.log.dirs", "runtime:cordoned.log.dirs")
@pytest.mark.parametrize("level", ["file", "runtime"])
def test_a_cordoned_directory_gets_nothing_new(level: str) -> None:
    cordon = {"cordoned.log.dirs": "/one"}

    async def scenario(s: Session) -> None:
        if level == "runtime":
            assert await create(s, "before", 4) == (ErrorCode.NONE, [2, 2])
            await alter_node(s, cordon, broker="1")
        assert await cordoned(s) == ["/one"]
        assert await create(s, "t", 4) == (ErrorCode.NONE, [0, 4])
        await s.restart("kill")
        assert await cordoned(s) == ["/one"]
        assert await create(s, "u", 2) == (ErrorCode.NONE, [0, 2])
        await alter_node(s, {"cordoned.log.dirs": "*"}, broker="1")
        assert await cordoned(s) == ["/one", "/two"]
        await s.sleep(100)
        assert await create(s, "v", 2) == (ErrorCode.INVALID_REPLICATION_FACTOR, [0, 0])
        await alter_node(s, {"cordoned.log.dirs": ""}, broker="1")
        assert await cordoned(s) == []
        await s.sleep(100)
        assert (await create(s, "w", 2))[0] == ErrorCode.NONE

    calm(scenario, {**TWO, **(cordon if level == "file" else {})})
