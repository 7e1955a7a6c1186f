"""Usage over several completions."""

from collections.abc import Iterable

import pydantic
from openai.types import CompletionUsage


def sum_usage(usages: Iterable[CompletionUsage | None]) -> CompletionUsage:
    """Return the sum, details included; a completion without usage counts as none."""
    total: dict[str, object] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    for usage in usages:
        if usage is not None:
            _add(total, usage)
    return CompletionUsage.model_validate(total)


def _add(total: dict[str, object], part: pydantic.BaseModel) -> None:
    for name, value in part:
        held = total.get(name)
        if isinstance(value, pydantic.BaseModel):
            nested: dict[str, object] = held if isinstance(held, dict) else {}
            _add(nested, value)
            total[name] = nested
        elif isinstance(value, int):
            total[name] = value + (held if isinstance(held, int) else 0)
