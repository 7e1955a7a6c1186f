"""Running a function on a stack that is deep enough for code that recurses along a grammar."""

import threading
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

STACK_BYTES: Final = 128 * 1024 * 1024
"""Address space; memory only as far as it is used."""

_stack_size_lock = threading.Lock()


def call_deep(function: Callable[[], T]) -> T:
    """Return what the function returns, called on a thread with a deep stack; raises as it does."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again for the caller
            errors.append(error)

    with _stack_size_lock:
        before = threading.stack_size(STACK_BYTES)
        try:
            thread = threading.Thread(target=run, name="deep-stack")
            thread.start()
        finally:
            threading.stack_size(before)
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
