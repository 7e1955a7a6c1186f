"""Property names: listed words, made-up words, and the kinds of values that suit them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from models.training import words
from models.training.domains import DOMAINS
from models.training.values import Values, chance, is_held_out
from models.training.words import split

if TYPE_CHECKING:
    import random

MADE_UP, CAMEL, NATURAL = 0.35, 0.25, 0.6

# Kinds for keys that end in these nouns; any other holds whatever is drawn.
KINDS_OF_NOUNS = {
    "person": """customer author editor manager guest doctor patient owner driver teacher student
speaker sponsor chef artist director actor player coach sender recipient client partner agent
broker tenant landlord president mayor judge lawyer witness officer""",
    "city": "city origin destination location place region district village capital",
    "company": "company brand publisher employer airline hotel supplier carrier bank studio vendor",
    "integer": """age total count quantity minute duration floor distance capacity mileage calories
score rank height length width area volume memory storage port speed""",
    "money": "price amount cost revenue salary rent deposit discount tax balance budget payment",
    "date": "date day start end departure arrival",
    "year": "year",
    "time": "hour",
    "code": "id code number reference invoice ticket flight gate seat serial license account card",
    "color": "color",
    "decimal": "temperature humidity pressure weight rating voltage current dose depth",
    "email": "email",
    "phone": "phone",
    "enum": "status priority level size category grade phase stage",
    "nouns": "ingredient symptom tool skill hobby fruit animal",
    "noun_phrase": "product item model material fabric pet part device food drink",
}
KIND_OF_NOUN = {noun: kind for kind, nouns in KINDS_OF_NOUNS.items() for noun in split(nouns)}


def parts_of(key: str) -> list[str]:
    """Return the lower-case words that a key is spelled from."""
    return [part.lower() for part in re.split(r"_|(?=[A-Z])", key) if part]


DOMAIN_WORDS = {
    part
    for domain in DOMAINS
    for key in (*domain.subject_keys, *(k for a in domain.attributes for k in a.keys))
    for part in parts_of(key)
}


def is_new(word: str) -> bool:
    """Tell whether a listed word is kept from every key of training."""
    return is_held_out(word) and word not in DOMAIN_WORDS


KEY_NOUNS = [word for word in words.KEY_NOUNS if not is_new(word)]
KEY_ADJECTIVES = [word for word in words.KEY_ADJECTIVES if not is_new(word)]
NEW_NOUNS = [word for word in words.KEY_NOUNS if is_new(word)]
NEW_ADJECTIVES = [word for word in words.KEY_ADJECTIVES if is_new(word)]


def key_words(values: Values, *, new: bool) -> list[str]:
    """Draw one or two words for a key: listed or made up; new ones are never seen in training."""
    rng = values.rng
    made_up = chance(rng, 0.5) if new else chance(rng, MADE_UP) and not values.held_out
    if made_up:
        made = Values(rng, held_out=new)
        return [made.made_up((1, 2, 2, 2)) for _ in range(rng.choice((1, 1, 2)))]
    nouns = NEW_NOUNS if new else KEY_NOUNS
    adjectives = NEW_ADJECTIVES if new else KEY_ADJECTIVES
    noun = rng.choice(nouns)
    lead = rng.choice((*(rng.choice(adjectives),) * 3, rng.choice(nouns)))
    return [noun] if lead == noun else rng.choice(([noun], [lead, noun]))


def kind_of(parts: list[str], rng: random.Random) -> str | None:
    """Return the kind that suits a key, mostly, where one does."""
    return KIND_OF_NOUN.get(parts[-1]) if chance(rng, NATURAL) else None


def spell(parts: list[str], rng: random.Random) -> str:
    """Write a key's words in snake_case or camelCase."""
    if chance(rng, CAMEL):
        return parts[0] + "".join(p.capitalize() for p in parts[1:])
    return "_".join(parts)


def any_name(values: Values) -> str:
    """Draw a property name in one of several spellings."""
    rng = values.rng
    listed = (*KEY_NOUNS, *KEY_ADJECTIVES, values.made_up())
    first, second = rng.choice(listed), rng.choice(listed)
    camel = first + second.capitalize()
    return rng.choice((
        first, first, f"{first}_{second}", camel, f"{first}-{second}", f"{first} {second}",
        first[:1],
    ))  # fmt: skip
