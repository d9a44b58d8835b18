"""Consumer groups and committed offsets: decisions, and the state that the log holds."""
