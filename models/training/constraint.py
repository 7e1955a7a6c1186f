"""The constraint that evaluation decodes under: a sample's schema or tools, or a refusal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from torch import Tensor

from models.training.samples import SPECIAL_TOKENS, Sample

if TYPE_CHECKING:
    from pathlib import Path

END = SPECIAL_TOKENS.index("<|end|>")
COMPACT = {
    "whitespace_flexible": False,
    "coerce_one_of": True,
    "item_separator": ",",
    "key_separator": ":",
}


class GuidanceConstraint:
    """Follows one grammar with llguidance's matcher."""

    def __init__(self, tokenizer: LLTokenizer, grammar: str) -> None:
        self.matcher = LLMatcher(tokenizer, grammar, log_level=0)
        self.size = tokenizer.vocab_size
        if self.matcher.is_error():
            raise ValueError(self.matcher.get_error())

    def mask(self) -> Tensor:
        """Return which tokens may come next, bool (vocab,)."""
        packed = np.frombuffer(self.matcher.compute_bitmask(), dtype=np.uint8)
        bits = np.unpackbits(packed, bitorder="little", count=self.size)
        return torch.from_numpy(bits).bool()

    def accept(self, token: int) -> None:
        """Take the token that was chosen."""
        self.matcher.consume_token(token)


def load_constraint_tokenizer(folder: Path) -> LLTokenizer:
    """Load the folder's tokenizer as the matcher wants it."""
    return LLTokenizer((folder / "tokenizer.json").read_text(), eos_token=END)


def grammar_for(sample: Sample) -> str | None:
    """Return the grammar of a sample's answer, or None where plain text is wanted."""
    refusal = "refusal: <|refusal|> /[^\\n]{1,120}/\n"
    if sample.schema is not None:
        body = json.dumps({**sample.schema, "x-guidance": COMPACT})
        return f"start: object | refusal\nobject: %json {body}\n{refusal}"
    if not sample.tools:
        return None
    names = " | ".join(f"tool_{i}" for i in range(len(sample.tools)))
    rules = [
        f'tool_{i}: <|call|> "{tool.name}" <|args|> arguments_{i}\n'
        f"arguments_{i}: %json {json.dumps({**tool.parameters, 'x-guidance': COMPACT})}"
        for i, tool in enumerate(sample.tools)
    ]
    lines = "\n".join(rules)
    return f"start: (call)+ | text | refusal\ncall: {names}\n{lines}\ntext: /[^\\n]+/\n{refusal}"


def constraint_for(sample: Sample, tokenizer: LLTokenizer) -> GuidanceConstraint | None:
    """Return what holds a sample's answer to its schema or tools, or None."""
    grammar = grammar_for(sample)
    return None if grammar is None else GuidanceConstraint(tokenizer, grammar)
