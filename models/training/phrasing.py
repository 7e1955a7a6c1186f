"""Random wordings: glue words around a key and a value, and instructions put together from parts.

A model that sees a few dozen fixed sentences learns those sentences. Glue of common words, drawn
afresh each time, teaches what carries over: find the key, skip the glue, copy the value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.training import words
from models.training.values import chance
from models.training.words import split

if TYPE_CHECKING:
    import random


def options(text: str) -> list[str]:
    """Return what stands between the bars of a text."""
    return [" ".join(part.split()) for part in text.split("|")]


GLUE = [w for w in words.COMMON[:175] if len(w) > 1 and w not in {"not", "no", "never", "only"}]
JOINTS = options("""\
: | = | - | is | was | :: | -> | equals | — | stands at | says | reads | must be | is now |
is still | means | became""")
MARKS = (".", ".", ".", ".", ";", "!")
VERBS = split("""\
Extract Get Find Read Return Give List Collect Fill Take Write Report Copy Name Show Provide
Identify Capture""")
OBJECTS = options("""\
the fields | the data | all details | the values | the facts | every field | the information |
what it says | the key points | the entries | its contents | the structured data | the answer |
the record""")
SOURCES = options("""\
from this text | from the text | from the message | below | in the note |
of the following | from this paragraph | in this email | given here |
from the document | that you see | for the schema | in JSON | as JSON |
into the schema | please | from what follows | of this entry""")
HELD_OUT_VERBS = ("Pull out", "Summarise", "Record", "Parse")
HELD_OUT_SOURCES = ("from the snippet", "out of this", "in the passage above")


def glue(rng: random.Random, low: int, high: int) -> str:
    """Return low to high common words."""
    return " ".join(rng.choices(GLUE, k=rng.randint(low, high)))


SAYERS = options("""\
we | they | she | he | the form | the report | the record | the sheet | people | the owner |
the file | our team | the list | the clerk | the page""")
SAID = split("""\
wrote gave chose set entered listed marked named has had shows states lists picked sent typed
reported proposed kept""")
STATES = options("""\
is | was | stays | became | remains | equals | came out as | should be | has to be | is now |
would be | is given as | is listed as | was changed to | is known to be | can be read as""")
PLACES = ("as", "for")
SIGNS = split(": = -> - ~ > :: | /")


def clause(rng: random.Random) -> str:
    """Return a plain clause with {k} or {K} and {v} in it, put together from parts."""
    key, article = (
        rng.choice(("{k}", "the {k}", "the {k}")),
        rng.choice(("the ", "the ", "its ", "")),
    )
    place, sayer, said = rng.choice(PLACES), rng.choice(SAYERS), rng.choice(SAID)
    return rng.choice((
        f"{place} {key} {sayer} {said} {{v}}", f"{sayer} {said} {{v}} {place} {key}",
        f"{article}{{k}} {rng.choice(STATES)} {{v}}", f"{article}{{k}} {rng.choice(STATES)} {{v}}",
        f"{{K}} {rng.choice(SIGNS)} {{v}}",
    ))  # fmt: skip


def random_frame(rng: random.Random) -> str:
    """Return a new frame with {k} or {K} and {v} in it; the key mostly comes first."""
    key = rng.choice(("{k}", "{K}", "the {k}", "The {k}", "its {k}", "my {k}"))
    joined = f"{key} {rng.choice(JOINTS)} {{v}}"
    text = joined if chance(rng, 0.25) else clause(rng)
    if chance(rng, 0.7):
        text = text[0].upper() + text[1:]
    return text + rng.choice(MARKS)


def random_instruction(rng: random.Random, *, held_out: bool) -> str:
    """Return an instruction put together from a verb, an object and a source."""
    verb = rng.choice(HELD_OUT_VERBS if held_out else VERBS)
    source = rng.choice(HELD_OUT_SOURCES if held_out else SOURCES)
    parts = " ".join(f"{verb} {rng.choice(OBJECTS)} {source}".split())
    lead = rng.choice(("", "", "", "Please ", "Now ", "You should ", "Can you ", "Task: "))
    return (
        lead
        + (parts[0].lower() + parts[1:] if lead else parts)
        + rng.choice((".", ".", ":", "", "!"))
    )
