"""Random schemas of every shape, answered shortly because the text says nothing of them."""

from __future__ import annotations

import random

from models.training import words
from models.training.kinds import FORMAT_EMPTIES, empty_value
from models.training.samples import Json, Schema
from models.training.values import Values

FORMATS = list(FORMAT_EMPTIES)
# Patterns with the shortest text that each accepts.
PATTERNS = (
    ("^[A-Z]{3}$", "AAA"), ("^[A-Z]{2}-[0-9]{4}$", "AA-0000"), ("^[0-9]{5}$", "00000"),
    ("^[a-z]+$", "a"), ("^[a-z0-9_]+$", "a"), (r"^\d{3}-\d{4}$", "000-0000"), ("^#[0-9a-f]{6}$", "#000000"),
    ("^v[0-9]+\\.[0-9]+$", "v0.0"), ("^[A-Za-z ]+$", "a"), ("^(yes|no)$", "no"),
    ("^[A-Z][a-z]*$", "A"), (r"^\+?[0-9]{6,12}$", "000000"), ("^.{2,8}$", "aa"), ("^ID[0-9]*$", "ID"),
)  # fmt: skip

Pair = tuple[Schema, Json]


def any_name(values: Values) -> str:
    """Draw a property name in one of several spellings."""
    rng = values.rng
    pick = [rng.choice((*words.KEY_NOUNS, *words.KEY_ADJECTIVES, values.made_up())) for _ in range(2)]
    first, second = pick
    snake = f"{first}_{second}"
    camel = first + second.capitalize()
    return rng.choice((first, first, snake, camel, f"{first}-{second}", f"{first} {second}", first[:1]))


def _string(rng: random.Random) -> Pair:
    shape = rng.random()
    if shape < 0.4:
        return {"type": "string"}, rng.choice(("", "", "unknown"))
    if shape < 0.6:
        name = rng.choice(FORMATS)
        return {"type": "string", "format": name}, FORMAT_EMPTIES[name]
    if shape < 0.8:
        pattern, shortest = rng.choice(PATTERNS)
        return {"type": "string", "pattern": pattern}, shortest
    low = rng.randint(0, 12)
    schema: Schema = {"type": "string", "maxLength": low + rng.randint(0, 40)}
    if low:
        schema["minLength"] = low
    shortest = "unknown" if low in range(1, 8) and int(str(schema["maxLength"])) > 6 else "a" * low
    return schema, shortest


def _integer(rng: random.Random) -> Pair:
    low = rng.choice((0, 0, 1, 1, 5, 10, 18, 100, 1900, -10, -5))
    if rng.random() < 0.5:
        return {"type": rng.choice(("integer", "integer", "number"))}, 0
    schema: Schema = {"type": "integer", "minimum": low}
    if rng.random() < 0.6:
        schema["maximum"] = low + rng.choice((1, 5, 10, 100, 1000))
    return schema, max(0, low)


def _enum(values: Values) -> Pair:
    rng = values.rng
    if rng.random() < 0.15:
        constant = rng.choice((values.made_up(), 1, True, "v1"))
        return {"const": constant}, constant
    options: list[Json] = [*rng.sample(words.ADJECTIVE_VALUES, rng.randint(1, 5))]
    if rng.random() < 0.3:
        options = [*rng.sample(range(10), rng.randint(1, 4))]
    if rng.random() < 0.3:
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
    if rng.random() < 0.4:
        array["maxItems"] = low + rng.randint(0, 5)
    return array, [value] * low


def _map(values: Values, depth: int) -> Pair:
    schema, _ = wild(values, depth + 1)
    return {"type": "object", "additionalProperties": schema}, {}


def _union(values: Values, depth: int) -> Pair:
    schema, value = wild(values, depth + 1)
    if values.rng.random() < 0.6:
        return {"anyOf": [schema, {"type": "null"}]}, None
    other, _ = wild(values, depth + 1)
    return {values.rng.choice(("anyOf", "oneOf")): [schema, other]}, value


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
        if rng.random() < 0.25:
            properties[name] = {**properties[name], "description": values.phrase()}
        if rng.random() < 0.75:
            required.append(name)
            truth[name] = value
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    if rng.random() < 0.5:
        schema["additionalProperties"] = False
    return schema, truth


def wild(values: Values, depth: int = 0) -> Pair:
    """Draw any schema, less nested the deeper it lies."""
    rng = values.rng
    shape = rng.random()
    nested = 0.4 if depth < 3 else 0.0  # noqa: PLR2004 - four levels at most
    if shape < nested * 0.45:
        return wild_object(values, depth)
    if shape < nested * 0.75:
        return _array(values, depth)
    if shape < nested * 0.85:
        return _map(values, depth)
    if shape < nested:
        return _union(values, depth)
    if shape < nested + 0.28:
        return _string(rng)
    if shape < nested + 0.42:
        return _integer(rng)
    if shape < nested + 0.5:
        return {"type": "boolean"}, False
    if shape < nested + 0.52:
        return {"type": "null"}, None
    if shape < nested + 0.54:
        return {"type": ["string", "null"]}, None
    return _enum(values)
