"""The shells around the metadata log: what drives the quorum and publishes the image."""
