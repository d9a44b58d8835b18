"""DescribeConfigs (key 32), versions 1-4; broker and controller listeners.

v1 synonyms; v3 type and documentation; v4 flexible. Per resource: UNKNOWN_TOPIC_OR_PARTITION,
INVALID_TOPIC_EXCEPTION, INVALID_REQUEST (another broker, unknown type), TOPIC_AUTHORIZATION_FAILED,
CLUSTER_AUTHORIZATION_FAILED, GROUP_AUTHORIZATION_FAILED. Documentation is a line of ours for what
works, null for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from barnabas.config import describe
from barnabas.metadata.controller.topic_names import check_topic_name
from barnabas.metadata.image.configs import BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC
from barnabas.security.operations import Operation
from barnabas.server import log_levels
from barnabas.server.config_access import KNOWN_TYPES, check_node_id, refusal, unknown_type
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.describe_configs_request import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
)
from barnabas.wire.messages.describe_configs_response import (
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

SLICE = 16
"""Resources that are described in one go: a topic takes half a millisecond, a broker five."""
UNSET_MESSAGE = ""
"""What Kafka leaves in the field when it sets no message: the default of the schema, not null."""


async def handle(
    broker: Broker, request: Request, message: DescribeConfigsRequest
) -> DescribeConfigsResponse:
    """Effective values and where they come from; each resource once, however often it is named."""
    # One unknown type spoils the whole request, with Kafka too.
    unknown = [r.resource_type for r in message.resources if r.resource_type not in KNOWN_TYPES]
    if unknown:
        spoiled = unknown_type(unknown[0])
        return DescribeConfigsResponse(
            results=[
                DescribeConfigsResult(
                    spoiled.code, spoiled.message, r.resource_type, r.resource_name
                )
                for r in message.resources
            ]
        )
    results = []
    for at, resource in enumerate(_distinct(message.resources)):
        if at % SLICE == SLICE - 1:
            await broker.clock.sleep(0)
        results.append(_describe(broker, request, message, resource))
    return DescribeConfigsResponse(results=results)


def _distinct(resources: Iterable[DescribeConfigsResource]) -> Iterable[DescribeConfigsResource]:
    return {
        (
            each.resource_type,
            each.resource_name,
            frozenset(each.configuration_keys or ()),
        ): each
        for each in resources
    }.values()


def _describe(
    broker: Broker,
    request: Request,
    message: DescribeConfigsRequest,
    resource: DescribeConfigsResource,
) -> DescribeConfigsResult:
    kind, name = resource.resource_type, resource.resource_name
    error = refusal(broker, request, Operation.DESCRIBE_CONFIGS, kind, name)
    try:
        if error is not None:
            raise error
        entries = _entries(broker, resource)
    except KafkaError as refused:
        unset = refused.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        said = UNSET_MESSAGE if unset else refused.message
        return DescribeConfigsResult(refused.code, said, kind, name)
    texts = _texts(kind) if message.include_documentation else {}
    none = "" if kind == BROKER_LOGGER else None  # Kafka leaves that one at its default
    configs = [
        _result(entry, message.include_synonyms, texts.get(entry.name, none)) for entry in entries
    ]
    return DescribeConfigsResult(ErrorCode.NONE, UNSET_MESSAGE, kind, name, configs)


def _entries(broker: Broker, resource: DescribeConfigsResource) -> Sequence[describe.Entry]:
    name, keys = resource.resource_name, resource.configuration_keys
    configs = broker.image.configs
    match resource.resource_type:
        case kind if kind == TOPIC:
            check_topic_name(name)
            if name not in broker.image.topics.by_name:
                raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
            return describe.describe_topic(broker.config, configs.of(TOPIC, name), keys)
        case kind if kind == BROKER:
            if not name:
                return describe.describe_cluster(broker.config, keys)
            check_node_id(broker, name)
            return describe.describe_broker(broker.config, keys)
        case kind if kind == BROKER_LOGGER:
            check_node_id(broker, name)
            return describe.describe_loggers(log_levels.levels(), keys)
        case kind if kind == GROUP:
            _check_name(name)
            return describe.describe_group(broker.config, configs.of(GROUP, name), keys)
        case _:
            _check_name(name)
            return describe.describe_client_metrics(configs.of(CLIENT_METRICS, name), keys)


def _check_name(name: str) -> None:
    if not name:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "A name is needed.")


def _texts(resource_type: int) -> Mapping[str, str]:
    from barnabas.config import descriptions  # seldom asked for

    return {TOPIC: descriptions.TOPIC, BROKER: descriptions.BROKER}.get(resource_type, {})


def _result(
    entry: describe.Entry, include_synonyms: bool, documentation: str | None
) -> DescribeConfigsResourceResult:
    synonyms: Iterable[describe.Synonym] = entry.synonyms if include_synonyms else ()
    return DescribeConfigsResourceResult(
        entry.name,
        entry.value,
        entry.read_only,
        entry.source,
        entry.sensitive,
        [DescribeConfigsSynonym(s.name, s.value, s.source) for s in synonyms],
        entry.type_id,
        documentation,
    )
