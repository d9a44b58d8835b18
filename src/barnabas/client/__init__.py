"""A Kafka client: pure core, asyncio face. The seed of the full Python client.

`Cluster` holds connections and metadata; `Producer`, `Fetcher` and `Admin` work on one.
"""
