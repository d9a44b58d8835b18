"""DescribeLogDirs (key 35), versions 1-5; broker listeners.

v2 flexible; v3 error of the whole; v4 space of the volume (KIP-827); v5 cordoned (KIP-1066).
CLUSTER_AUTHORIZATION_FAILED, and per directory KAFKA_STORAGE_ERROR when it is offline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.log.usage import measure
from barnabas.metadata.features import MV_CORDONED_LOG_DIRS
from barnabas.security.operations import Operation
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.describe_log_dirs_request import DescribeLogDirsRequest
from barnabas.wire.messages.describe_log_dirs_response import (
    DescribeLogDirsPartition,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
)

if TYPE_CHECKING:
    from barnabas.log.checkpoints import TopicPartition
    from barnabas.log.directory import LogDirectory
    from barnabas.log.usage import DirectoryUsage
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: DescribeLogDirsRequest
) -> DescribeLogDirsResponse:
    """Every log directory with the sizes of the partitions that were asked for (null: of all)."""
    if not broker.allowed.cluster(request, Operation.DESCRIBE):
        return DescribeLogDirsResponse(error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    asked = None
    if message.topics is not None:
        asked = {(topic.topic, index) for topic in message.topics for index in topic.partitions}
    results = [await _directory(broker, home, asked) for home in broker.log_directories]
    return DescribeLogDirsResponse(results=results)


async def _directory(
    broker: Broker, home: LogDirectory, asked: set[TopicPartition] | None
) -> DescribeLogDirsResult:
    failed = DescribeLogDirsResult(ErrorCode.KAFKA_STORAGE_ERROR, home.path)
    if home.offline is not None:
        return failed
    partitions = {
        key: path for key, path in home.partitions.items() if asked is None or key in asked
    }
    try:
        usage = await broker.executor.run(lambda: measure(home.disk, home.path, partitions))
    except OSError:
        return failed
    return DescribeLogDirsResult(
        ErrorCode.NONE,
        home.path,
        _topics(usage),
        usage.total,
        usage.usable,
        broker.image.features.version >= MV_CORDONED_LOG_DIRS
        and home.path in broker.config.cordoned_log_dirs,
    )


def _topics(usage: DirectoryUsage) -> list[DescribeLogDirsTopic]:
    topics: dict[str, DescribeLogDirsTopic] = {}
    for (name, index), size in sorted(usage.sizes.items()):
        topic = topics.setdefault(name, DescribeLogDirsTopic(name))
        # No lag: no log of a leader ends below its high watermark.
        topic.partitions.append(DescribeLogDirsPartition(index, size, offset_lag=0))
    return list(topics.values())
