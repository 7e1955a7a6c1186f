"""How likely each of several options was, from the log probabilities of the tokens."""

import math
from collections.abc import Iterable, Sequence

from openai.types.chat import ChatCompletionTokenLogprob

# Formwork's own parameter: log probabilities over the tokens that the schema allows. Without it
# they are over all tokens, as OpenAI's are, and most of those may not be written.
OF_ALLOWED = {"logprobs_of": "allowed"}


def read_choice(
    tokens: Iterable[ChatCompletionTokenLogprob], before: str, options: Sequence[str]
) -> dict[str, float]:
    """Return the probability of each option at the place where one of them was chosen.

    Options that begin with the same token are told apart along the answer that was written;
    elsewhere their probability goes to the shortest. An option beyond the 20 likeliest tokens
    counts as impossible.

    Args:
        tokens: `choice.logprobs.content`, asked for with `top_logprobs=20`.
        before: What the answer has before the choice.
        options: What may stand there.
    """
    weights = dict.fromkeys(options, 0.0)
    written, path = "", 1.0
    for token in tokens:
        if len(written + token.token) > len(before):
            for other in token.top_logprobs:
                if other.token != token.token:
                    begun = find_options(written + other.token, before, options)
                    _add(weights, begun, path * math.exp(other.logprob))
            path *= math.exp(token.logprob)
            begun = find_options(written + token.token, before, options)
            if len(begun) <= 1:
                _add(weights, begun, path)
                break
        written += token.token
    total = sum(weights.values()) or 1.0
    return {option: weight / total for option, weight in weights.items()}


def find_options(text: str, before: str, options: Sequence[str]) -> list[str]:
    """Return what a text may become, shortest first: `1` may be 1 or 10, `1}` is 1, `10` is 10."""
    if not text.startswith(before) or text == before:
        return []
    begun = text.removeprefix(before)
    possible = [option for option in options if option.startswith(begun)]
    whole = [option for option in options if begun.startswith(option)]
    return sorted(possible, key=len) or sorted(whole, key=len)[-1:]


def _add(weights: dict[str, float], begun: Sequence[str], weight: float) -> None:
    for option in begun[:1]:
        weights[option] += weight
