"""Puts a text and what is asked of it into the messages of a conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.training import dialogue
from models.training.phrasing import random_instruction
from models.training.requests import system_prompt
from models.training.values import chance

if TYPE_CHECKING:
    from models.training.values import Values

Pair = tuple[tuple[str, ...], tuple[str, ...]]
Messages = tuple[tuple[str, str], ...]


def phrase(values: Values, pair: Pair) -> str:
    """Pick from the training side of a pair, or from its held-out side."""
    return values.rng.choice(pair[values.held_out])


def converse(values: Values, text: str, instructions: Pair | None = None, k: str = "") -> Messages:
    """Put a text, and perhaps an instruction for it, into system and user messages."""
    rng = values.rng
    messages: list[tuple[str, str]] = []
    asked = phrase(values, instructions).format(k=k) if instructions else ""
    if instructions is dialogue.INSTRUCTIONS and chance(rng, 0.6):
        asked = random_instruction(rng, held_out=values.held_out)
    where = rng.choice(("none", "before", "after", "system")) if asked else "none"
    if where == "system":
        messages.append(("system", asked))
    elif chance(rng, 0.3):
        fixed = values.held_out or chance(rng, 0.3)
        said = phrase(values, dialogue.SYSTEMS) if fixed else system_prompt(rng)
        messages.append(("system", said))
    gap = rng.choice(("\n", " ", "\n\n"))
    body = {"before": f"{asked}{gap}{text}", "after": f"{text}{gap}{asked}"}.get(where, text)
    return (*messages, ("user", body))
