"""Synthesises the data, trains, exports and measures the built-in model."""
