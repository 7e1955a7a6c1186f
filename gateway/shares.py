"""Each project's share of the requests in flight, so that none fills the gateway."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.errors import ProjectBusyError

_RETRY_SECONDS = 1.0


class Shares:
    """Counts requests in flight by project.

    Args:
        maximum: Of one project.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._in_flight: Counter[str] = Counter()

    @contextmanager
    def hold(self, project_id: str) -> Iterator[None]:
        """Count a request of the project for the block.

        Raises:
            ProjectBusyError: The project has as many in flight as it may.
        """
        if self._in_flight[project_id] >= self._maximum:
            raise ProjectBusyError(
                f"Rate limit reached: your project may have {self._maximum} requests in flight.",
                retry_after_seconds=_RETRY_SECONDS,
            )
        self._in_flight[project_id] += 1
        try:
            yield
        finally:
            self._in_flight[project_id] -= 1
            if not self._in_flight[project_id]:
                del self._in_flight[project_id]
