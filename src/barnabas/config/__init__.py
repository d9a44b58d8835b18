"""Broker and topic configuration: definitions, parsing, effective values. Pure."""
