"""The database's one history."""
