"""The controller's decisions: (image, request) -> (records, reply).

A decision only reads. Its records are appended to the metadata log, replay of the log is the only
thing that changes the image, and the reply leaves when the records are committed. Authorisation
is done before, by the handlers.
"""
