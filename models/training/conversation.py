"""Puts a text and what is asked of it into the messages of a conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.training import dialogue
from models.training.phrasing import random_instruction
from models.training.requests import system_prompt
from models.training.values import chance

if TYPE_CHECKING:
    import random

    from models.training.values import Values

Pair = tuple[tuple[str, ...], tuple[str, ...]]
Messages = tuple[tuple[str, str], ...]


def phrase(values: Values, pair: Pair) -> str:
    """Pick from the training side of a pair, or from its held-out side."""
    return values.rng.choice(pair[values.new_wordings])


def join(parts: tuple[str, ...], rng: random.Random) -> str:
    """Put texts one after the other; one that does not end a sentence ends its line."""
    whole = parts[0]
    for part in parts[1:]:
        gaps = ("\n", "\n\n", " ") if whole[-1] in ".!?:" else ("\n", "\n\n")
        whole = f"{whole}{rng.choice(gaps)}{part}"
    return whole


def converse(values: Values, text: str, instructions: Pair | None = None, k: str = "") -> Messages:
    """Put a text, and perhaps an instruction for it, into system and user messages."""
    rng = values.rng
    messages: list[tuple[str, str]] = []
    asked = phrase(values, instructions).format(k=k) if instructions else ""
    if instructions is dialogue.INSTRUCTIONS and chance(rng, 0.6):
        asked = random_instruction(rng, held_out=values.new_wordings)
    where = rng.choice(("none", "none", "none", "before", "after", "system")) if asked else "none"
    if where == "system":
        messages.append(("system", asked))
    elif chance(rng, 0.15):
        fixed = values.new_wordings or chance(rng, 0.3)
        said = phrase(values, dialogue.SYSTEMS) if fixed else system_prompt(rng)
        messages.append(("system", said))
    orders = {"before": (asked, text), "after": (text, asked)}
    return (*messages, ("user", join(orders.get(where, (text,)), rng)))
