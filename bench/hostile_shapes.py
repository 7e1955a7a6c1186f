"""Inputs made to cost much: each of a shape, a die and a size, within the engine's 1 MiB.

Every shape once took an engine of ours longer, or more memory, than it was asked to, or is near to
one that did. A new one is a function here.
"""

import json
import random
from collections.abc import Callable
from typing import Any

from formwork_engine import GrammarInput, JsonSchema

Schema = dict[str, Any]
Shape = Callable[[random.Random, int], GrammarInput]

SHAPES: dict[str, Shape] = {}
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")


def schema(make: Callable[[random.Random, int], object]) -> Shape:
    """Register what makes schemas."""

    def shape(dice: random.Random, size: int) -> GrammarInput:
        return JsonSchema(json.dumps(make(dice, size)))

    SHAPES[make.__name__] = shape
    return shape


def text(make: Shape) -> Shape:
    """Register what makes other inputs, or JSON that is written by hand."""
    SHAPES[make.__name__] = make
    return make


def leaf(dice: random.Random, size: int) -> Schema:
    """Return a small schema that others are made of."""
    key = f"k{dice.randrange(size)}"
    leaves: tuple[Schema, ...] = (
        {"type": dice.choice(TYPES)},
        {"properties": {key: {"type": dice.choice(TYPES)}}},
        {"properties": {key: {"const": dice.randrange(4)}}, "required": [key]},
        {"pattern": f"[a-{dice.choice('fmz')}].{{{dice.randrange(size)}}}x"},
        {"items": {"type": dice.choice(TYPES)}, "minItems": dice.randrange(6)},
        {"contains": {"const": dice.randrange(4)}},
        {"multipleOf": dice.choice((2, 3, 5, 7, 0.1))},
        {"enum": [dice.randrange(9), "a" * dice.randrange(4), None, [1], {"a": 1}]},
        {"patternProperties": {f"^{dice.choice('kabc')}": {"type": dice.choice(TYPES)}}},
        {"uniqueItems": True},
    )
    return dice.choice(leaves)


def leaves(dice: random.Random, size: int, count: int) -> list[Schema]:
    """Return so many of them."""
    return [leaf(dice, size) for _ in range(count)]


def chained(size: int, one: Callable[[str], Schema]) -> Schema:
    """Return definitions, each made of a reference to the one before; the root is any of them."""
    definitions: dict[str, Schema] = {"d0": {"type": ["null", "string"]}}
    for number in range(1, size):
        definitions[f"d{number}"] = one(f"#/$defs/d{number - 1}")
    return {"$defs": definitions, "anyOf": [{"$ref": f"#/$defs/{name}"} for name in definitions]}


# Boolean keywords.


@schema
def conjunctions(dice: random.Random, size: int) -> Schema:
    return {
        "allOf": [{"anyOf": leaves(dice, size, dice.choice((2, 3, 8)))} for _ in range(4 * size)]
    }


@schema
def disjunctions(dice: random.Random, size: int) -> Schema:
    return {"anyOf": [{"allOf": leaves(dice, size, size)} for _ in range(4 * size)]}


@schema
def negated_one_of(_dice: random.Random, size: int) -> Schema:
    return {"not": {"oneOf": [{"required": [f"k{number}"]} for number in range(60 * size)]}}


@schema
def one_of_objects(dice: random.Random, size: int) -> Schema:
    def one(number: int) -> Schema:
        named = {f"k{number}": {"const": number}, "t": {"type": dice.choice(TYPES)}}
        return {"type": "object", "properties": named, "required": [dice.choice(list(named))]}

    return {"oneOf": [one(number) for number in range(10 * size)]}


@schema
def ladder(dice: random.Random, size: int) -> Schema:
    made = leaf(dice, size)
    for number in range(3 * size):
        key = f"k{number}"
        made = {
            "if": {"properties": {key: {"const": 1}}, "required": [key]},
            "then": leaf(dice, size),
            "else": made,
            "properties": {key: {"enum": [1, 2, 3]}},
        }
    return made


@schema
def shared_one_of(_dice: random.Random, size: int) -> Schema:
    return chained(
        size, lambda r: {"oneOf": [{"$ref": r}, {"items": {"$ref": r}}, {"not": {"$ref": r}}]}
    )


@schema
def deep_formulas(_dice: random.Random, size: int) -> Schema:
    return chained(150 * size, lambda r: {"anyOf": [{"allOf": [{"$ref": r}, {"minItems": 1}]}, {}]})


@schema
def negated_chain(_dice: random.Random, size: int) -> Schema:
    return chained(150 * size, lambda r: {"not": {"allOf": [{"$ref": r}, {"minLength": len(r)}]}})


