"""Partition logs in Apache Kafka's files: segments, indexes, recovery, retention.

Deterministic over `ports.Disk`: nothing here opens a file, reads a clock or starts a thread on
its own. See `log.py` for the model (one log, three ends), `writer.py` for how bytes get to disk,
`recovery.py` for how a directory is opened after a clean stop or a crash.
"""
