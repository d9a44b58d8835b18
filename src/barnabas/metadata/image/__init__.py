"""The immutable picture of the cluster at one offset of the metadata log, one area per file.

Each area is a small immutable value over plain dicts that nobody changes after they were built.
A batch of records is folded through the area's delta, which copies the dict of a touched area at
most once. A dict of 10,000 references is copied in well under 0.2 ms, far below the sync that every
commit costs, while look-ups on the request path stay those of a plain dict. A persistent map would
make the copy cheaper and every look-up several times dearer; requests outnumber metadata commits
by orders of magnitude, so the dict wins.
"""

from barnabas.metadata.image.acls import Acl, AclsImage
from barnabas.metadata.image.cluster import (
    BrokerRegistration,
    ClusterImage,
    ControllerRegistration,
    Endpoint,
)
from barnabas.metadata.image.configs import ConfigsImage
from barnabas.metadata.image.features import FeaturesImage
from barnabas.metadata.image.metadata import MetadataImage, Provenance
from barnabas.metadata.image.partition import Partition
from barnabas.metadata.image.producer_ids import ProducerIdsImage
from barnabas.metadata.image.quotas import ClientQuotasImage
from barnabas.metadata.image.scram import ScramCredential, ScramImage
from barnabas.metadata.image.tokens import DelegationToken, DelegationTokensImage
from barnabas.metadata.image.topics import Topic, TopicsImage

__all__ = [
    "Acl",
    "AclsImage",
    "BrokerRegistration",
    "ClientQuotasImage",
    "ClusterImage",
    "ConfigsImage",
    "ControllerRegistration",
    "DelegationToken",
    "DelegationTokensImage",
    "Endpoint",
    "FeaturesImage",
    "MetadataImage",
    "Partition",
    "ProducerIdsImage",
    "Provenance",
    "ScramCredential",
    "ScramImage",
    "Topic",
    "TopicsImage",
]