@schema
def clauses(dice: random.Random, size: int) -> Schema:
    names = [f"v{number}" for number in range(size)]

    def literal() -> Schema:
        return {"properties": {dice.choice(names): {"const": dice.random() < 0.5}}}

    clauses = [{"anyOf": [literal() for _ in range(3)]} for _ in range(int(4.2 * size))]
    properties = {name: {"type": "boolean"} for name in names}
    return {"type": "object", "properties": properties, "required": names, "allOf": clauses}


# References and URIs.


@schema
def fan(dice: random.Random, size: int) -> Schema:
    keyword = dice.choice(("allOf", "anyOf", "oneOf"))

    def one(number: int) -> Schema:
        others = [{"$ref": f"#/$defs/t{other}"} for other in range(size) if other != number]
        return {keyword: [*others, leaf(dice, size)]}

    return {"$ref": "#/$defs/t0", "$defs": {f"t{number}": one(number) for number in range(size)}}


@schema
def many_references(dice: random.Random, size: int) -> Schema:
    names = [f"d{number}" for number in range(400 * size)]
    references = [{"$ref": f"#/$defs/{dice.choice(names)}"} for _ in range(200 * size)]
    return {"$defs": {name: {"type": "null"} for name in names}, "anyOf": references}


@schema
def long_base(_dice: random.Random, size: int) -> Schema:
    parts = [{"$id": f"b{number}"} for number in range(1000 * size)]
    return {"$id": "http://x.y/" + "a/" * (3000 * size), "allOf": parts}


@schema
def long_base_references(_dice: random.Random, size: int) -> Schema:
    base = "http://x.y/" + "a/" * (3000 * size)
    return {"$id": base, "allOf": [{"$ref": "b"}] * (1500 * size), "$defs": {"b": {"$id": "b"}}}


@schema
def far_mistake(_dice: random.Random, size: int) -> Schema:
    count = min(180, 5 * size)
    chain: dict[str, Schema] = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(count)}
    chain[f"d{count}"] = {"type": "no type"}
    return {"$ref": "#/$defs/d0", "$defs": chain, "default": [0] * (8000 * size)}


# Objects.


@schema
def evaluated_keys(_dice: random.Random, size: int) -> Schema:
    named: Schema = {f"key_number_{number}": {} for number in range(400 * size)}
    branches: list[Schema] = [{"properties": {f"x{number}": {}}} for number in range(8)]
    return {"properties": named, "anyOf": branches, "unevaluatedProperties": False}


@schema
def evaluated_twice(_dice: random.Random, size: int) -> Schema:
    twice = chained(size, lambda r: {"allOf": [{"$ref": r}, {"$ref": r}]})
    return {**twice, "unevaluatedProperties": False}


@schema
def required_keys(_dice: random.Random, size: int) -> Schema:
    return {"type": "object", "required": [f"k{number}" for number in range(1500 * size)]}


@schema
def required_choices(dice: random.Random, size: int) -> Schema:
    names = [f"k{number}" for number in range(20 * size)]
    choices = [{"required": dice.sample(names, 3)} for _ in names]
    return {
        "type": "object",
        "properties": {name: {"type": "null"} for name in names},
        "anyOf": choices,
    }


@schema
def overlapping_patterns(dice: random.Random, size: int) -> Schema:
    def pattern() -> str:
        return f"{dice.choice('abc')}.{{{dice.randrange(size)}}}{dice.choice('xyz')}"

    typed = {pattern(): {"type": dice.choice(TYPES)} for _ in range(size)}
    return {"type": "object", "patternProperties": typed, "minProperties": dice.randrange(size)}


@schema
def dependencies(dice: random.Random, size: int) -> Schema:
    names = [f"k{number}" for number in range(2 * size)]
    web = {name: {"required": dice.sample(names, 3), **leaf(dice, size)} for name in names}
    return {"type": "object", "required": names[:1], "dependentSchemas": web}


@schema
def looked_ahead_names(dice: random.Random, size: int) -> Schema:
    counts = [dice.randrange(size) for _ in range(max(2, size // 2))]
    ahead = "".join(f"(?!.*{dice.choice('abc')}.{{{count}}}x)" for count in counts)
    return {"type": "object", "propertyNames": {"pattern": f"^{ahead}.*$"}, "minProperties": 3}


@schema
def long_keys(_dice: random.Random, size: int) -> Schema:
    keys = [chr(97 + number) * (1000 * size) for number in range(20)]
    return {
        "type": "object",
        "properties": {key: {"type": "null"} for key in keys},
        "required": keys[:1],
    }
