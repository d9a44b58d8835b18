"""Client quotas: what may be limited, whose limit counts, and the arithmetic of rates (KIP-13, 219,
546, 599, 612). Pure: the time is passed in, in monotonic milliseconds."""
