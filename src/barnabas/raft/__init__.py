"""KRaft: the quorum that agrees on the metadata log (KIP-595, KIP-630, KIP-853, KIP-996).

`QuorumNode.step(event)` is the whole of it: events in, effects out, no clock, no chance, no I/O.
The shell carries the effects out in order; `effects` says what must be durable before what.
"""
