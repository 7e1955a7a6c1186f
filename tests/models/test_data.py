"""Training data is repeatable, answers its own schemas, and shares no name with the evaluation."""

from __future__ import annotations

import json
import random
import re
from itertools import islice

import jsonschema_rs
import pytest

from models.training.extraction import extraction, is_held_out_combination, leaf_keys
from models.training.keys import KEY_ADJECTIVES, KEY_NOUNS, is_new, parts_of
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


def test_new_keys_are_words_that_training_never_uses_as_keys() -> None:
    values = Values(random.Random(5), held_out=True)
    listed = {*KEY_NOUNS, *KEY_ADJECTIVES}
    for _ in range(100):
        for key in set(leaf_keys(extraction(values, new=True).schema)) - {"name"}:
            for part in parts_of(key):
                assert is_held_out(part), key
                assert part not in listed, key


def test_training_uses_no_new_word_in_a_key() -> None:
    for sample in islice(stream(11, {"extract": 0.5, "extract_many": 0.5}), 300):
        for key in leaf_keys(sample.schema or {}):
            assert not any(is_new(part) for part in parts_of(key)), key


def test_no_set_of_keys_stands_in_training_and_in_evaluation() -> None:
    for sample in islice(stream(12, {"extract": 0.5, "extract_many": 0.3, "harmless": 0.2}), 200):
        assert not is_held_out_combination(sample.schema or {})
    for sample in islice(held_out("extract", 12, new_wordings=False), 100):
        assert is_held_out_combination(sample.schema or {})


def test_strings_of_evaluation_are_never_values_of_training() -> None:
    shown = {
        word
        for sample in islice(stream(13, {"extract": 1.0}), 2000)
        for word in capitalised(sample.answer)
    }
    for sample in islice(held_out("extract", 13, new_wordings=False), 200):
        names = {part for value in names_of(sample.truth) for part in value.split()}
        assert not names & shown


def capitalised(answer: str) -> list[str]:
    return re.findall(r"\b[A-Z][a-z]{3,}\b", answer)


def names_of(truth: object) -> list[str]:
    """Return the values under keys that hold the name of a person in every domain."""
    if not isinstance(truth, dict):
        return []
    keys = ("passenger", "fullName", "full_name", "reporter", "chef", "assignee", "recruiter")
    return [str(truth[key]) for key in keys if truth.get(key)]


@pytest.mark.parametrize("task", ["extract", "extract_new"])
def test_the_goal_measures_known_wordings_and_the_other_rows_new_ones(task: str) -> None:
    known, fresh = (
        [sample.messages[-1][1] for sample in islice(held_out(task, 3, new_wordings=flag), 50)]
        for flag in (False, True)
    )
    assert known != fresh


def test_prompts_hold_no_special_token_in_their_texts() -> None:
    for sample in islice(stream(6), 300):
        assert not any("<|" in text for _, text in sample.messages)
        assert prompt_text(sample).startswith("<|begin|>")
