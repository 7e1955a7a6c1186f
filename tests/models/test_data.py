"""Training data is repeatable, answers its own schemas, and shares no name with the evaluation."""

from __future__ import annotations

import json
import random
import re
from itertools import islice

import jsonschema_rs
import pytest

from models.training.extraction import extraction
from models.training.samples import Sample, prompt_text
from models.training.tasks import TASKS, held_out, stream
from models.training.values import Values, is_held_out


def test_the_same_seed_gives_the_same_samples() -> None:
    first, again = (list(islice(stream(3), 100)) for _ in range(2))
    assert first == again
    assert first != list(islice(stream(4), 100))


@pytest.mark.parametrize("task", TASKS)
def test_answers_fit_their_schemas(task: str) -> None:
    for source in (stream(8, {task: 1.0}), held_out(task, 8)):
        for sample in islice(source, 60):
            check_answer(sample)


def check_answer(sample: Sample) -> None:
    if sample.schema is None or sample.answer.startswith("<|refusal|>"):
        return
    value = json.loads(sample.answer)
    assert list(jsonschema_rs.validator_for(sample.schema).iter_errors(value)) == []


def test_made_up_words_of_evaluation_never_occur_in_training() -> None:
    training, evaluation = (Values(random.Random(1), held_out=held) for held in (False, True))
    for _ in range(300):
        assert not is_held_out(training.made_up())
        assert is_held_out(evaluation.made_up())


def test_new_keys_are_words_that_training_never_shows() -> None:
    values = Values(random.Random(5), held_out=True)
    for _ in range(100):
        made = extraction(values, new=True)
        for key in leaf_keys(made.truth):
            for part in re.split(r"_|(?=[A-Z])", key):
                assert is_held_out(part), key


def leaf_keys(value: object) -> list[str]:
    if not isinstance(value, dict):
        return []
    nested = [leaf_keys(child) for child in value.values() if isinstance(child, dict)]
    plain = [key for key, child in value.items() if not isinstance(child, dict)]
    return [*plain, *(key for keys in nested for key in keys)]


def test_prompts_hold_no_special_token_in_their_texts() -> None:
    for sample in islice(stream(6), 300):
        assert not any("<|" in text for _, text in sample.messages)
        assert prompt_text(sample).startswith("<|begin|>")
