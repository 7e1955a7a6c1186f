"""Texts and the fields to be found in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from models.training import words
from models.training.domains import DOMAINS, Attribute, Domain
from models.training.keys import key_words, kind_of, spell
from models.training.kinds import GENERIC_KINDS, SHORT_KINDS, Drawn, draw, empty_value
from models.training.phrasing import random_frame
from models.training.values import Values, chance, is_held_out, weighted

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from models.training.samples import Json, Schema

FRAMES = """The {k} is {v}.
{K}: {v}.
The {k} was {v}.
Its {k} is {v}.
{v} is the {k}.
The {k} was set to {v}.
We have {v} as the {k}.
We noted {v} for the {k}.
It has a {k} of {v}.
Here the {k} reads {v}.
They gave {v} as the {k}.
The {k} has been changed to {v}.
My {k} is {v}.
Our {k} is {v}.
There is a {k}, {v}.
With a {k} of {v}.
Please set the {k} to {v}.
The {k} should be {v}.""".splitlines()

HELD_OUT_FRAMES = """As {k} somebody put {v}.
The {k} turned out to be {v}.
For the {k}, take {v}.
{K} => {v}
Under {k} it says {v}.
Please use {v} for the {k}.
The {k} will be {v}.""".splitlines()

# A frame for every field of a text, and what stands between two of them.
LAYOUTS = (
    ("{K}: {v}", "\n"), ("{k}: {v}", ", "), ("{K}: {v}", "; "), ("{k} = {v}", "\n"),
    ("- {k}: {v}", "\n"), ("* {K}: {v}", "\n"), ("| {k} | {v} |", "\n"), ("{K} - {v}", "\n"),
    ("{k}: {v}", " | "), ("{k} {v}", ", "), ("{k}={v}", "; "),
    ("the {k} is {v}", ", "), ("{k}: {v}", "\n"), ("{K}: {v}.", " "),
)  # fmt: skip
HELD_OUT_LAYOUTS = (("{K} => {v}", "\n"), ("{k} -> {v}", "; "), ("[{k}] {v}", "\n"))

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
The following concerns {v}.
Next up is {v}.
# {v}
Entry for {v}:
Today: {v}.""".splitlines()

HELD_OUT_OPENINGS = ("Let us look at {v}.", "Now to {v}.")

# Chances, named so that the mix can be read in one place.
ALL_MENTIONED, ALL_WANTED, DESCRIBED, OPTIONAL, NULLABLE = 0.92, 0.8, 0.05, 0.15, 0.06
NESTED, FILLER, CLOSED, LAID_OUT, FRESH_FRAME = 0.12, 0.08, 0.8, 0.6, 0.1
SHAPES = {"prose": 0.34, "terse": 0.18, "labelled": 0.38, "records": 0.1}
NEW_SHAPES = {"labelled": 0.9, "records": 0.1}
COUNTS = (1, 2, 2, 3, 3, 3, 4, 4, 5, 6)
ROWS = (1, 2, 2, 2, 3, 3, 4)
FEWEST_TO_NEST = 3
TABLES = ("items", "people", "records", "rows", "entries", "results", "list", "all")


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


def _sentence(text: str, rng: random.Random, *, keep_case: bool = False) -> str:
    """End a sentence, and begin it with a capital unless that would change a value."""
    if not keep_case and chance(rng, 0.9):
        text = text[0].upper() + text[1:]
    return text if text[-1] in ".;|" or "\n" in text else text + "."


def _draw_for(parts: list[str], values: Values, kinds: Mapping[str, float]) -> Drawn:
    return draw(kind_of(parts, values.rng) or weighted(values.rng, kinds), values)


def named_values(
    values: Values, count: int, *, new: bool, kinds: Mapping[str, float] = GENERIC_KINDS
) -> list[tuple[str, str, Drawn]]:
    """Draw (key, its words, value) that share no word among their keys."""
    used: set[str] = set()
    found: list[tuple[str, str, Drawn]] = []
    while len(found) < count:
        parts = key_words(values, new=new)
        if used.isdisjoint(parts):
            used.update(parts)
            drawn = _draw_for(parts, values, kinds)
            found.append((spell(parts, values.rng), " ".join(parts), drawn))
    return found


