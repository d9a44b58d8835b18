"""Records worked on side by side, in order where it counts: `Consumer.process`.

`lanes` decides what may begin and what may be committed, `gaps` writes the latter down, `failures`
decides what becomes of a record that failed; all pure. `processor` carries it out.
"""
