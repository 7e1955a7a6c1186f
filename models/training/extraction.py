"""Texts and the fields to be found in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.training import words
from models.training.domains import DOMAINS, Attribute, Domain
from models.training.kinds import (
    GENERIC_KINDS,
    SHORT_KINDS,
    Drawn,
    draw,
    draw_generic,
    empty_value,
)
from models.training.phrasing import random_frame, random_opening
from models.training.values import Values, chance, weighted

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from models.training.samples import Json, Schema

FRAMES = """The {k} is {v}.
{K}: {v}.
{K}: {v}
{k}: {v};
{k} = {v}
The {k} was {v}.
Its {k} is {v}.
{v} is the {k}.
The {k} was set to {v}.
We have {v} as the {k}.
We noted {v} for the {k}.
It has a {k} of {v}.
{K} - {v}
| {k} | {v} |
{v} ({k}).
Here the {k} reads {v}.
They gave {v} as {k}.
The {k} has been changed to {v}.
My {k} is {v}.
Our {k} is {v}.
- {k}: {v}
* {K}: {v}
There is a {k}, {v}.
With a {k} of {v}.
{K} {v}.""".splitlines()

HELD_OUT_FRAMES = """As {k} somebody put {v}.
The {k} turned out to be {v}.
For the {k}, take {v}.
{K} => {v}
Under {k} it says {v}.
Please use {v} for the {k}.
The {k} will be {v}.""".splitlines()

OPENINGS = """This is about {v}.
{v}:
{v}.
Here is {v}.
We write about {v}.
Meet {v}.
Our file on {v}.
A note on {v}.
Some facts about {v}:
Re: {v}
What we know about {v}.
Have you heard of {v}?
The following concerns {v}.
Next up is {v}.
# {v}
Entry for {v}:
Today: {v}.
It is all about {v} here.""".splitlines()

HELD_OUT_OPENINGS = ("Let us look at {v}.", "Now to {v}.")

# A chance, named so that the mix can be read in one place.
MENTION_ALL, DESCRIBE, OPTIONAL, NULLABLE, NEST, FILLER, CLOSED = (
    0.75,
    0.12,
    0.3,
    0.15,
    0.2,
    0.4,
    0.5,
)
FRESH, MADE_UP = 0.5, 0.3
SHAPES = {"records": 0.08, "domain": 0.42, "generic": 0.5}
FEWEST_TO_NEST = 3


# The listed words that keys are made of: nouns, then adjectives. New keys are made up instead.
KEY_POOLS = (words.KEY_NOUNS, words.KEY_ADJECTIVES)


@dataclass(frozen=True)
class Field:
    """A property of the schema wanted, what the text says of it, and whether it does."""

    key: str
    drawn: Drawn
    sentence: str
    mentioned: bool = True


@dataclass(frozen=True)
class Extraction:
    """A text, the schema to fill, and the object the text yields."""

    text: str
    schema: Schema
    truth: dict[str, Json]


def key_words(values: Values, *, new: bool) -> list[str]:
    """Draw one or two words for a key: listed or made up; new ones are never seen in training."""
    rng = values.rng
    if new or (chance(rng, MADE_UP) and not values.held_out):
        made = Values(rng, held_out=new)
        return [made.made_up() for _ in range(rng.choice((1, 1, 2)))]
    nouns, adjectives = KEY_POOLS
    noun = rng.choice(nouns)
    lead = rng.choice((*(rng.choice(adjectives),) * 3, rng.choice(nouns)))
    return rng.choice(([noun], [lead, noun], [lead, noun]))


def spell(parts: list[str], rng: random.Random) -> str:
    """Write a key's words in snake_case or camelCase."""
    if chance(rng, 0.3):
        return parts[0] + "".join(p.capitalize() for p in parts[1:])
    return "_".join(parts)


def _sentence(text: str, rng: random.Random) -> str:
    text = text[0].upper() + text[1:] if chance(rng, 0.9) else text
    return text if text[-1] in ".;|" or "\n" in text else text + "."