def labelled_fields(
    values: Values, count: int, *, new: bool, kinds: Mapping[str, float] = GENERIC_KINDS
) -> list[Field]:
    """Draw fields whose keys are named in sentences of the text."""
    return [
        Field(key, drawn, _framed(named, drawn, values))
        for key, named, drawn in named_values(values, count, new=new, kinds=kinds)
    ]


def _framed(named: str, drawn: Drawn, values: Values) -> str:
    rng = values.rng
    frame = rng.choice(HELD_OUT_FRAMES if values.new_wordings else FRAMES)
    if not values.new_wordings and chance(rng, FRESH_FRAME):
        frame = random_frame(rng)
    return frame.format(k=named, K=named.capitalize(), v=drawn.written)


def laid_out(values: Values, count: int, *, new: bool, kinds: Mapping[str, float]) -> Extraction:
    """Draw fields that a text lists in one layout."""
    frame, joint = values.rng.choice(HELD_OUT_LAYOUTS if values.new_wordings else LAYOUTS)
    drawn = named_values(values, count, new=new, kinds=kinds)
    if joint == ", " and any(isinstance(d.value, list) for _, _, d in drawn):
        joint = "; "
    fields = [
        Field(key, d, frame.format(k=named, K=named.capitalize(), v=d.written))
        for key, named, d in drawn
    ]
    return build(fields, values, joint)


def domain_fields(values: Values, count: int, domain: Domain) -> list[Field]:
    """Draw fields of a domain: the subject first, then what is said about it."""
    rng = values.rng
    subject = draw(domain.subject_kind, values)
    opening = rng.choice(HELD_OUT_OPENINGS if values.new_wordings else OPENINGS)
    fields = [Field(rng.choice(domain.subject_keys), subject, opening.format(v=subject.written))]
    chosen = rng.sample(domain.attributes, min(count - 1, len(domain.attributes)))
    return _distinct(
        [*fields, *(_attribute_field(a, values, domain, subject.written) for a in chosen)]
    )


def _distinct(fields: list[Field]) -> list[Field]:
    """Keep the first field of every key."""
    return list({field.key: field for field in reversed(fields)}.values())[::-1]


def _attribute_field(attribute: Attribute, values: Values, domain: Domain, subject: str) -> Field:
    rng = values.rng
    key = rng.choice(attribute.keys)
    drawn = draw(attribute.kind, values)
    clause = rng.choice(attribute.held_out if values.new_wordings else attribute.clauses)
    who = subject if chance(rng, 0.35) else domain.pronoun
    named = key.replace("_", " ")
    text = clause.format(v=drawn.written, s=who, k=named)
    begins_with_value = clause.startswith("{v}") or (clause.startswith("{s}") and who == subject)
    return Field(key, drawn, _sentence(text, rng, keep_case=begins_with_value))


def domain_of(values: Values, count: int) -> list[Field]:
    """Draw fields of a random domain."""
    return domain_fields(values, count, values.rng.choice(DOMAINS))


def terse_fields(values: Values, count: int, domain: Domain) -> list[Field]:
    """Draw fields of a domain as a few words each: `Nina Okafor`, `34`, `from Lisbon`."""
    rng = values.rng
    subject = draw(domain.subject_kind, values)
    fields = [Field(rng.choice(domain.subject_keys), subject, subject.written)]
    told = [a for a in domain.attributes if a.terse]
    for attribute in rng.sample(told, min(count - 1, len(told))):
        drawn = draw(attribute.kind, values)
        sentence = rng.choice(attribute.terse).format(v=drawn.written)
        fields.append(Field(rng.choice(attribute.keys), drawn, sentence))
    return _distinct(fields)


def terse(values: Values, count: int) -> Extraction:
    """Draw a text of a few words for each field, and no sentence."""
    fields = terse_fields(values, max(2, count), values.rng.choice(DOMAINS))
    made = build(fields, values, values.rng.choice((", ", ", ", ", ", "; ", " - ", "\n")))
    return replace(made, text=made.text + values.rng.choice((".", "")))


def leave_some_out(fields: list[Field], rng: random.Random) -> list[Field]:
    """Mark some fields as not mentioned in the text (never the first)."""
    if chance(rng, ALL_MENTIONED):
        return fields
    return [
        replace(field, mentioned=index == 0 or chance(rng, 0.7))
        for index, field in enumerate(fields)
    ]


