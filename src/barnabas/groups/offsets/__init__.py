"""Committed offsets: how far the consumers of each group have come."""
