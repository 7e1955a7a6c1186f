"""The `formwork` command, which speaks the HTTP API."""
