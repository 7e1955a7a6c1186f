"""Forced runs: the tokenizer's own tokens, never other ones, and never to the exclusion of them."""

import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from formwork_engine import CursorError, Index, JsonSchema, Vocabulary, compile_index
from formwork_engine.tokenisation import Tokenisation
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SPLIT = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
NAMES = ("name", "names", "na me", "age", "city", "cités", "id", "first_name", "last-name", "x")
VALUES = ("", "a", ": b", '"', "Ann", "Österreich", "中文", "-", "true", "/usr/bin", "it's", "\n\n")
EXTENDED = {"a": [], "b": {}, "c": 0}


def corpus() -> list[str]:
    """Return JSON as answers hold it, and a few words."""
    chosen = random.Random(1)
    texts = []
    for _ in range(300):
        keys = chosen.sample(NAMES, 4)
        texts.append(json.dumps({key: chosen.choice(VALUES) for key in keys}, ensure_ascii=False))
        texts.append(json.dumps([keys, 17, -0.5, True, None, {}], separators=(",", ":")))
    return texts


def byte_level(split: str | None) -> Tokenizer:
    """Return a small byte-level tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split is None)
    first = [] if split is None else [pre_tokenizers.Split(Regex(split), "isolated")]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*first, level]) if first else level
    tokenizer.decoder = decoders.ByteLevel()
    return train(tokenizer, pre_tokenizers.ByteLevel.alphabet())


def sentencepiece() -> Tokenizer:
    """Return a small tokenizer of characters that does not split."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))  # noqa: S106 - a token
    prepend, replace = normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")
    tokenizer.normalizer = normalizers.Sequence([prepend, replace])
    characters = sorted({character for text in corpus() for character in text if character != " "})
    alphabet = [*characters, "▁", *"{}[]:,.0123456789abcdefghijklmnopqrstuvwxyz"]
    return train(tokenizer, alphabet, [f"<0x{byte:02X}>" for byte in range(256)])


