"""The broker: listeners, connections, dispatch, handlers, delayed operations, life cycle."""
