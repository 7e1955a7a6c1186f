"""JSON Schema: read, understood, and written as a grammar."""
