"""Kafka's metadata records and their structs, one generated module each, imported when needed."""
