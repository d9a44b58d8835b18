"""Compaction: of each key only the newest record stays (facts: log-format section 13).

`choice` decides, purely, which log is filthiest and up to where; `work` is the cleaning itself, a
function from disk to disk that may run in another process; `cleaner` runs it and swaps the result
in.
"""
