"""What is asked of a sequence, checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class SequenceKey(NamedTuple):
    """Names a sequence on this worker: its stream, and its id there."""

    stream: int
    sequence: int


@dataclass(frozen=True)
class SamplingOptions:
    """How a sequence is sampled; ranges have been checked.

    `max_tokens` counts the end token. `close_in_time`: the answer is whole when they are used up.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int = 0
    max_tokens: int = 1
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    """None: no log probabilities."""
    close_in_time: bool = False
    logprobs_of_allowed: bool = False
    """They are of the allowed tokens only."""


@dataclass(frozen=True)
class ContentStart:
    """Where content begins behind what an answer may begin with: texts and ids of special tokens.

    It stands behind the first `until` of an answer that begins with `opening`.
    """

    opening: tuple[str | int, ...]
    until: tuple[str | int, ...]


@dataclass(frozen=True)
class Opening:
    """A checked request for a sequence. `deadline` is on the clock's monotonic scale, seconds.

    `tier` orders waiting sequences: the lowest is served first.
    """

    key: SequenceKey
    prompt: tuple[int, ...]
    options: SamplingOptions
    deadline: float
    choice: int = 0
    salt: str = ""
    constrained: bool = False
    may_refuse: bool = False
    refusal_phrases: tuple[str, ...] = ()
    content_start: ContentStart | None = None
    tier: int = 0
    request_id: str = ""
