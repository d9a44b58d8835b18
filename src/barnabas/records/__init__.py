"""Record batches: the one format that is produced, stored, replicated and consumed.

Batches stay bytes on the data path. Only tools, clients, compaction and deep validation look at
single records.
"""