def build(fields: list[Field], values: Values, joint: str | None = None) -> Extraction:
    """Write the text, and the schema and object for it; a joint sets the text's layout."""
    rng = values.rng
    fields = leave_some_out(fields, rng)
    wanted = fields if chance(rng, ALL_WANTED) else rng.sample(fields, rng.randint(1, len(fields)))
    schema, truth = describe(rng.sample(wanted, len(wanted)), rng)
    if len(truth) >= FEWEST_TO_NEST and chance(rng, NESTED):
        schema, truth = _nest(schema, truth, values)
    if joint is None:
        return Extraction(write_text(fields, values), schema, truth)
    return Extraction(joint.join(f.sentence for f in fields if f.mentioned), schema, truth)


def describe(wanted: list[Field], rng: random.Random) -> tuple[Schema, dict[str, Json]]:
    """Return the schema of the fields wanted, and the object that the text yields.

    What the text does not mention is optional and left out, or may be null and is.
    """
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
    whole: Schema = {"type": "object", "properties": properties, "required": required}
    if chance(rng, CLOSED):
        whole["additionalProperties"] = False
    return whole, truth


def _field_schema(field: Field, rng: random.Random) -> tuple[Schema, bool]:
    """Return a field's schema, and whether it is optional."""
    schema = dict(field.drawn.schema)
    optional = chance(rng, OPTIONAL if field.mentioned else 0.5)
    nullable = chance(rng, NULLABLE) or not (field.mentioned or optional)
    if nullable and "enum" in schema:
        optional = optional or not field.mentioned
    elif nullable:
        schema["type"] = [schema["type"], "null"]
    if chance(rng, DESCRIBED):
        named = field.key.replace("_", " ")
        schema["description"] = rng.choice(("the {}", "{} of the record", "{}, as written")).format(
            named
        )
    return schema, optional


def _nest(schema: Schema, truth: dict[str, Json], values: Values) -> tuple[Schema, dict[str, Json]]:
    """Move the last few properties into an object of their own."""
    rng = values.rng
    properties = schema["properties"]
    required = schema["required"]
    assert isinstance(properties, dict)  # noqa: S101 - built above
    assert isinstance(required, list)  # noqa: S101 - built above
    keys = list(properties)
    inner = keys[-rng.randint(2, len(keys) - 1) :]
    name = rng.choice(("details", "info", "data", "record", "extra", "meta", "more"))
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
    if "additionalProperties" in schema:
        outer["additionalProperties"] = child["additionalProperties"] = False
    kept: dict[str, Json] = {k: v for k, v in truth.items() if k not in inner}
    kept[name] = {k: v for k, v in truth.items() if k in inner}
    return outer, kept


def write_text(fields: list[Field], values: Values) -> str:
    """Join the sentences of the fields mentioned, the first first, with fillers between them."""
    rng = values.rng
    sentences = [f.sentence for f in fields if f.mentioned]
    first, rest = sentences[:1], sentences[1:]
    rng.shuffle(rest)
    fillers = words.HELD_OUT_FILLERS if values.new_wordings else words.FILLERS
    while chance(rng, FILLER):
        rest.insert(rng.randint(0, len(rest)), rng.choice(fillers))
    lines = any(s[-1] not in ".;" for s in sentences)
    return ("\n" if lines or chance(rng, 0.1) else " ").join(first + rest)


def records(values: Values, *, new: bool) -> Extraction:
    """A text with a few records of the same shape, to be returned as an array."""
    rng = values.rng
    labelled = new or chance(rng, 0.4)
    shape = _labelled_rows(values, new=new) if labelled else _terse_rows(values)
    schemas, lines, rows = shape
    top = rng.choice(TABLES)
    item: Schema = {"type": "object", "properties": schemas, "required": list(schemas)}
    schema: Schema = {
        "type": "object",
        "properties": {top: {"type": "array", "items": item}},
        "required": [top],
    }
    if chance(rng, CLOSED):
        schema["additionalProperties"] = item["additionalProperties"] = False
    return Extraction(rng.choice(("\n", "\n", "; ")).join(lines), schema, {top: rows})


Rows = tuple[dict[str, "Schema"], list[str], list["Json"]]
ROW_KINDS = {"integer": 3, "noun_phrase": 2, "city": 2, "decimal": 1, "code": 1, "date": 1}