def generic_fields(
    values: Values, count: int, *, new: bool, kinds: Mapping[str, float] = GENERIC_KINDS
) -> list[Field]:
    """Draw fields whose keys are named in the text, their values of kinds drawn by weight."""
    frames = HELD_OUT_FRAMES if values.held_out else FRAMES
    rng = values.rng
    layout = rng.choice(frames) if chance(rng, 0.25) else None
    fields: dict[str, Field] = {}
    while len(fields) < count:
        parts = key_words(values, new=new)
        if any(p in key for p in parts for key in fields) and chance(rng, 0.8):
            continue
        drawn = draw_generic(values, kinds)
        named = " ".join(parts)
        fresh = not values.held_out and layout is None and chance(rng, FRESH)
        frame = random_frame(rng) if fresh else layout or rng.choice(frames)
        text = frame.format(k=named, K=named.capitalize(), v=drawn.written)
        fields.setdefault(spell(parts, rng), Field(spell(parts, rng), drawn, text))
    return [Field(key, f.drawn, f.sentence) for key, f in fields.items()]


def domain_fields(values: Values, count: int, domain: Domain) -> list[Field]:
    """Draw fields of a domain: the subject first, then what is said about it."""
    rng = values.rng
    subject = draw(domain.subject_kind, values)
    opening = rng.choice(HELD_OUT_OPENINGS if values.held_out else OPENINGS)
    if not values.held_out and chance(rng, FRESH):
        opening = random_opening(rng)
    fields = [Field(rng.choice(domain.subject_keys), subject, opening.format(v=subject.written))]
    chosen = rng.sample(domain.attributes, min(count - 1, len(domain.attributes)))
    for attribute in chosen:
        field = _attribute_field(attribute, values, domain, subject.written)
        if all(field.key != other.key for other in fields):
            fields.append(field)
    return fields


def _attribute_field(attribute: Attribute, values: Values, domain: Domain, subject: str) -> Field:
    rng = values.rng
    key = rng.choice(attribute.keys)
    drawn = draw(attribute.kind, values)
    clause = rng.choice(attribute.held_out if values.held_out else attribute.clauses)
    if not values.held_out and chance(rng, FRESH / 4):
        clause = random_frame(rng).replace("{K}", "{k}")
    named = key.replace("_", " ")
    who = subject if chance(rng, 0.35) else domain.pronoun
    return Field(key, drawn, _sentence(clause.format(v=drawn.written, s=who, k=named), rng))


def domain_of(values: Values, count: int) -> list[Field]:
    """Draw fields of a random domain."""
    return domain_fields(values, count, values.rng.choice(DOMAINS))


def leave_some_out(fields: list[Field], rng: random.Random) -> list[Field]:
    """Mark some fields as not mentioned in the text (never the first)."""
    if chance(rng, MENTION_ALL):
        return fields
    return [
        Field(f.key, f.drawn, f.sentence, mentioned=i == 0 or chance(rng, 0.7))
        for i, f in enumerate(fields)
    ]


def build(fields: list[Field], values: Values) -> Extraction:
    """Write the text in random order with distractors, and the schema and object for it."""
    rng = values.rng
    fields = leave_some_out(fields, rng)
    wanted = fields if chance(rng, 0.6) else rng.sample(fields, rng.randint(1, len(fields)))
    wanted = rng.sample(wanted, len(wanted))
    properties: dict[str, object] = {}
    required: list[str] = []
    truth: dict[str, Json] = {}
    for field in wanted:
        schema, optional = _field_schema(field, rng)
        properties[field.key] = schema
        if not optional:
            required.append(field.key)
        if field.mentioned:
            truth[field.key] = field.drawn.value
        elif not optional:
            truth[field.key] = empty_value(schema)
    schema = {"type": "object", "properties": properties, "required": required}
    if chance(rng, CLOSED):
        schema["additionalProperties"] = False
    if len(properties) >= FEWEST_TO_NEST and chance(rng, NEST):
        schema, truth = _nest(schema, truth, values)
    return Extraction(write_text(fields, values), schema, truth)


