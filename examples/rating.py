"""Gives a text a mark from 1 to 10, and the average over all marks that might have been given."""

import openai
from pydantic import BaseModel, Field

from examples.probabilities import OF_ALLOWED, read_choice
from examples.settings import MODEL

TEXT = "The soup was cold and the waiter rude."
MARKS = [str(mark) for mark in range(1, 11)]


class Rating(BaseModel):
    """The mark."""

    rating: int = Field(ge=1, le=10)


def rate(client: openai.OpenAI, text: str) -> tuple[int, float] | None:
    """Return the mark and the average; None if the model refused.

    The average moves where the likeliest mark does not: two texts that both get an 8 differ in it.
    """
    choice = client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": f"{text} Rate it from 1 to 10."}],
        response_format=Rating,
        temperature=0,
        logprobs=True,
        top_logprobs=20,
        extra_body=OF_ALLOWED,
    ).choices[0]
    if choice.message.parsed is None or choice.logprobs is None:
        return None
    found = read_choice(choice.logprobs.content or [], '{"rating":', MARKS)
    average = sum(int(mark) * probability for mark, probability in found.items())
    return choice.message.parsed.rating, average


if __name__ == "__main__":
    print(rate(openai.OpenAI(), TEXT))
