"""Solves an equation in steps; the reasoning comes before the answer, because its keys do."""

from collections.abc import Callable

import openai
from pydantic import BaseModel, Field

from examples.settings import MODEL

TASK = "Solve the equation 8x + 7 = 31."


class Step(BaseModel):
    """One step."""

    explanation: str = Field(pattern=r"^[A-Z][a-z ,]{1,60}\.$")
    output: str = Field(pattern=r"^[0-9x +*/=().-]{1,30}$")


class Solution(BaseModel):
    """All steps, then what comes out."""

    steps: list[Step] = Field(min_length=1, max_length=5)
    final_answer: str = Field(pattern=r"^x = -?[0-9]{1,4}(/[1-9][0-9]{0,3})?$")


def solve(client: openai.OpenAI, task: str, show: Callable[[str], object]) -> Solution | None:
    """Return a solution, shown while it is written; None if the model refused.

    Args:
        client: Of the mesh.
        task: The equation.
        show: Gets each piece of the JSON.
    """
    with client.chat.completions.stream(
        model=MODEL,
        messages=[{"role": "user", "content": task}],
        response_format=Solution,
        temperature=0,
    ) as stream:
        for event in stream:
            if event.type == "content.delta":
                show(event.delta)
        return stream.get_final_completion().choices[0].message.parsed


if __name__ == "__main__":
    solution = solve(openai.OpenAI(), TASK, lambda piece: print(piece, end="", flush=True))
    print()
    for number, step in enumerate(solution.steps if solution else [], 1):
        print(f"{number}. {step.explanation}: {step.output}")
    print(solution.final_answer if solution else "refused")
