"""DescribeConfigs (key 32), versions 1-4; broker and controller listeners.

v1 synonyms; v3 type and documentation; v4 flexible. Per resource: UNKNOWN_TOPIC_OR_PARTITION,
INVALID_TOPIC_EXCEPTION, INVALID_REQUEST (another broker, unknown type), TOPIC_AUTHORIZATION_FAILED,
CLUSTER_AUTHORIZATION_FAILED, GROUP_AUTHORIZATION_FAILED. Documentation is null: Kafka's texts are its
own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from barnabas.config import describe
from barnabas.metadata.controller.topic_names import check_topic_name
from barnabas.metadata.image.configs import BROKER, CLIENT_METRICS, GROUP, TOPIC
from barnabas.security.operations import Operation
from barnabas.server.config_access import refusal
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


def handle(
    broker: Broker, request: Request, message: DescribeConfigsRequest
) -> DescribeConfigsResponse:
    """Effective values and where they come from."""
    results = []
    for resource in message.resources:
        kind, name = resource.resource_type, resource.resource_name
        error = refusal(broker, request, Operation.DESCRIBE_CONFIGS, kind, name)
        try:
            if error is not None:
                raise error
            entries = _entries(broker, request, resource)
        except KafkaError as refused:
            results.append(DescribeConfigsResult(refused.code, refused.message, kind, name))
        else:
            configs = [_result(entry, message.include_synonyms) for entry in entries]
            results.append(DescribeConfigsResult(ErrorCode.NONE, None, kind, name, configs))
    return DescribeConfigsResponse(results=results)


def _entries(
    broker: Broker, request: Request, resource: DescribeConfigsResource
) -> Sequence[describe.Entry]:
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
            if name != str(broker.node_id):
                raise KafkaError(
                    ErrorCode.INVALID_REQUEST,
                    f"Unexpected broker id, expected {broker.node_id} or empty, got {name!r}.",
                )
            return describe.describe_broker(broker.config, keys)
        case kind if kind == GROUP:
            return describe.describe_group(broker.config, configs.of(GROUP, name), keys)
        case kind if kind == CLIENT_METRICS:
            return describe.describe_client_metrics(configs.of(CLIENT_METRICS, name), keys)
        case kind:
            del request
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unknown resource type {kind}.")


def _result(entry: describe.Entry, include_synonyms: bool) -> DescribeConfigsResourceResult:
    synonyms: Iterable[describe.Synonym] = entry.synonyms if include_synonyms else ()
    return DescribeConfigsResourceResult(
        entry.name,
        entry.value,
        entry.read_only,
        entry.source,
        entry.sensitive,
        [DescribeConfigsSynonym(s.name, s.value, s.source) for s in synonyms],
        entry.type_id,
        None,
    )
