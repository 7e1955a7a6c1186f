"""Masks tell the truth: what they allow is accepted, what they leave out is refused."""

import random

import pytest
from formwork_engine import (
    AnyJson,
    CursorError,
    GrammarInput,
    JsonSchema,
    Lark,
    Regex,
    Vocabulary,
    compile_index,
)
from formwork_engine.testing import allowed

_OBJECT = """{"type": "object", "required": ["name", "n"], "properties": {
    "name": {"type": "string", "maxLength": 12},
    "the ": {"enum": ["a", "the", "tree"]},
    "n": {"type": "number", "minimum": -1.5, "maximum": 12}}}"""
_ARRAY = '{"items": {"anyOf": [{"type": "null"}, {"type": "string", "format": "date"}]}}'
_SUMS = """start: sum
sum: NUMBER | NAME | "(" sum "+" sum ")"
NUMBER: /[0-9]+/
NAME: /[a-z]+/
%ignore " "
"""
GRAMMARS: dict[str, GrammarInput] = {
    "any": AnyJson(object_only=True),
    "regex": Regex("(ab|a)*[0-9]{2,4}é?"),
    "text": Regex(r"[A-Z][a-z]{1,60}( \w+)*[.!]"),
    "grammar": Lark(_SUMS),
    "object": JsonSchema(_OBJECT),
    "array": JsonSchema(_ARRAY),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("grammar", GRAMMARS.values(), ids=GRAMMARS.keys())
@pytest.mark.parametrize("which", ["small", "model"])
def test_a_token_is_accepted_if_and_only_if_it_is_in_the_mask(
    vocabulary: Vocabulary,
    model_vocabulary: Vocabulary,
    which: str,
    grammar: GrammarInput,
    seed: int,
) -> None:
    words = vocabulary if which == "small" else model_vocabulary
    rng, cursor = random.Random(seed), compile_index(grammar, words).cursor()
    for _ in range(15):
        inside = allowed(cursor, words)
        outside = [token_id for token_id in range(words.size) if token_id not in set(inside)]
        for token_id in rng.sample(inside, min(12, len(inside))):
            cursor.fork().advance(token_id)
        for token_id in rng.sample(outside, min(25, len(outside))):
            with pytest.raises(CursorError):
                cursor.fork().advance(token_id)
        cursor.advance(rng.choice(inside))
        if cursor.is_finished:
            break
