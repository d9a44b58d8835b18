from barnabas.client.deliveries import RecordMetadata as RecordMetadata
from barnabas.client.producer import Producer as Producer

__version__: str
