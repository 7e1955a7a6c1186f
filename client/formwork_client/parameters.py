"""The parameters of a request that a loop hands through."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

import openai
import pydantic
from openai.types.chat import ChatCompletionToolChoiceOptionParam
from openai.types.chat.completion_create_params import ResponseFormat

ToolChoice = ChatCompletionToolChoiceOptionParam


class Parameters(TypedDict, total=False):
    """What `chat.completions.create` takes, less what a loop sets itself.

    Whatever is missing here goes into `extra_body`.
    """

    frequency_penalty: float
    logit_bias: dict[str, int]
    logprobs: bool
    max_completion_tokens: int
    metadata: dict[str, str]
    parallel_tool_calls: bool
    presence_penalty: float
    prompt_cache_key: str
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"]
    safety_identifier: str
    seed: int
    service_tier: Literal["auto", "default", "flex", "scale", "priority"]
    stop: str | list[str]
    temperature: float
    tool_choice: ToolChoice
    top_logprobs: int
    top_p: float
    verbosity: Literal["low", "medium", "high"]
    extra_headers: Mapping[str, str]
    extra_body: Mapping[str, object]
    timeout: float


def write_format(wanted: type[pydantic.BaseModel] | ResponseFormat | None) -> dict[str, Any]:
    """Return the parameter `response_format`, or nothing; a class becomes its strict schema."""
    if wanted is None:
        return {}
    if not isinstance(wanted, type):
        return {"response_format": wanted}
    schema = openai.pydantic_function_tool(wanted)["function"]["parameters"]
    named = {"name": wanted.__name__, "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def relax_choice(choice: ToolChoice) -> ToolChoice:
    """Return the tool choice of a later turn: a call that was demanded has been made by then."""
    if isinstance(choice, str):
        return "auto" if choice == "required" else choice
    if choice["type"] != "allowed_tools":
        return "auto"
    allowed = choice["allowed_tools"]
    return {"type": "allowed_tools", "allowed_tools": {**allowed, "mode": "auto"}}
