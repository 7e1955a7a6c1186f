"""Random schemas, tool sets and options at temperature 2: never invalid, broken or interleaved.

FORMWORK_TEST_SEEDS sets how many requests are made.
"""

import os
import random

import openai
import pytest

from .generated import check, collected, request, whole

MODEL = "formwork-mini"
SEEDS = range(int(os.environ.get("FORMWORK_TEST_SEEDS", "24")))


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_asked_for_the_answer_fits(client: openai.OpenAI, seed: int) -> None:
    asked = request(random.Random(seed))
    messages = [{"role": "user", "content": "Nina, 7, from Rome: get all of it."}]
    answer = client.chat.completions.create(model=MODEL, messages=messages, **asked)
    choices = list(collected(answer) if asked["stream"] else whole(answer))
    assert len(choices) == asked["n"]
    for choice in choices:
        check(choice, asked)
