"""Principals, operations and the authorizer of today."""

from __future__ import annotations

from barnabas.security.authorizer import AllowAll
from barnabas.security.operations import Operation, ResourceType
from barnabas.security.principal import ANONYMOUS, Principal


def test_principals_are_written_as_kafka_does() -> None:
    assert str(Principal("User", "alice")) == "User:alice"
    assert str(ANONYMOUS) == "User:ANONYMOUS"


def test_numbers_are_those_of_acl_records() -> None:
    assert [o.value for o in Operation] == list(range(16))
    assert (Operation.READ, Operation.DESCRIBE_CONFIGS, Operation.TWO_PHASE_COMMIT) == (3, 10, 15)
    assert [t.value for t in ResourceType] == list(range(8))
    assert (ResourceType.TOPIC, ResourceType.CLUSTER, ResourceType.USER) == (2, 4, 7)


def test_without_an_authorizer_everybody_may_do_everything() -> None:
    ask = AllowAll().authorize
    for operation in Operation:
        for kind in ResourceType:
            assert ask(ANONYMOUS, "127.0.0.1", operation, kind, "x")
