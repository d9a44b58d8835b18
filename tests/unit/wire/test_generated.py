"""All generated classes: their tables, constructors and defaults agree."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from barnabas.wire.codec import decode, encode
from barnabas.wire.message import EMPTY, Message
from tests.wire_samples import classes, versions_of

CONTROL = {
    "ControlRecordTypeSchema",
    "EndTxnMarker",
    "KRaftVersionRecord",
    "LeaderChangeMessage",
    "SnapshotFooterRecord",
    "SnapshotHeaderRecord",
    "VotersRecord",
}
BLOBS = {"ConsumerProtocolAssignment", "ConsumerProtocolSubscription", "DefaultPrincipalData"}


def structs_of(cls: type[Message]) -> Iterator[type[Message]]:
    """A message class and all structs inside it."""
    yield cls
    for field in cls.FIELDS:
        if field.struct is not None:
            yield from structs_of(field.struct)


def test_everything_is_there() -> None:
    names = {cls.NAME for cls in classes()}
    assert len(classes()) == len(names)
    assert names >= CONTROL | BLOBS | {"RequestHeader", "ResponseHeader", "NoOpRecord"}


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.NAME)
def test_slots_table_and_constructor_agree(cls: type[Message]) -> None:
    for struct in structs_of(cls):
        names = [field.name for field in struct.FIELDS]
        assert sorted(struct.__slots__) == sorted(names)
        parameters = list(inspect.signature(struct).parameters.values())
        assert [parameter.name for parameter in parameters] == names
        for parameter, field in zip(parameters, struct.FIELDS, strict=True):
            assert parameter.default == field.default
            assert field.flexible or field.name == "client_id"


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.NAME)
def test_defaults_of_every_version_come_back(cls: type[Message]) -> None:
    for version in versions_of(cls):
        message = cls()
        assert decode(cls, version, encode(message, version), exact=True) == message


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.NAME)
def test_defaults_are_not_shared(cls: type[Message]) -> None:
    for struct in structs_of(cls):
        one, other = struct(), struct()
        for field in struct.FIELDS:
            if field.default is EMPTY:
                assert getattr(one, field.name) is not getattr(other, field.name)
