from barnabas.client.consumer.face import Consumer as Consumer
from barnabas.client.consumer.leases import CommitRefused as CommitRefused
from barnabas.client.consumer.leases import OffsetAndMetadata as OffsetAndMetadata
from barnabas.client.consumer.running import RebalanceListener as RebalanceListener
from barnabas.client.deliveries import RecordMetadata as RecordMetadata
from barnabas.client.processing.failures import Reject as Reject
from barnabas.client.processing.failures import Retry as Retry
from barnabas.client.processing.failures import RetryAfter as RetryAfter
from barnabas.client.producer import Producer as Producer

__version__: str
