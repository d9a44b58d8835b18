"""Access control entries as stored (StandardAuthorizer's records)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from barnabas.metadata.errors import MetadataError
from barnabas.metadata.image.changes import MapDelta
from barnabas.metadata.record_types import AccessControlEntryRecord, RemoveAccessControlEntryRecord
from barnabas.wire import uuids


class Acl(NamedTuple):
    """One entry; the numbers are Kafka's (AclOperation and its siblings)."""

    resource_type: int
    resource_name: str
    pattern_type: int
    principal: str
    host: str
    operation: int
    permission_type: int


class AclsImage(NamedTuple):
    """Entries by id."""

    acls: Mapping[bytes, Acl]

    @classmethod
    def empty(cls) -> AclsImage:
        """No entries."""
        return cls({})

    def records(self) -> Iterator[AccessControlEntryRecord]:
        """Back to records."""
        for acl_id, acl in self.acls.items():
            yield AccessControlEntryRecord(id=acl_id, **acl._asdict())


class AclsDelta:
    """Folds ACL records."""

    __slots__ = ("acls",)

    def __init__(self, image: AclsImage) -> None:
        self.acls: MapDelta[bytes, Acl] = MapDelta(image.acls)

    def add(self, record: AccessControlEntryRecord) -> None:
        """A new entry."""
        acl = Acl(
            record.resource_type,
            record.resource_name,
            record.pattern_type,
            record.principal,
            record.host,
            record.operation,
            record.permission_type,
        )
        self.acls.put(record.id, acl)

    def remove(self, record: RemoveAccessControlEntryRecord) -> None:
        """Drop an entry. Raises MetadataError when there is none."""
        if self.acls.get(record.id) is None:
            raise MetadataError(f"no access control entry {uuids.to_text(record.id)} to remove")
        self.acls.remove(record.id)

    def apply(self) -> AclsImage:
        """The new image."""
        return AclsImage(self.acls.apply())
