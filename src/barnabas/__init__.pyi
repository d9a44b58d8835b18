from barnabas.client.producer import Producer as Producer

__version__: str
