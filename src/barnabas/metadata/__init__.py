"""Cluster metadata: records, the image they fold into, and the controller's decisions.

Everything here is pure. The metadata log is the only store: an image is a fold over its records
(`delta`), a snapshot is an image written back as records (`snapshot`), and a controller decision
(`controller`) reads an image and returns records plus a reply, changing nothing.
"""
