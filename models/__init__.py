"""The built-in model and what trains it."""
