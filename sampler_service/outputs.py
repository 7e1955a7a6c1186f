"""What the batch tells about sequences."""

from dataclasses import dataclass, field
from enum import Enum

from mesh.errors import FormworkError
from sampler_service.openings import SequenceKey


class Channel(Enum):
    """Where text belongs."""

    CONTENT = 1
    REFUSAL = 2


class Finish(Enum):
    """Why a sequence ended without an error."""

    STOP = 1
    LENGTH = 2
    ABORTED = 3


@dataclass(frozen=True)
class TokenOutput:
    """A token with its log probability."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Mark:
    """A control token in the answer: before the character at `position` of the output's text."""

    token_id: int
    position: int


@dataclass(frozen=True)
class Timings:
    """Where a sequence's time went, seconds."""

    waited: float
    prefill: float
    index_wait: float
    decode: float
    forced_tokens: int


@dataclass(slots=True)
class Output:
    """What a step made for one sequence; the last one has a finish or an error."""

    key: SequenceKey
    channel: Channel = Channel.CONTENT
    text: str = ""
    tokens: int = 0
    logprobs: list[TokenOutput] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    finish: Finish | None = None
    error: FormworkError | None = None
    cached_prompt_tokens: int | None = None
    timings: Timings | None = None

    @property
    def is_last(self) -> bool:
        """Nothing follows."""
        return self.finish is not None or self.error is not None
