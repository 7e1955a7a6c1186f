"""Trains the tokenizer: byte-level BPE in which a word is spelled alike wherever it stands."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from models.training import words
from models.training.samples import SPECIAL_TOKENS, answer_text, prompt_text
from models.training.tasks import stream
from models.training.values import Values

if TYPE_CHECKING:
    from collections.abc import Iterator

VOCABULARY_SIZE = 2048
# One digit; a word with its capital; capitals; white space; a run of punctuation; anything else.
SPLIT = (
    r"\p{N}|\p{Lu}?[\p{Ll}\p{M}]+|\p{Lu}+(?!\p{Ll})|\p{Lu}|[\p{Lo}\p{Lm}\p{Lt}]+"
    r"|\s+|_|[^\s\p{L}\p{M}\p{N}_]+"
)


def new_tokenizer() -> Tokenizer:
    """Return an untrained tokenizer with its pre-tokenizer and decoder in place."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def corpus(samples: int, seed: int) -> Iterator[str]:
    """Yield texts of the training mix, common words and made-up words."""
    for sample in itertools.islice(stream(seed), samples):
        text = prompt_text(sample) + answer_text(sample)
        for token in SPECIAL_TOKENS:
            text = text.replace(token, "\n")
        yield from text.split("\n")
    values = Values(random.Random(seed))
    listed = [*words.COMMON, *words.KEY_NOUNS, *words.KEY_ADJECTIVES, *words.NOUN_VALUES]
    for word in listed:
        yield " ".join([word] * 6 + [word.capitalize()] * 3)
    for _ in range(samples // 2):
        yield f"{values.made_up()} {values.made_up().capitalize()}"


def train_tokenizer(seed: int = 1, samples: int = 12000) -> Tokenizer:
    """Train on the synthetic corpus; special tokens take the first ids in their fixed order."""
    tokenizer = new_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[AddedToken(t, special=True, normalized=False) for t in SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=16,
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(samples, seed), trainer)
    return tokenizer


def write_tokenizer(folder: Path) -> Tokenizer:
    """Train and save tokenizer.json in a folder."""
    tokenizer = train_tokenizer()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer


if __name__ == "__main__":
    write_tokenizer(Path(__file__).parents[1] / "formwork-mini")
