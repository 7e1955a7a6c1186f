"""What goes wrong while the mesh is set up: each message is one line that says what to do."""


class SetupError(Exception):
    """The mesh cannot be started, stopped or set up; the message says why and what to do."""
