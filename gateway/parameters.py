"""The table of every parameter of a chat completion: what is supported, and what is not yet."""

from collections.abc import Mapping
from typing import Any

from gateway.errors import RequestError

SUPPORTED = frozenset(
    {
        "close_in_time",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "logprobs_of",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
    }
)

# Known to OpenAI's API and refused by name; values that ask for nothing beyond what is done anyway
# are taken.
UNSUPPORTED: Mapping[str, tuple[object, ...]] = {
    "audio": (),
    "function_call": (),
    "functions": (),
    "modalities": (["text"],),
    "moderation": (),
    "prediction": (),
    "prompt_cache_options": (),
    "prompt_cache_retention": (),
    "reasoning_effort": (),
    "store": (False,),
    "verbosity": (),
    "web_search_options": (),
}


def refuse_unsupported(members: Mapping[str, Any]) -> None:
    """Raise for the first parameter that is unknown, or known and not supported yet.

    Raises:
        RequestError: By name, code `unknown_parameter` or `unsupported_parameter`.
    """
    for name, value in members.items():
        if name in SUPPORTED:
            continue
        if name not in UNSUPPORTED:
            raise RequestError(
                f"Unrecognized request argument supplied: {name[:64]}",
                name[:64],
                "unknown_parameter",
            )
        if not _is_taken(value, UNSUPPORTED[name]):
            raise RequestError(
                f"Unsupported parameter: '{name}' is not supported yet.",
                name,
                "unsupported_parameter",
            )


def _is_taken(value: object, taken: tuple[object, ...]) -> bool:
    return any(type(value) is type(one) and value == one for one in taken)
