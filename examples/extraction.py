"""Takes an order out of a mail."""

from typing import Literal

import openai
from pydantic import BaseModel, Field

from examples.settings import MODEL

MAIL = "Name: Nina Okafor. City: Lisbon. Quantity: 3. Priority: high."


class Order(BaseModel):
    """What a program needs of the mail; the keys come in this order."""

    name: str = Field(max_length=60)
    city: str = Field(max_length=40)
    quantity: int = Field(ge=1, le=1000)
    priority: Literal["low", "medium", "high"] | None


def extract(client: openai.OpenAI, mail: str) -> Order | None:
    """Return the order in a mail; None if the model refused."""
    completion = client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": mail}],
        response_format=Order,
        temperature=0,
    )
    return completion.choices[0].message.parsed


if __name__ == "__main__":
    print(extract(openai.OpenAI(), MAIL))
