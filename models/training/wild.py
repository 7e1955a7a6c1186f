"""Random schemas of every shape, answered shortly because the text says nothing of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.training.keys import any_name
from models.training.kinds import FORMAT_EMPTIES, empty_value
from models.training.samples import Json, Schema
from models.training.values import Values, chance, weighted

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

FORMATS = list(FORMAT_EMPTIES)
# Patterns with the shortest text that each accepts.
PATTERNS = (
    ("^[A-Z]{3}$", "AAA"), ("^[A-Z]{2}-[0-9]{4}$", "AA-0000"), ("^[0-9]{5}$", "00000"),
    ("^[a-z]+$", "a"), ("^[a-z0-9_]+$", "a"), (r"^\d{3}-\d{4}$", "000-0000"),
    ("^#[0-9a-f]{6}$", "#000000"),
    ("^v[0-9]+\\.[0-9]+$", "v0.0"), ("^[A-Za-z ]+$", "a"), ("^(yes|no)$", "no"),
    ("^[A-Z][a-z]*$", "A"), (r"^\+?[0-9]{6,12}$", "000000"), ("^.{2,8}$", "aa"),
    ("^ID[0-9]*$", "ID"),
)  # fmt: skip
PLAIN_TYPES = {"string", "integer", "number", "boolean", "null", "array", "object"}

Pair = tuple[Schema, Json]


def _string(rng: random.Random) -> Pair:
    shape = weighted(rng, {"plain": 0.4, "format": 0.2, "pattern": 0.2, "length": 0.2})
    if shape == "plain":
        return {"type": "string"}, ""
    if shape == "format":
        name = rng.choice(FORMATS)
        return {"type": "string", "format": name}, FORMAT_EMPTIES[name]
    if shape == "pattern":
        pattern, shortest = rng.choice(PATTERNS)
        return {"type": "string", "pattern": pattern}, shortest
    low = rng.randint(0, 12)
    high = low + rng.randint(0, 40)
    schema: Schema = {"type": "string", "maxLength": high}
    if low:
        schema["minLength"] = low
    word = "unknown"
    return schema, word if 0 < low <= len(word) <= high else "a" * low


def _integer(rng: random.Random) -> Pair:
    low = rng.choice((0, 0, 1, 1, 5, 10, 18, 100, 1900, -10, -5))
    if chance(rng, 0.5):
        return {"type": rng.choice(("integer", "integer", "number"))}, 0
    high = low + rng.choice((1, 5, 10, 100, 1000))
    schema: Schema = {"type": "integer", "minimum": low}
    if chance(rng, 0.6):
        schema["maximum"] = high
    return schema, min(max(0, low), high)


def _enum(values: Values) -> Pair:
    rng = values.rng
    if chance(rng, 0.15):
        constant = rng.choice((values.made_up(), 1, True, "v1"))
        return {"const": constant}, constant
    options: list[Json] = [*rng.sample(values.adjectives(), rng.randint(1, 5))]
    if chance(rng, 0.3):
        options = [*rng.sample(range(10), rng.randint(1, 4))]
    if chance(rng, 0.3):
        options.append(rng.choice(("unknown", "other", "none", None)))
    schema: Schema = {"enum": options}
    return schema, empty_value(schema)


def _array(values: Values, depth: int) -> Pair:
    rng = values.rng
    schema, value = wild(values, depth + 1)
    low = rng.choice((0, 0, 0, 1, 1, 2, 3))
    array: Schema = {"type": "array", "items": schema}
    if low:
        array["minItems"] = low
    if chance(rng, 0.4):
        array["maxItems"] = low + rng.randint(0, 5)
    return array, [value] * low


def _map(values: Values, depth: int) -> Pair:
    schema, _ = wild(values, depth + 1)
    return {"type": "object", "additionalProperties": schema}, {}


def _union(values: Values, depth: int) -> Pair:
    schema, value = wild(values, depth + 1)
    if chance(values.rng, 0.6):
        return {"anyOf": [schema, {"type": "null"}]}, None
    other, _ = wild(values, depth + 1)
    kinds = {str(schema.get("type")), str(other.get("type"))}
    # The value must fit only one of them for oneOf to accept it.
    apart = len(kinds & PLAIN_TYPES) > 1 and kinds != {"integer", "number"}
    return {values.rng.choice(("anyOf", "oneOf")) if apart else "anyOf": [schema, other]}, value


def wild_object(values: Values, depth: int = 0) -> Pair:
    """Draw an object schema and its shortest sensible object; optional properties stay out."""
    rng = values.rng
    properties: dict[str, Schema] = {}
    truth: dict[str, Json] = {}
    required = []
    for _ in range(rng.randint(1, 6 if depth == 0 else 3)):
        name = any_name(values)
        if name in properties:
            continue
        properties[name], value = wild(values, depth + 1)
        if chance(rng, 0.25):
            properties[name] = {**properties[name], "description": values.phrase()}
        if chance(rng, 0.75):
            required.append(name)
            truth[name] = value
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    if chance(rng, 0.5):
        schema["additionalProperties"] = False
    return schema, truth


def wild(values: Values, depth: int = 0) -> Pair:
    """Draw any schema, plain once it lies deep."""
    kind = weighted(values.rng, PLAIN if depth >= DEEPEST else {**PLAIN, **NESTED})
    return MAKERS[kind](values, depth)


DEEPEST = 3
PLAIN = {"string": 0.28, "integer": 0.14, "boolean": 0.08, "null": 0.02, "maybe": 0.02, "enum": 0.1}
NESTED = {"object": 0.18, "array": 0.12, "map": 0.04, "union": 0.06}
MAKERS: dict[str, Callable[[Values, int], Pair]] = {
    "string": lambda values, _: _string(values.rng),
    "integer": lambda values, _: _integer(values.rng),
    "boolean": lambda _, __: ({"type": "boolean"}, False),
    "null": lambda _, __: ({"type": "null"}, None),
    "maybe": lambda _, __: ({"type": ["string", "null"]}, None),
    "enum": lambda values, _: _enum(values),
    "object": wild_object,
    "array": _array,
    "map": _map,
    "union": _union,
}
