"""Puts a message into one of four boxes, and says how sure that is."""

from typing import Literal, get_args

import openai
from pydantic import BaseModel

from examples.probabilities import OF_ALLOWED, read_choice
from examples.settings import MODEL

MESSAGE = "The invoice lists two charges for one order."
Topic = Literal["billing", "sales", "shipping", "technical"]


class Label(BaseModel):
    """The box."""

    topic: Topic


def classify(client: openai.OpenAI, message: str) -> dict[str, float]:
    """Return how likely each topic is; an empty dict if the model refused."""
    choice = client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": f"Which topic is this? {message}"}],
        response_format=Label,
        temperature=0,
        logprobs=True,
        top_logprobs=20,
        extra_body=OF_ALLOWED,
    ).choices[0]
    if choice.message.parsed is None or choice.logprobs is None:
        return {}
    return read_choice(choice.logprobs.content or [], '{"topic":"', get_args(Topic))


if __name__ == "__main__":
    for topic, probability in classify(openai.OpenAI(), MESSAGE).items():
        print(f"{topic:<10} {probability:7.2%}")