def _labelled_rows(values: Values, *, new: bool) -> Rows:
    """Rows that begin with a name and label the rest."""
    rng = values.rng
    keys = [key_words(values, new=new) for _ in range(rng.randint(1, 2))]
    kinds = [weighted(rng, ROW_KINDS) for _ in keys]
    spelled = [spell(parts, rng) for parts in keys]
    schemas: dict[str, Schema] = {"name": {"type": "string"}}
    lines, rows = [], []
    joint, form = rng.choice((", ", " | ", ", ")), rng.choice(("{k} {v}", "{k}: {v}"))
    for _ in range(rng.choice(ROWS)):
        name = values.person()
        row: dict[str, Json] = {"name": name}
        line = [name]
        for key, parts, kind in zip(spelled, keys, kinds, strict=True):
            if key in row:
                continue
            drawn = draw(kind, values)
            row[key], schemas[key] = drawn.value, drawn.schema
            line.append(form.format(k=" ".join(parts), v=drawn.written))
        rows.append(row)
        lines.append(joint.join(line))
    return schemas, lines, list(rows)


def _terse_rows(values: Values) -> Rows:
    """Rows of a domain, a few words for each field."""
    rng = values.rng
    domain = rng.choice(DOMAINS)
    told = rng.sample([a for a in domain.attributes if a.terse], rng.randint(1, 2))
    forms = [rng.choice(a.terse) for a in told]
    keys = [rng.choice(domain.subject_keys), *(rng.choice(a.keys) for a in told)]
    order = rng.sample(range(len(keys)), len(keys))
    schemas: dict[str, Schema] = {}
    lines: list[str] = []
    rows: list[dict[str, Json]] = []
    joint = rng.choice((", ", ", ", " - ", " | "))
    for _ in range(rng.choice(ROWS)):
        drawn = [draw(domain.subject_kind, values), *(draw(a.kind, values) for a in told)]
        if not rows:
            schemas = {keys[i]: drawn[i].schema for i in order}
        rows.append({keys[i]: drawn[i].value for i in order})
        forms_ = ("{v}", *forms)
        lines.append(joint.join(f.format(v=d.written) for f, d in zip(forms_, drawn, strict=True)))
    return schemas, lines, list(rows)


def leaf_keys(schema: Schema) -> list[str]:
    """Return the property names of a schema that hold values, those of lists of records too."""
    found: list[str] = []
    properties = schema.get("properties", {})
    assert isinstance(properties, dict)  # noqa: S101 - an object's schema
    for key, child in properties.items():
        inner = child.get("items", child)
        found += leaf_keys(inner) if "properties" in inner else [key]
    return found


def is_held_out_combination(schema: Schema) -> bool:
    """Tell whether a schema's set of keys belongs to evaluation only (one in eight, by hash)."""
    return is_held_out(",".join(sorted(leaf_keys(schema))))


def dense(values: Values) -> Extraction:
    """Draw a text that says many short things: the most lookups for the tokens of a sample."""
    return _of_its_split(values, lambda: _labelled(values, values.rng.randint(5, 8), SHORT_KINDS))


def many_records(values: Values) -> Extraction:
    """Draw a list of records, which training shows more often than the mix of shapes does."""
    return _of_its_split(values, lambda: records(values, new=False))


def _labelled(
    values: Values, count: int, kinds: Mapping[str, float] = GENERIC_KINDS, *, new: bool = False
) -> Extraction:
    if chance(values.rng, LAID_OUT):
        return laid_out(values, count, new=new, kinds=kinds)
    return build(labelled_fields(values, count, new=new, kinds=kinds), values)


def _of_its_split(values: Values, drawing: Callable[[], Extraction]) -> Extraction:
    """Draw until the combination of keys is one of this split."""
    while True:
        made = drawing()
        if is_held_out_combination(made.schema) == values.held_out:
            return made


def _any_shape(values: Values, *, new: bool) -> Extraction:
    shape = weighted(values.rng, NEW_SHAPES if new else SHAPES)
    count = values.rng.choice(COUNTS)
    if shape == "records":
        return records(values, new=new)
    if shape == "terse":
        return terse(values, count)
    if shape == "prose":
        return build(domain_of(values, count), values)
    return _labelled(values, count, new=new)


def extraction(values: Values, *, new: bool = False) -> Extraction:
    """Draw one extraction; with new, its keys are ones training never uses."""
    if new:
        return _any_shape(values, new=True)
    return _of_its_split(values, lambda: _any_shape(values, new=False))
