"""Trains the tokenizer: byte-level BPE in which a word is spelled alike wherever it stands."""

from __future__ import annotations

import itertools
import json
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from models.training import words
from models.training.samples import SPECIAL_TOKENS, answer_text, prompt_text
from models.training.tasks import stream
from models.training.values import Values, capital

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VOCABULARY_SIZE = 2048
# Two digits; a word with its capital; capitals; white space; a run of punctuation; anything else.
SPLIT = (
    r"\p{N}{1,2}|\p{Lu}?[\p{Ll}\p{M}]+|\p{Lu}+(?!\p{Ll})|\p{Lu}|[\p{Lo}\p{Lm}\p{Lt}]+"
    r"|\s+|_|[^\s\p{L}\p{M}\p{N}_]+"
)


def new_tokenizer(model: models.BPE | None = None) -> Tokenizer:
    """Return a tokenizer, untrained without a model, with its pre-tokenizer and decoder."""
    tokenizer = Tokenizer(model or models.BPE())
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


def lower_case_tokenizer(seed: int, samples: int) -> Tokenizer:
    """Return a tokenizer trained on the synthetic corpus in lower case."""
    tokenizer = new_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=16,
        show_progress=False,
    )
    tokenizer.train_from_iterator((text.lower() for text in corpus(samples, seed)), trainer)
    return tokenizer


def first_pieces(tokenizer: Tokenizer, texts: Iterable[str]) -> set[str]:
    """Return the tokens that the words of the texts begin with."""
    listed = {word for text in texts for word in re.findall("[a-z]+", text.lower())}
    return {encoded.tokens[0] for encoded in tokenizer.encode_batch(sorted(listed))}


def mirrored(merges: list[tuple[str, str]], beginnings: set[str]) -> Iterator[tuple[str, str]]:
    """Yield each merge, and after it the same with a capital where it can begin a word.

    A capitalised word then falls into the same pieces as its lower-case form, but for the first.
    """
    needed = set(beginnings)
    for first, second in reversed(merges):
        if first + second in needed:
            needed.add(first)
    for first, second in merges:
        yield first, second
        if first + second in needed:
            yield capital(first), second


def train_tokenizer(seed: int = 1, samples: int = 12000) -> Tokenizer:
    """Train on the synthetic corpus; special tokens take the first ids in their fixed order."""
    vocabulary = {token: index for index, token in enumerate(SPECIAL_TOKENS)}
    for letter in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[letter] = len(vocabulary)
    lower = lower_case_tokenizer(seed, samples)
    learnt = [tuple(pair) for pair in json.loads(lower.to_str())["model"]["merges"]]
    merges = []
    for first, second in mirrored(learnt, first_pieces(lower, corpus(samples, seed + 1))):
        if len(vocabulary) == VOCABULARY_SIZE:
            break
        merges.append((first, second))
        vocabulary.setdefault(first + second, len(vocabulary))
    tokenizer = new_tokenizer(models.BPE(vocabulary, merges))
    tokenizer.add_special_tokens([
        AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS
    ])  # fmt: skip
    return tokenizer


def write_tokenizer(folder: Path) -> Tokenizer:
    """Train and save tokenizer.json in a folder."""
    tokenizer = train_tokenizer()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer


if __name__ == "__main__":
    write_tokenizer(Path(__file__).parents[1] / "formwork-mini")
