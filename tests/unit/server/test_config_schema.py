"""The controller's config changes with the real definitions."""

from __future__ import annotations

import pytest

from barnabas.config.broker import BrokerConfig, default_properties
from barnabas.metadata.controller.config_changes import ConfigChange, ConfigEditor, Operation
from barnabas.metadata.controller.decision import ControllerSettings
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.configs import BROKER, CLIENT_METRICS, GROUP, TOPIC, ConfigsImage
from barnabas.metadata.record_types import ConfigRecord
from barnabas.server.config_schema import NodeConfigSchema
from barnabas.wire.errors import ErrorCode, KafkaError

SET, DELETE, APPEND, SUBTRACT = Operation
POLICY = "cleanup.policy"


def editor(resource: int, current: dict[str, str], **static: str) -> ConfigEditor:
    properties = default_properties("/data") | {k.replace("_", "."): v for k, v in static.items()}
    config = BrokerConfig.from_properties(properties)
    settings = ControllerSettings(
        1, "cluster", NodeConfigSchema(lambda: config), lambda _: 0, lambda: bytes(16)
    )
    image = MetadataImage.empty()._replace(configs=ConfigsImage({(resource, "x"): current}))
    return ConfigEditor(image, settings, (resource, "x"), existing=False)


def changed(edit: ConfigEditor, *changes: ConfigChange) -> dict[str, str | None]:
    records = edit.incremental(changes)
    return {r.name: r.value for r in records if isinstance(r, ConfigRecord)}


@pytest.mark.parametrize(
    ("current", "change", "expected"),
    [
        ({}, ("retention.ms", SET, "5"), {"retention.ms": "5"}),
        ({"retention.ms": "5"}, ("retention.ms", SET, "5"), {}),
        ({"retention.ms": "5"}, ("retention.ms", DELETE, None), {"retention.ms": None}),
        ({}, ("retention.ms", DELETE, "ignored"), {}),
        ({}, (POLICY, APPEND, "compact"), {POLICY: "delete,compact"}),
        ({POLICY: "compact"}, (POLICY, APPEND, "compact,delete"), {POLICY: "compact,delete"}),
        ({POLICY: "compact,delete"}, (POLICY, SUBTRACT, "compact"), {POLICY: "delete"}),
        ({POLICY: "compact"}, (POLICY, SUBTRACT, "delete,compact"), {POLICY: ""}),
        ({POLICY: "compact"}, (POLICY, APPEND, "delete,,"), {POLICY: "compact,delete"}),
        ({POLICY: "compact"}, (POLICY, APPEND, ","), {}),
    ],
)
def test_operations_on_a_topic(
    current: dict[str, str],
    change: tuple[str, Operation, str | None],
    expected: dict[str, str | None],
) -> None:
    assert changed(editor(TOPIC, current), ConfigChange(*change)) == expected


def test_lists_begin_with_the_definition_whatever_the_file_says() -> None:
    edit = editor(TOPIC, {}, log_cleanup_policy="compact")
    assert changed(edit, ConfigChange(POLICY, APPEND, "delete")) == {POLICY: "delete"}


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        (TOPIC, "retention.ms"),
        (TOPIC, "unknown"),
        (BROKER, "message.max.bytes"),
        (GROUP, "share.isolation.level"),
        (CLIENT_METRICS, "metrics"),
    ],
)
def test_only_lists_can_be_appended_to(resource: int, name: str) -> None:
    with pytest.raises(KafkaError) as caught:
        changed(editor(resource, {}), ConfigChange(name, APPEND, "1"))
    assert caught.value.code is ErrorCode.INVALID_CONFIG


def test_defaults_come_from_the_file_through_the_brokers_name() -> None:
    schema = editor(TOPIC, {}, min_insync_replicas="2", log_retention_ms="7").settings.schema
    assert schema.default(TOPIC, "min.insync.replicas") == "2"
    assert schema.default(TOPIC, "retention.ms") == "7"
    assert schema.default(TOPIC, "segment.bytes") == "1073741824"
    assert schema.built_in(TOPIC, "min.insync.replicas") == "1"
