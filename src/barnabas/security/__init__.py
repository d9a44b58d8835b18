"""Who asks, what they want to do, and whether they may. Pure."""
