"""Barnabas: the event streaming platform of Apache Kafka, in Python."""

__version__ = "0.1.0"
