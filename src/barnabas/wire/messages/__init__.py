"""Kafka's requests, responses and their structs, one generated module each, imported when needed."""
