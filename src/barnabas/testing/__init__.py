"""Public test support: the simulator (`barnabas.testing.sim`) and what is built on it."""
