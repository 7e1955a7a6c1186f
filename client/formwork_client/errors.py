"""What can end a run without an answer.

    LoopError               holds the run so far
    ├── TurnLimitError      the model still wanted to call
    ├── CutOffError         an answer that is not whole: too long, filtered, or its stream broke off
    └── RefusalError        an answer was asked for, and the model refused

Errors of the API itself stay what they are: `openai.OpenAIError`. `InvalidCallError` does not leave
a loop: the model is told, and may try again.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from formwork_client.run import Run


class LoopError(Exception):
    """A run that ended without an answer; `run` is how far it came."""

    def __init__(self, message: str, run: "Run[Any]") -> None:
        super().__init__(message)
        self.run = run


class TurnLimitError(LoopError):
    """The model still called tools in the last turn that it had.

    Those calls were carried out: `run.messages` can be sent on as they are.
    """

    def __init__(self, limit: int, run: "Run[Any]") -> None:
        super().__init__(f"no answer within {limit} turns", run)
        self.limit = limit


class CutOffError(LoopError):
    """An answer is not whole; what it called was not carried out.

    `reason` is its `finish_reason`: `length`, `content_filter`, or None where a stream broke off.
    """

    def __init__(self, reason: str | None, run: "Run[Any]") -> None:
        super().__init__(f"the answer was cut off: {reason or 'its stream broke off'}", run)
        self.reason = reason


class RefusalError(LoopError):
    """The model refused, and an answer was asked for."""

    def __init__(self, refusal: str, run: "Run[Any]") -> None:
        super().__init__(f"the model refused: {refusal}", run)
        self.refusal = refusal


class InvalidCallError(Exception):
    """An unknown tool was called, or arguments do not fit; the message is for the model."""
