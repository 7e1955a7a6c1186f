"""Kinds of values: the schema, the JSON value and the way a text writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.training import words
from models.training.domains import COLORS, JOBS
from models.training.values import Values, chance

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.training.samples import Json, Schema


# How often a small number is written as a word.
SPELLED = 0.03


@dataclass(frozen=True)
class Drawn:
    """A value drawn for one field, with its schema and its wording."""

    schema: Schema
    value: Json
    written: str


def _text(value: str, **extra: object) -> Drawn:
    return Drawn({"type": "string", **extra}, value, value)


def _integer(value: int, values: Values) -> Drawn:
    spelled = value < len(words.SMALL_NUMBERS) and chance(values.rng, SPELLED)
    return Drawn({"type": "integer"}, value, words.SMALL_NUMBERS[value] if spelled else str(value))


def _number(value: float, form: str = "{}") -> Drawn:
    return Drawn({"type": "number"}, value, form.format(value))


def _date(values: Values) -> Drawn:
    date = values.date()
    return Drawn({"type": "string", "format": "date"}, date.iso, date.written(values.rng))


def _money(values: Values) -> Drawn:
    value = values.decimal() if chance(values.rng, 0.7) else values.integer()
    return _number(value, values.rng.choice(("{}", "{}", "${}", "€{}", "{} dollars", "{} euros")))


def _flag(values: Values) -> Drawn:
    value = chance(values.rng, 0.5)
    written = values.rng.choice(("yes", "true") if value else ("no", "false"))
    return Drawn({"type": "boolean"}, value, written)


def _stock(values: Values) -> Drawn:
    value = chance(values.rng, 0.5)
    yes, no = ("in stock", "available"), ("out of stock", "not available", "sold out")
    return Drawn({"type": "boolean"}, value, values.rng.choice(yes if value else no))


def join_words(items: list[str], values: Values) -> str:
    """Write a list as prose: `a`, `a and b`, `a, b and c`."""
    if len(items) == 1:
        return items[0]
    last = values.rng.choice((" and ", " and ", ", "))
    return ", ".join(items[:-1]) + last + items[-1]


def _nouns(values: Values) -> Drawn:
    count = values.rng.choice((1, 2, 2, 3, 3, 4))
    items = list(dict.fromkeys(values.noun() for _ in range(count)))
    schema: Schema = {"type": "array", "items": {"type": "string"}}
    value: list[Json] = [*items]
    return Drawn(schema, value, join_words(items, values))


def _people(values: Values) -> Drawn:
    items = [values.first_name() for _ in range(values.rng.randint(1, 4))]
    value: list[Json] = [*items]
    return Drawn({"type": "array", "items": {"type": "string"}}, value, join_words(items, values))


def _integers(values: Values) -> Drawn:
    items = [values.integer() for _ in range(values.rng.randint(1, 4))]
    value: list[Json] = [*items]
    written = join_words([str(i) for i in items], values)
    return Drawn({"type": "array", "items": {"type": "integer"}}, value, written)


def _choice(values: Values, options: list[str]) -> Drawn:
    chosen = values.rng.choice(options)
    order = values.rng.sample(options, len(options))
    return Drawn({"type": "string", "enum": order}, chosen, chosen)


def _random_enum(values: Values) -> Drawn:
    rng = values.rng
    listed = chance(rng, 0.6)
    count = rng.randint(2, 5)
    options = (
        rng.sample(values.adjectives(), count)
        if listed
        else [values.made_up() for _ in range(count)]
    )
    return _choice(values, list(dict.fromkeys(options)))


def _noun_phrase(values: Values) -> Drawn:
    rng = values.rng
    head = values.noun()
    return _text(f"{rng.choice(values.adjectives())} {head}" if chance(rng, 0.5) else head)


def _job(values: Values) -> Drawn:
    return _text(values.word_of(JOBS, 0.8))


KINDS: dict[str, Callable[[Values], Drawn]] = {
    "person": lambda v: _text(v.person()),
    "city": lambda v: _text(v.city()),
    "country": lambda v: _text(v.country()),
    "company": lambda v: _text(v.company()),
    "phrase": lambda v: _text(v.phrase().capitalize()),
    "word": lambda v: _text(v.phrase()),
    "noun_phrase": _noun_phrase,
    "job": _job,
    "color": lambda v: _text(v.word_of(COLORS, 0.9)),
    "code": lambda v: _text(v.code()),
    "phone": lambda v: _text(v.phone()),
    "time": lambda v: _text(v.time()),
    "email": lambda v: _text(v.email(), **({"format": "email"} if chance(v.rng, 0.5) else {})),
    "url": lambda v: _text(v.url(), format="uri"),
    "uuid": lambda v: _text(v.uuid(), format="uuid"),
    "age": lambda v: _integer(v.rng.randint(1, 99), v),
    "small": lambda v: _integer(v.rng.randint(1, 20), v),
    "year": lambda v: _integer(v.rng.randint(1900, 2039), v),
    "integer": lambda v: _integer(v.integer(), v),
    "decimal": lambda v: _number(v.decimal()),
    "money": _money,
    "date": _date,
    "flag": _flag,
    "stock": _stock,
    "nouns": _nouns,
    "people": _people,
    "integers": _integers,
    "enum": _random_enum,
}

# What a field with a random key may hold, with weights.
GENERIC_KINDS = {
    "person": 4, "city": 3, "company": 2, "word": 4, "noun_phrase": 3, "code": 3, "integer": 6,
    "decimal": 3, "money": 1, "date": 3, "flag": 3, "nouns": 3, "people": 1, "integers": 0.7,
    "enum": 4, "email": 0.6, "url": 0.2, "uuid": 0.02, "time": 1, "phone": 0.5,
}  # fmt: skip


# Kinds of few tokens, for texts that say many things.
SHORT_KINDS = {
    "person": 2, "city": 3, "noun_phrase": 3, "code": 2, "integer": 4, "decimal": 2, "date": 1,
    "flag": 2, "enum": 2, "time": 1,
}  # fmt: skip


def draw(kind: str, values: Values) -> Drawn:
    """Draw a value of a kind; `enum:a,b,c` names its options."""
    if kind.startswith("enum:"):
        return _choice(values, kind[5:].split(","))
    return KINDS[kind](values)


def empty_value(schema: Schema) -> Json:
    """Return the short value that stands for "the text does not say"."""
    kinds = schema.get("type")
    if isinstance(kinds, list) and "null" in kinds:
        return None
    if isinstance(schema.get("enum"), list):
        return _empty_option(schema)
    empties: dict[object, Json] = {
        "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}, "null": None,
    }  # fmt: skip
    if kinds == "string":
        return FORMAT_EMPTIES.get(str(schema.get("format")), "")
    return empties.get(kinds, "")


def _empty_option(schema: Schema) -> Json:
    options = schema["enum"]
    assert isinstance(options, list)  # noqa: S101 - the caller looked
    neutral = [o for o in options if o in {"unknown", "other", "none", None, ""}]
    chosen: Json = (neutral or options)[0]
    return chosen


FORMAT_EMPTIES: dict[str, str] = {
    "date": "1970-01-01",
    "date-time": "1970-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "unknown@example.com",
    "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "0.0.0.0",
    "hostname": "example.com",
    "duration": "PT0S",
}
