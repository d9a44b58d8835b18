"""The consumer: a core on a loop in a thread of its own, and two faces for applications.

The network, the membership and the prefetching live in the core's thread, so that heartbeats never
wait for the application. Records are decoded in the application's thread, when it asks for them.
"""
