"""Random schemas of hostile shapes: an index or a typed error, by counted work, and no dead end.

HOSTILE_SHAPES=1000 pytest tests/engine/test_hostile_shapes.py tries more of them than usual.
"""

import contextlib
import json
import os
import random
import resource
import time
from collections.abc import Callable
from typing import Any

import pytest
from formwork_engine import Budget, EngineError, JsonSchema, Vocabulary, compile_index
from formwork_engine.testing import allowed

SEEDS = range(int(os.environ.get("HOSTILE_SHAPES", "40")))
FUEL = 50_000  # a tenth of the default
SECONDS = 3.0  # of a processor: what so much fuel buys takes some 0.05 s of a free one
MEBIBYTES = 256
Schema = dict[str, Any]
Shape = Callable[[random.Random, int], Schema]


def switches(dice: random.Random, size: int) -> Schema:
    names = [f"s{number}" for number in range(size)]
    either = [
        {"anyOf": [{"properties": {dice.choice(names): {"const": way}}} for way in (1, 0, 1)]}
        for _ in range(4 * size)
    ]
    return {
        "type": "object",
        "properties": {name: {"enum": [0, 1]} for name in names},
        "required": names,
        "allOf": either,
    }


def near_alike(dice: random.Random, size: int) -> Schema:
    kinds = ("string", "integer", "boolean")

    def one() -> Schema:
        keys = [f"p{number}" for number in range(size)]
        return {
            "type": "object",
            "properties": {key: {"type": dice.choice(kinds)} for key in keys},
            "required": dice.sample(keys, min(3, size)),
            "additionalProperties": dice.random() < 0.5,
        }

    return {"oneOf": [one() for _ in range(size)]}


def conditions(dice: random.Random, size: int) -> Schema:
    def one() -> Schema:
        name = f"s{dice.randrange(size)}"
        return {
            "if": {"properties": {name: {"const": True}}, "required": [name]},
            "then": {"properties": {f"s{dice.randrange(size)}": {"type": "null"}}},
            "else": {"required": [f"s{dice.randrange(size)}"]},
        }

    return {"type": "object", "allOf": [one() for _ in range(2 * size)]}


def patterns(dice: random.Random, size: int) -> Schema:
    def one() -> Schema:
        first, last, apart = dice.choice("fmz"), dice.choice("xyz"), dice.randrange(size)
        return {"pattern": f"[a-{first}].{{{apart}}}[{last}\\p{{Lu}}]"}

    combined = dice.choice(("allOf", "anyOf", "oneOf"))
    return {"type": "array", "items": {"type": "string", combined: [one() for _ in range(size)]}}


def without_repetition(dice: random.Random, size: int) -> Schema:
    pair = {"type": "array", "items": {"enum": list(range(1 + size % 4))}, "maxItems": 2}
    thing = {
        "type": "object",
        "properties": {"a": {"type": "boolean"}, "b": pair},
        "required": ["a"],
        "additionalProperties": False,
    }
    return {
        "type": "array",
        "uniqueItems": True,
        "minItems": dice.randrange(2 * size),
        "items": dice.choice((pair, thing, {"anyOf": [pair, thing]})),
    }


def dependencies(dice: random.Random, size: int) -> Schema:
    def one(number: int) -> Schema:
        return {
            "properties": {f"k{dice.randrange(size)}": {"type": "integer", "minimum": number}},
            "required": [f"k{dice.randrange(size)}"],
        }

    return {"type": "object", "dependentSchemas": {f"k{n}": one(n) for n in range(size)}}


def recursive(dice: random.Random, size: int) -> Schema:
    def reference() -> Schema:
        return {"$ref": f"#/$defs/t{dice.randrange(size)}"}

    def one(number: int) -> Schema:
        branch = {"type": "object", "properties": {"l": reference()}, "required": ["l"]}
        leaf = {"type": "array", "items": reference(), "maxItems": number}
        return {dice.choice(("oneOf", "anyOf")): [branch, leaf, {"not": {"type": "object"}}]}

    return {"$ref": "#/$defs/t0", "$defs": {f"t{n}": one(n) for n in range(size)}}


SHAPES: tuple[Shape, ...] = (
    switches,
    near_alike,
    conditions,
    patterns,
    without_repetition,
    dependencies,
    recursive,
)


def walk(schema: Schema, vocabulary: Vocabulary, dice: random.Random) -> None:
    """Compile and follow the mask; an empty one is a dead end."""
    budget = Budget(compile_fuel=FUEL, mask_fuel=FUEL)
    cursor = compile_index(JsonSchema(json.dumps(schema)), vocabulary, budget=budget).cursor()
    for _ in range(25):
        choices = allowed(cursor, vocabulary)
        assert choices, schema
        cursor.advance(dice.choice(choices))
        if cursor.is_finished:
            return


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hostile_shape_gives_an_index_or_a_typed_error_by_counted_work(
    vocabulary: Vocabulary, seed: int
) -> None:
    dice = random.Random(seed)
    schema = SHAPES[seed % len(SHAPES)](dice, dice.choice((2, 3, 5, 8, 13, 21, 34)))
    start, before = time.process_time(), peak_mebibytes()
    with contextlib.suppress(EngineError):
        walk(schema, vocabulary, dice)
    assert time.process_time() - start < SECONDS
    assert peak_mebibytes() - before < MEBIBYTES


def peak_mebibytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
