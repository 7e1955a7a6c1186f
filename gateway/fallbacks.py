"""Which of an alias's snapshots answers: the first that has a worker."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from mesh.errors import InvalidArgumentError, NoWorkerError
from mesh.ids import Snapshot

T = TypeVar("T")


async def first_served(
    candidates: Sequence[Snapshot], begin: Callable[[Snapshot, bool], Awaitable[T]]
) -> T:
    """Return what the first snapshot that can serve begins; where none can, wait for the first.

    Args:
        candidates: At least one, in the order to try them.
        begin: Begins on a snapshot; True: another one would do, so that it does not wait for a
            worker that is not there.

    Raises:
        FormworkError: As `begin` raises it for the first snapshot, or of a failure on the way.
    """
    first, *others = candidates
    if others:
        for snapshot in candidates:
            try:
                return await begin(snapshot, True)  # noqa: FBT003 - as documented
            except NoWorkerError:
                continue
            except InvalidArgumentError:
                if snapshot == first:
                    raise
                # The request is right for the first; this one only lacks what it asks for.
    return await begin(first, False)  # noqa: FBT003 - as documented
