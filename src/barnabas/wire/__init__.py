"""Kafka's wire protocol: bytes to messages and back. Pure: no I/O, no clock, no state."""