def train(tokenizer: Tokenizer, alphabet: list[str], extra: list[str] | None = None) -> Tokenizer:
    trainer = trainers.BpeTrainer(
        vocab_size=len(set(alphabet)) + 120 + len(extra or []),
        initial_alphabet=alphabet,
        special_tokens=["<end>", "<unk>", *(extra or [])],
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def vocabulary_of(tokenizer: Tokenizer, **changes: Any) -> Vocabulary:  # noqa: ANN401 - JSON
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = [t for t in document["added_tokens"] if t["id"] < 2]
    for path, value in changes.items():
        *names, last = path.split("__")
        inner = document
        for name in names:
            inner = inner[name]
        inner[last] = value
    return Vocabulary.from_tokenizer_json(json.dumps(document).encode(), end_ids=[0])


@pytest.fixture(
    scope="module", params=["model", "gpt2", "newer", "newer whole", "sentencepiece", "ranks"]
)
def cut_vocabulary(request: pytest.FixtureRequest, model_vocabulary: Vocabulary) -> Vocabulary:
    """One of each kind that is understood."""
    match request.param:
        case "model":
            return model_vocabulary
        case "sentencepiece":
            return vocabulary_of(sentencepiece())
        case "newer whole":
            return vocabulary_of(byte_level(SPLIT), model__ignore_merges=True)
        case "ranks":
            tokens = [bytes([byte]) for byte in range(256)]
            words = [b'":', b'":"', b'","', b'{"', b"na", b"me", b"name", b"ty", b"ci", b"city"]
            tokens += [*words, b""]
            cut = Tokenisation.of_ranks(tokens, SPLIT)
            end = len(tokens) - 1
            return Vocabulary(tokens, special_ids=[], end_ids=[end], tokenisation=cut)
        case kind:
            return vocabulary_of(byte_level(None if kind == "gpt2" else SPLIT))


def allowed(cursor: Any) -> set[int]:  # noqa: ANN401 - a cursor
    mask = np.zeros(cursor.vocabulary.words, dtype=np.int32)
    cursor.fill_mask(mask)
    return set(np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist())


TEXT = st.text(
    st.sampled_from("abz AZ019 \n\r\t'sS.,:;\"{}[]éÀ中\u0301\u017f—\u00a0\u3000😀/\\_-"),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(text=TEXT)
def test_text_is_cut_as_the_tokenizers_package_cuts_it(
    model_vocabulary: Vocabulary, byte_vocabularies: list[Vocabulary], text: str
) -> None:
    for vocabulary in [model_vocabulary, *byte_vocabularies]:
        assert vocabulary.cut(text) == vocabulary.tokenize(text.encode())


@pytest.fixture(scope="module")
def byte_vocabularies() -> list[Vocabulary]:
    """Byte-level ones."""
    return [vocabulary_of(byte_level(split)) for split in (None, SPLIT)]


@settings(max_examples=100, deadline=None)
@given(words=st.lists(st.sampled_from([*NAMES, "true", ":", ",", '"', "{", "  "]), min_size=1))
def test_unsplit_text_is_cut_as_the_tokenizers_package_cuts_it(
    unsplit: Vocabulary, words: list[str]
) -> None:
    text = "".join(words)
    assert unsplit.cut(f" {text}") == unsplit.tokenize(text.encode())


@pytest.fixture(scope="module")
def unsplit() -> Vocabulary:
    """Of characters."""
    return vocabulary_of(sentencepiece())


def cases(seed: int) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield schemas with values that they allow."""
    chosen = random.Random(seed)
    for _ in range(25):
        names = chosen.sample(NAMES, chosen.randrange(1, 5))
        kinds = {name: chosen.choice(list(kind_of(chosen))) for name in names}
        kept = [name for name in names if chosen.random() < 0.8 or name == names[0]]
        schema = {
            "type": "object",
            "properties": {name: kind for name, (kind, _) in kinds.items()},
            "required": [name for name in kept if chosen.random() < 0.7],
            "additionalProperties": chosen.random() < 0.3,
        }
        yield schema, {name: kinds[name][1] for name in kept}


def kind_of(chosen: random.Random) -> Iterator[tuple[dict[str, Any], Any]]:
    options = chosen.sample(VALUES, 3)
    yield {"type": "string"}, chosen.choice(VALUES)
    yield {"enum": options}, options[0]
    yield {"const": options[1]}, options[1]
    yield {"type": "integer"}, chosen.choice([0, -7, 1234567])
    yield {"type": "boolean"}, False
    yield {"type": "array", "items": {"type": "string"}}, options
    yield {"type": "array", "items": {"const": "name"}, "minItems": 2}, ["name"] * 3
    yield (
        {"type": "object", "properties": {"a": {"type": "array"}, "b": {}}, "required": ["a", "b"]},
        EXTENDED,
    )


def cursors(vocabulary: Vocabulary, seed: int) -> Iterator[tuple[Index, list[int]]]:
    for schema, value in cases(seed):
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        tokens = vocabulary.cut(text)
        if tokens is not None:
            yield compile_index(JsonSchema(json.dumps(schema)), vocabulary), tokens


@pytest.mark.parametrize("seed", range(4))
def test_the_tokenizers_tokens_are_in_every_mask_and_forced_ones_are_they(
    cut_vocabulary: Vocabulary, seed: int
) -> None:
    forced = 0
    for index, tokens in cursors(cut_vocabulary, seed):
        cursor = index.cursor()
        for place, token in enumerate(tokens):
            run = cursor.forced()
            assert list(run) == tokens[place : place + len(run)]
            assert allowed(cursor) == {token} if run else token in allowed(cursor)
            forced += bool(run)
            cursor.advance(token)
        assert cursor.may_end
    assert forced > 0


def test_runs_are_those_of_single_steps_forks_and_filled_indexes(
    cut_vocabulary: Vocabulary,
) -> None:
    for index, tokens in cursors(cut_vocabulary, seed=9):
        loaded = Index.load(index.dump(), cut_vocabulary)
        loaded.fill(0.02)
        filled = Index.load(loaded.dump(), cut_vocabulary).cursor()
        cursor, single, place = index.cursor(), index.cursor(), 0
        while place < len(tokens):
            run = cursor.forced()
            for token in run or tokens[place : place + 1]:
                assert allowed(single) == allowed(filled)
                assert single.fork().forced()[:1] == filled.forced()[:1] == run[:1]
                assert run == () or allowed(single) == {token}
                for one in (cursor, single, filled):
                    one.advance(token)
                single.rollback(1)  # what is found out anew is the same
                single.advance(token)
                place, run = place + 1, run[1:]


def test_a_token_that_is_not_the_forced_one_is_refused(model_vocabulary: Vocabulary) -> None:
    schema = JsonSchema('{"type":"object","properties":{"name":{}},"required":["name"]}')
    cursor = compile_index(schema, model_vocabulary).cursor()
    brace = next(i for i in range(300) if model_vocabulary.token_bytes(i) == b"{")
    assert cursor.forced()[:1] not in {(), (brace,)}
    with pytest.raises(CursorError, match="not allowed"):
        cursor.advance(brace)


@pytest.mark.parametrize(
    "changes",
    [
        {"model__dropout": 0.1},
        {"model__end_of_word_suffix": "</w>"},
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer__add_prefix_space": True},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"pre_tokenizer": None},
    ],
)
def test_nothing_is_forced_with_a_tokenizer_that_is_not_understood(changes: Any) -> None:  # noqa: ANN401 - JSON
    vocabulary = vocabulary_of(byte_level(None), **changes)
    assert vocabulary.cut("a") is None
    cursor = compile_index(JsonSchema('{"const":"name"}'), vocabulary).cursor()
    for byte in b'"name"':
        assert cursor.forced() == ()
        alone = [i for i in allowed(cursor) if vocabulary.token_bytes(i) == bytes([byte])]
        cursor.advance(alone[0])


def test_the_fingerprint_does_not_depend_on_how_text_is_cut() -> None:
    tokenizer = byte_level(None)
    other = vocabulary_of(tokenizer, pre_tokenizer={"type": "Whitespace"})
    assert vocabulary_of(tokenizer).fingerprint == other.fingerprint


def test_text_that_is_cut_out_first_is_never_forced() -> None:
    tokenizer = byte_level(None)
    added = json.loads(tokenizer.to_str())["added_tokens"][:1]
    call = {**added[0], "id": tokenizer.get_vocab_size(), "content": "<call>", "special": False}
    vocabulary = vocabulary_of(tokenizer, added_tokens=[*added, call])
    index = compile_index(JsonSchema('{"const":"name<call>name"}'), vocabulary)
    cursor, tokens = index.cursor(), vocabulary.tokenize(b'"name<call>name"')
    assert call["id"] in tokens
    for token in tokens:
        assert token in allowed(cursor)
        cursor.advance(token)
    assert cursor.may_end
