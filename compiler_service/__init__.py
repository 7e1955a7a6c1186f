"""Which schemas are accepted, and the indexes they compile to."""
