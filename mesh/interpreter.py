"""How the threads of a process that serves share its interpreter."""

import sys

_SECONDS = 0.0005


def share_interpreter() -> None:
    """Have a thread that computes let another one go on within half a millisecond.

    Python's own interval is ten times that: an event loop would wait as long each time that it is
    woken while a prompt is written or a step computed beside it.
    """
    sys.setswitchinterval(_SECONDS)
