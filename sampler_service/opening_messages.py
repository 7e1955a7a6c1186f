"""Open messages, checked: what a stream asks for becomes what the batch can trust."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from formwork.sampler.v1 import sampler_pb2
from formwork.scheduler.v1 import scheduler_pb2

from mesh.errors import InvalidArgumentError, LimitExceededError
from sampler_service.openings import ContentStart, Opening, SamplingOptions, SequenceKey

MOST_TOP_LOGPROBS = 20
MOST_REFUSAL_PHRASES = 64
MOST_FORM_PIECES = 16
_LARGEST_BIAS = 1000.0
_LARGEST_PENALTY = 10.0
_LARGEST_TEMPERATURE = 100.0

# Who is served first when places are short.
_TIER_ORDER = {
    scheduler_pb2.SERVICE_TIER_PRIORITY: 0,
    scheduler_pb2.SERVICE_TIER_DEFAULT: 1,
    scheduler_pb2.SERVICE_TIER_UNSPECIFIED: 1,
    scheduler_pb2.SERVICE_TIER_FLEX: 2,
    scheduler_pb2.SERVICE_TIER_BATCH: 3,
}


@dataclass(frozen=True)
class OpeningLimits:
    """What a sequence may ask for; `vocabulary` is a number of ids, `context` tokens."""

    vocabulary: int
    context: int
    max_sequence_seconds: float
    max_stop_strings: int
    max_stop_characters: int


@dataclass(frozen=True)
class Moment:
    """One moment on both scales: seconds since 1970, and monotonic seconds."""

    wall: float
    monotonic: float


def read_opening(
    message: sampler_pb2.Open,
    key: SequenceKey,
    lease: scheduler_pb2.Lease,
    limits: OpeningLimits,
    now: Moment,
) -> Opening:
    """Return the checked opening.

    Raises:
        InvalidArgumentError: A value out of its range, by field.
        LimitExceededError: A prompt that leaves no room in the context.
    """
    prompt = tuple(message.prompt_tokens)
    _check_prompt(prompt, limits)
    options = _read_options(message.sampling, limits)
    if message.constrained and options.stop:
        raise InvalidArgumentError("stop is not possible under an index.", field="sampling.stop")
    if options.close_in_time and not message.constrained:
        raise InvalidArgumentError(
            "Only an answer under an index can be closed in time.", field="sampling.close_in_time"
        )
    return Opening(
        key=key,
        prompt=prompt,
        options=options,
        deadline=_read_deadline(message, limits, now),
        choice=message.choice,
        salt=message.cache_salt,
        constrained=message.constrained,
        may_refuse=message.may_refuse,
        refusal_phrases=_read_phrases(message, limits),
        content_start=_read_content_start(message, limits),
        tier=_TIER_ORDER.get(lease.service_tier, 1),
        request_id=message.request_id,
    )


def _check_prompt(prompt: tuple[int, ...], limits: OpeningLimits) -> None:
    if not prompt:
        raise InvalidArgumentError("A prompt has at least one token.", field="prompt_tokens")
    if len(prompt) >= limits.context:
        raise LimitExceededError(
            f"The prompt has {len(prompt)} tokens; the context has room for {limits.context - 1}.",
            metadata={
                "limit": "context",
                "maximum": str(limits.context - 1),
                "value": str(len(prompt)),
            },
            field="prompt_tokens",
        )
    if max(prompt) >= limits.vocabulary:
        raise InvalidArgumentError(
            f"Token {max(prompt)} is not in the vocabulary.", field="prompt_tokens"
        )


def _read_options(sampling: sampler_pb2.Sampling, limits: OpeningLimits) -> SamplingOptions:
    _check_range("temperature", sampling.temperature, 0, _LARGEST_TEMPERATURE)
    _check_range("top_p", sampling.top_p, 0, 1)
    for name in ("presence_penalty", "frequency_penalty"):
        _check_range(name, getattr(sampling, name), -_LARGEST_PENALTY, _LARGEST_PENALTY)
    for token_id, bias in sampling.logit_bias.items():
        _check_range("logit_bias", token_id, 0, limits.vocabulary - 1)
        _check_range("logit_bias", bias, -_LARGEST_BIAS, _LARGEST_BIAS)
    _check_range("top_logprobs", sampling.top_logprobs, 0, MOST_TOP_LOGPROBS)
    _check_range("max_tokens", sampling.max_tokens, 1, math.inf)
    return SamplingOptions(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        logit_bias=dict(sampling.logit_bias),
        seed=sampling.seed,
        max_tokens=sampling.max_tokens,
        stop=_read_stop(sampling, limits),
        top_logprobs=sampling.top_logprobs if sampling.logprobs else None,
        close_in_time=sampling.close_in_time,
        logprobs_of_allowed=sampling.logprobs_of_allowed,
    )


def _read_phrases(message: sampler_pb2.Open, limits: OpeningLimits) -> tuple[str, ...]:
    phrases = tuple(message.refusal_phrases)
    _check_range("refusal_phrases", len(phrases), 0, MOST_REFUSAL_PHRASES)
    for phrase in phrases:
        _check_range("refusal_phrases", len(phrase), 1, limits.max_stop_characters)
    return phrases


def _read_content_start(message: sampler_pb2.Open, limits: OpeningLimits) -> ContentStart | None:
    if not message.HasField("content_start"):
        return None
    start = message.content_start
    if not start.until:
        raise InvalidArgumentError("Content begins behind something.", field="content_start.until")
    return ContentStart(_read_form(start.opening, limits), _read_form(start.until, limits))


def _read_form(pieces: Sequence[sampler_pb2.Piece], limits: OpeningLimits) -> tuple[str | int, ...]:
    _check_range("content_start", len(pieces), 0, MOST_FORM_PIECES)
    form: list[str | int] = []
    for piece in pieces:
        if piece.WhichOneof("kind") == "text":
            _check_range("content_start", len(piece.text), 1, limits.max_stop_characters)
            form.append(piece.text)
        elif piece.WhichOneof("kind") == "special_token":
            form.append(piece.special_token)
        else:
            raise InvalidArgumentError(
                "A form is made of texts and special tokens.", field="content_start"
            )
    return tuple(form)


def _read_stop(sampling: sampler_pb2.Sampling, limits: OpeningLimits) -> tuple[str, ...]:
    stop = tuple(sampling.stop)
    _check_range("stop", len(stop), 0, limits.max_stop_strings)
    for text in stop:
        _check_range("stop", len(text), 1, limits.max_stop_characters)
    return stop


def _read_deadline(message: sampler_pb2.Open, limits: OpeningLimits, now: Moment) -> float:
    seconds = limits.max_sequence_seconds
    if message.HasField("deadline"):
        wall = message.deadline.seconds + message.deadline.nanos / 1e9
        seconds = min(seconds, wall - now.wall)
    return now.monotonic + seconds


def _check_range(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # not-a-number is in no range
        raise InvalidArgumentError(
            f"{name} is {value}, not between {least} and {most}.", field=f"sampling.{name}"
        )
