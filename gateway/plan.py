"""What a generation will need: its prompt, its token bounds, and how its tokens are drawn."""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from formwork.sampler.v1.sampler_pb2 import Sampling

from gateway.config import GatewayConfig
from gateway.errors import ContextLengthError, RequestError
from gateway.request import ChatRequest, LogprobsOf

_AFFINITY_TOKENS = 256
_UINT64 = 2**64


@dataclass(frozen=True)
class Plan:
    """A checked prompt with its bounds.

    `max_tokens` is per choice, the end token counted; it is what was asked for, or less where the
    context or the configuration leaves less.
    """

    prompt: Sequence[int]
    max_tokens: int
    sampling: Sampling


def make_plan(
    request: ChatRequest,
    prompt: Sequence[int],
    *,
    context: int,
    vocabulary_size: int,
    config: GatewayConfig,
) -> Plan:
    """Return the plan of a request.

    Raises:
        ContextLengthError: The prompt leaves no room for an answer.
        RequestError: A bias for a token that the model does not have.
    """
    room = context - len(prompt)
    if room < 1:
        raise ContextLengthError(
            f"This model's maximum context length is {context} tokens. However, your messages "
            f"resulted in {len(prompt)} tokens. Please reduce the length of the messages.",
            field="messages",
        )
    _check_bias(request, vocabulary_size)
    wanted = request.max_completion_tokens or config.max_completion_tokens
    max_tokens = min(wanted, room, config.max_completion_tokens)
    return Plan(prompt, max_tokens, _sampling(request, max_tokens))


def check_characters(request: ChatRequest, context: int, longest_token: int | None) -> None:
    """Refuse messages that cannot fit, before they are rendered and made into tokens.

    Raises:
        ContextLengthError: They have more characters than a full context can stand for.
    """
    check_length(sum(m.characters for m in request.messages), context, longest_token)


def check_length(characters: int, context: int, longest_token: int | None) -> None:
    """Refuse a text that has more characters than a full context can stand for.

    Raises:
        ContextLengthError: It has.
    """
    if longest_token is None:
        return
    least = characters // longest_token
    if least > context:
        raise ContextLengthError(
            f"This model's maximum context length is {context} tokens. However, your messages "
            f"resulted in more than {least} tokens. Please reduce the length of the messages.",
            field="messages",
        )


def check_shortest(request: ChatRequest, plan: Plan, shortest: int, context: int) -> None:
    """Refuse a bound below the shortest answer that may be written, as far as that is known.

    Raises:
        RequestError: `max_completion_tokens` is below it.
        ContextLengthError: The context leaves less than it.
    """
    if plan.max_tokens >= shortest:
        return
    fitting = "'response_format'" if request.format.is_structured else "'tools'"
    wanted = request.max_completion_tokens
    if wanted is not None and wanted < shortest:
        raise RequestError(
            f"Invalid 'max_completion_tokens': the shortest answer that fits {fitting} has "
            f"{shortest} tokens, but at most {wanted} were allowed.",
            "max_completion_tokens",
            "integer_below_min_value",
        )
    raise ContextLengthError(
        f"This model's maximum context length is {context} tokens. However, your messages resulted "
        f"in {len(plan.prompt)} tokens, and the shortest answer that fits {fitting} has "
        f"{shortest} tokens.",
        field="messages",
    )


def cache_salt(secret: str, project_id: str) -> str:
    """Return what scopes prefix reuse to a project: equal on every gateway, guessed by nobody."""
    return hmac.digest(secret.encode(), f"cache/{project_id}".encode(), sha256).hex()


def affinity(salt: str, label: str, prompt: Sequence[int]) -> str:
    """Return the hash by which equal prompt prefixes find the worker that holds them."""
    prefix = ",".join(map(str, prompt[:_AFFINITY_TOKENS]))
    return sha256(f"{salt}/{label}/{prefix}".encode()).hexdigest()


def _check_bias(request: ChatRequest, vocabulary_size: int) -> None:
    for token_id in request.logit_bias:
        if token_id >= vocabulary_size:
            raise RequestError(
                f"Invalid key in 'logit_bias': {token_id}. The model's token ids are below "
                f"{vocabulary_size}.",
                "logit_bias",
                "invalid_value",
            )


def _sampling(request: ChatRequest, max_tokens: int) -> Sampling:
    seed = secrets.randbits(64) if request.seed is None else request.seed % _UINT64
    return Sampling(
        temperature=request.temperature,
        top_p=request.top_p,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        logit_bias=request.logit_bias,
        seed=seed,
        max_tokens=max_tokens,
        stop=request.stop,
        logprobs=request.logprobs,
        top_logprobs=request.top_logprobs,
        logprobs_of_allowed=request.logprobs_of is LogprobsOf.ALLOWED,
        close_in_time=request.close_in_time,
    )
