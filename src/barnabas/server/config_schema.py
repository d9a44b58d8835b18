"""What the controller asks of the config definitions (`metadata.controller.decision.ConfigSchema`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from barnabas.config import definitions, describe, topics
from barnabas.config.alter import key_of, validate_broker_configs
from barnabas.config.broker import BrokerConfig
from barnabas.config.groups import validate_client_metrics_configs, validate_group_configs
from barnabas.metadata.image.configs import BROKER, CLIENT_METRICS, GROUP, TOPIC
from barnabas.wire.messages.create_topics_response import CreatableTopicConfigs


class NodeConfigSchema:
    """Definitions and defaults as this node has them; `config` gives the current ones."""

    def __init__(self, config: Callable[[], BrokerConfig]) -> None:
        self._config = config
        self._asked: tuple[object, ...] = ()
        self._answer: tuple[CreatableTopicConfigs, ...] = ()

    def validate(
        self, resource_type: int, resource_name: str, new: Mapping[str, str], old: Mapping[str, str]
    ) -> None:
        """Check all values that a resource would have. Raises `KafkaError`."""
        config = self._config()
        if resource_type == TOPIC:
            topics.validate_topic_configs(config, new, old)
        elif resource_type == BROKER:
            validate_broker_configs(config, new, per_broker=bool(resource_name))
        elif resource_type == GROUP:
            validate_group_configs(config, resource_name, new)
        elif resource_type == CLIENT_METRICS:
            validate_client_metrics_configs(resource_name, new)

    def is_list(self, resource_type: int, name: str) -> bool:
        """Whether APPEND and SUBTRACT apply."""
        key = key_of(resource_type, name)
        return key is not None and key.type == "list"

    def default(self, resource_type: int, name: str) -> str | None:
        """The value without any dynamic config: what is in the file, else Kafka's default."""
        static = self._config().static
        names = [name]
        if resource_type == TOPIC:
            names = [synonym for synonym, _ in definitions.TOPIC_SYNONYMS.get(name, ())]
        for each in names:
            if each in static:
                return static[each]
        return self.built_in(resource_type, name)

    def built_in(self, resource_type: int, name: str) -> str | None:
        """Kafka's default, whatever the file says."""
        key = key_of(resource_type, name)
        return None if key is None else key.default

    def topic_entries(
        self,
        topic: Mapping[str, str],
        node: Mapping[str, str],
        cluster: Mapping[str, str],
    ) -> list[CreatableTopicConfigs]:
        """Effective configs of a topic, sorted by name.

        The topics of one request mostly have the same, and to work them out takes a millisecond.
        """
        static = self._config()
        asked = (static, dict(topic), dict(node), dict(cluster))
        if asked != self._asked:
            self._answer = tuple(
                CreatableTopicConfigs(
                    entry.name, entry.value, entry.read_only, entry.source, entry.sensitive
                )
                for entry in describe.describe_created_topic(
                    static.with_dynamic(cluster, node), topic
                )
            )
            self._asked = asked
        return list(self._answer)
