"""What is done when a tool fails."""

from collections.abc import Callable
from typing import NoReturn

from formwork_client.calls import Call

FailureHandler = Callable[[Call, Exception], str]
"""Returns what the model is told, or raises what ends the run."""


def describe_failure(call: Call, error: Exception) -> str:
    """Tell the model the error's class and message, so that it can try otherwise."""
    return f"{call.name} failed: {type(error).__name__}: {error}"


def raise_failure(call: Call, error: Exception) -> NoReturn:  # noqa: ARG001 - a FailureHandler
    """End the run with the tool's own error."""
    raise error