def _field_schema(field: Field, rng: random.Random) -> tuple[Schema, bool]:
    schema = dict(field.drawn.schema)
    if chance(rng, NULLABLE) and "enum" not in schema:
        schema["type"] = [schema["type"], "null"]
    if chance(rng, DESCRIBE):
        named = field.key.replace("_", " ")
        schema["description"] = rng.choice(("the {}", "{} of the record", "{}, as written")).format(
            named
        )
    return schema, chance(rng, OPTIONAL)


def _nest(schema: Schema, truth: dict[str, Json], values: Values) -> tuple[Schema, dict[str, Json]]:
    """Move the last few properties into an object of their own."""
    rng = values.rng
    properties = schema["properties"]
    required = schema["required"]
    assert isinstance(properties, dict)  # noqa: S101 - built above
    assert isinstance(required, list)  # noqa: S101 - built above
    keys = list(properties)
    inner = keys[-rng.randint(2, len(keys) - 1) :]
    name = rng.choice(("details", "info", "data", "record", "extra", "meta", values.made_up()))
    if name in properties:
        return schema, truth
    child: Schema = {
        "type": "object",
        "properties": {k: properties[k] for k in inner},
        "required": [k for k in required if k in inner],
    }
    outer: Schema = {
        "type": "object",
        "properties": {**{k: properties[k] for k in keys if k not in inner}, name: child},
        "required": [*(k for k in required if k not in inner), name],
    }
    kept: dict[str, Json] = {k: v for k, v in truth.items() if k not in inner}
    kept[name] = {k: v for k, v in truth.items() if k in inner}
    return outer, kept


def write_text(fields: list[Field], values: Values) -> str:
    """Join the sentences of the fields mentioned, the first first, with fillers between them."""
    rng = values.rng
    sentences = [f.sentence for f in fields if f.mentioned]
    first, rest = sentences[:1], sentences[1:]
    rng.shuffle(rest)
    fillers = words.HELD_OUT_FILLERS if values.held_out else words.FILLERS
    while chance(rng, FILLER):
        rest.insert(rng.randint(0, len(rest)), rng.choice(fillers))
    lines = any(s[-1] not in ".;" for s in sentences)
    return ("\n" if lines or chance(rng, 0.1) else " ").join(first + rest)


def record_list(values: Values, *, new: bool) -> Extraction:
    """A text with two to four records of the same shape, to be returned as an array."""
    rng = values.rng
    keys = [spell(key_words(values, new=new), rng) for _ in range(rng.randint(1, 2))]
    keys = list(dict.fromkeys(["name", *keys]))
    rows: list[Json] = []
    lines = []
    schemas: dict[str, Schema] = {"name": {"type": "string"}}
    draws: list[Callable[[], Drawn]] = [
        rng.choice((lambda: draw("integer", values), lambda: draw("word", values)))
        for _ in keys[1:]
    ]
    separator = rng.choice((", ", " | ", "; "))
    for _ in range(rng.randint(1, 4)):
        row: dict[str, Json] = {"name": draw("person", values).value}
        for key, drawing in zip(keys[1:], draws, strict=True):
            drawn = drawing()
            row[key], schemas[key] = drawn.value, drawn.schema
        rows.append(row)
        lines.append(separator.join(f"{k} {v}" if k != "name" else str(v) for k, v in row.items()))
    top = rng.choice(("items", "people", "records", "rows", "entries"))
    item: Schema = {"type": "object", "properties": schemas, "required": keys}
    schema: Schema = {
        "type": "object",
        "properties": {top: {"type": "array", "items": item}},
        "required": [top],
    }
    return Extraction("\n".join(lines), schema, {top: rows})


def dense(values: Values) -> Extraction:
    """Draw a text that says many short things: the most lookups for the tokens of a sample."""
    count = values.rng.randint(5, 10)
    return build(generic_fields(values, count, new=False, kinds=SHORT_KINDS), values)


def extraction(values: Values, *, new: bool = False) -> Extraction:
    """Draw one extraction; with new, its keys are ones training never uses."""
    rng = values.rng
    count = rng.choice((1, 2, 2, 3, 3, 3, 4, 4, 5, 6))
    shape = "generic" if new else weighted(rng, SHAPES)
    if shape == "records":
        return record_list(values, new=False)
    if shape == "domain":
        return build(domain_of(values, count), values)
    return build(generic_fields(values, count, new=new), values)
