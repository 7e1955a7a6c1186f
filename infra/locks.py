"""File locks that end with their holder: nothing is stale after a crash."""

import fcntl
import os
from pathlib import Path


class HeldLock:
    """A lock that this process holds until `release`, or until it ends.

    Args:
        descriptor: The locked file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Let somebody else take it."""
        os.close(self._descriptor)


def find_lock(path: Path) -> HeldLock | None:
    """Return the lock on a file, or None while another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return HeldLock(descriptor)


def is_locked(path: Path) -> bool:
    """Tell whether another process holds the lock."""
    lock = find_lock(path)
    if lock is None:
        return True
    lock.release()
    return False
