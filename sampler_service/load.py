"""How busy a worker is."""

from collections import deque
from dataclasses import dataclass

WINDOW_SECONDS = 10.0


@dataclass(frozen=True)
class Load:
    """One look at a worker. `tokens_per_second` is of the last ten seconds."""

    slots: int = 0
    slots_used: int = 0
    waiting: int = 0
    tokens_per_second: float = 0.0


class TokenRate:
    """Tokens of the last ten seconds, by time of their step."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque()
        self._tokens = 0

    def record(self, tokens: int, now: float) -> None:
        """Count a step; `now` is monotonic seconds."""
        if tokens:
            self._steps.append((now, tokens))
            self._tokens += tokens
        self._forget(now)

    def per_second(self, now: float) -> float:
        """Return the rate."""
        self._forget(now)
        return self._tokens / WINDOW_SECONDS

    def _forget(self, now: float) -> None:
        while self._steps and self._steps[0][0] <= now - WINDOW_SECONDS:
            self._tokens -= self._steps.popleft()[1]
