"""Pieces of OpenAI's response objects that whole answers and chunks share."""

from collections.abc import Mapping
from typing import Any

from formwork.sampler.v1.sampler_pb2 import (
    CHANNEL_REFUSAL,
    FINISH_LENGTH,
    FINISH_STOP,
    Frame,
    TokenLogprob,
    TopLogprob,
)
from formwork.scheduler.v1.scheduler_pb2 import TokenCounts

# What OpenAI sends for a token that is impossible.
_LEAST_LOGPROB = -9999.0
_FINISH_REASONS = {FINISH_STOP: "stop", FINISH_LENGTH: "length"}


def finish_reason(frame: Frame) -> str | None:
    """Return OpenAI's name for how a sequence ended; None while it goes on."""
    return _FINISH_REASONS.get(frame.finish)


def is_refusal(frame: Frame) -> bool:
    """Return whether a frame's text belongs into the field `refusal`."""
    return frame.channel == CHANNEL_REFUSAL


def usage_object(counts: TokenCounts, reasoning_tokens: int = 0) -> dict[str, Any]:
    """Return the object `usage`."""
    return {
        "prompt_tokens": counts.prompt_tokens,
        "completion_tokens": counts.completion_tokens,
        "total_tokens": counts.prompt_tokens + counts.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": counts.cached_prompt_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def logprob_objects(frame: Frame, names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return the token objects of a frame; control tokens, which have no text, are left out.

    Args:
        frame: Has log probabilities.
        names: Of control tokens by id: among the likeliest ones they are called so.
    """
    return [
        {**_token(entry, names), "top_logprobs": [_token(top, names) for top in entry.top]}
        for entry in frame.logprobs
        if entry.token
    ]


def _token(entry: TokenLogprob | TopLogprob, names: Mapping[int, str]) -> dict[str, Any]:
    text = entry.token.decode(errors="replace")
    return {
        "token": text or names.get(entry.token_id, ""),
        "logprob": max(_LEAST_LOGPROB, entry.logprob),  # NaN, which has no JSON, becomes least too
        "bytes": list(entry.token) or None,
    }
