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

    Looks at the first token of each: options that begin with the same token are told apart no
    further than that, and one beyond the 20 likeliest tokens counts as impossible.

    Args:
        tokens: `choice.logprobs.content`, asked for with `top_logprobs=20`.
        before: What the answer has before the choice.
        options: What may stand there.
    """
    weights = dict.fromkeys(options, 0.0)
    written = ""
    for token in tokens:
        if len(written + token.token) > len(before):
            for candidate in token.top_logprobs:
                option = _find_option(written + candidate.token, before, options)
                if option is not None:
                    weights[option] += math.exp(candidate.logprob)
            break
        written += token.token
    total = sum(weights.values()) or 1.0
    return {option: weight / total for option, weight in weights.items()}


def _find_option(text: str, before: str, options: Sequence[str]) -> str | None:
    """Return which option a text has begun; the text itself where it is one, as 1 of 1 and 10."""
    if not text.startswith(before) or text == before:
        return None
    begun = text.removeprefix(before)
    if begun in options:
        return begun
    return next((o for o in options if o.startswith(begun) or begun.startswith(o)), None)
