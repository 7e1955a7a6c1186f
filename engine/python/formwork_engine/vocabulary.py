"""The token bytes of one tokenizer."""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from formwork_engine._native import ffi, lib
from formwork_engine.abi import owned, sized
from formwork_engine.errors import VocabularyError
from formwork_engine.token_bytes import read_document, read_token_bytes
from formwork_engine.tokenisation import Tokenisation, read_tokenisation

WORD_BITS = 32
_FINGERPRINT_BYTES = 32


class Vocabulary:
    """The bytes that each token id stands for, which ids are special, and which of them end.

    Immutable. Text sent to a client is the concatenation of these bytes; nothing else decodes.

    Args:
        tokens: Bytes by id; empty for ids that stand for no text.
        special_ids: Ids that no text of a grammar may use; their bytes are empty.
        end_ids: Ids that end a sequence; special.
        tokenizer_json: The tokenizer, to tell canonical from other tokenisations.
        tokenisation: How the tokenizer cuts text. Without it, and where the engine does not
            understand it, masks are the same but for forced runs, of which there are none.

    Raises:
        VocabularyError: No end id, or an id outside the vocabulary.
        TooLargeError: Too many tokens, or too long ones.
    """

    def __init__(
        self,
        tokens: Sequence[bytes],
        *,
        special_ids: Iterable[int],
        end_ids: Sequence[int],
        tokenizer_json: bytes | None = None,
        tokenisation: Tokenisation | None = None,
    ) -> None:
        self.end_ids = tuple(sorted(set(end_ids)))
        self.special_ids = frozenset(special_ids) | frozenset(self.end_ids)
        outside = [i for i in self.special_ids if not 0 <= i < len(tokens)]
        if outside or not self.end_ids:
            raise VocabularyError(
                f"end ids {list(end_ids)}, ids without a token {outside} of {len(tokens)} tokens"
            )
        self._tokens = tuple(
            b"" if token_id in self.special_ids else token for token_id, token in enumerate(tokens)
        )
        self.handle = self._open(tokenisation)
        self._tokenizer_json = tokenizer_json

    @classmethod
    def from_tokenizer_json(cls, data: bytes, *, end_ids: Sequence[int]) -> "Vocabulary":
        """Return the vocabulary of a Hugging Face `tokenizer.json`.

        Args:
            data: The file: byte-level BPE, or SentencePiece with byte fallback.
            end_ids: Ids that end a sequence.

        Raises:
            VocabularyError: Another kind of tokenizer, or not one at all.
        """
        document = read_document(data)
        tokens, special_ids = read_token_bytes(document)
        return cls(
            tokens,
            special_ids=special_ids,
            end_ids=end_ids,
            tokenizer_json=data,
            tokenisation=read_tokenisation(document),
        )

    @property
    def size(self) -> int:
        """Number of ids, holes and special ones included."""
        return len(self._tokens)

    @property
    def words(self) -> int:
        """Number of 32-bit words of a mask."""
        return (self.size + WORD_BITS - 1) // WORD_BITS

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes of a token: empty for a special one."""
        return self._tokens[token_id]

    def decode(self, token_ids: Iterable[int]) -> bytes:
        """Return the bytes of a run of tokens."""
        return b"".join(self._tokens[token_id] for token_id in token_ids)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, hexadecimal, of everything that an index or a decoded text depends on.

        How texts are cut is no part of it: indexes hold nothing of that.
        """
        digest = ffi.new("uint8_t[]", _FINGERPRINT_BYTES)
        lib.formwork_vocabulary_fingerprint(self.handle, digest)
        return bytes(ffi.buffer(digest)).hex()

    @cached_property
    def text_mask(self) -> NDArray[np.int32]:
        """The mask, shape (words,), of all ids that stand for text."""
        return self.mask_of(token_id for token_id, token in enumerate(self._tokens) if token)

    @cached_property
    def end_mask(self) -> NDArray[np.int32]:
        """The mask, shape (words,), of the end ids."""
        return self.mask_of(self.end_ids)

    def mask_of(self, token_ids: Iterable[int]) -> NDArray[np.int32]:
        """Return the mask, shape (words,), of some ids: bit i % 32 of word i // 32."""
        bits = np.zeros(self.words * WORD_BITS, dtype=np.uint8)
        bits[list(token_ids)] = 1
        mask = np.packbits(bits, bitorder="little").view("<i4").astype(np.int32)
        mask.flags.writeable = False
        return mask

    def tokenize(self, text: bytes) -> list[int]:
        """Return the tokens that the tokenizer makes of a text, special ones never among them.

        A vocabulary without a tokenizer takes the longest token at each place; so does text that is
        not UTF-8.
        """
        if self._tokenizer is not None:
            try:
                encoding = self._tokenizer.encode(text.decode(), add_special_tokens=False)
            except UnicodeDecodeError:
                return self._tokenize_greedily(text)
            if self.special_ids.isdisjoint(encoding.ids):
                return list(encoding.ids)
        return self._tokenize_greedily(text)

    def cut(self, text: str) -> list[int] | None:
        """Return the tokens of a text as the engine cuts it; None where it does not know.

        What is forced follows it. It is `tokenize` but for texts that the engine leaves alone.
        """
        data, count = text.encode(), ffi.new("size_t *")
        out = np.zeros(len(data), dtype=np.uint32)
        lib.formwork_vocabulary_cut(
            self.handle, ffi.from_buffer(data), len(data), *sized(out), count
        )
        return None if count[0] > len(data) else [int(token) for token in out[: count[0]]]

    def _open(self, tokenisation: Tokenisation | None) -> Any:  # noqa: ANN401 - cffi's
        """Return the engine's own view of it."""
        text = b"".join(self._tokens)
        lengths = np.array([len(token) for token in self._tokens], dtype=np.uint32)
        special, end = (
            np.array(sorted(ids), dtype=np.uint32) for ids in (self.special_ids, self.end_ids)
        )
        return owned(
            lib.formwork_vocabulary_free,
            lib.formwork_vocabulary_new,
            ffi.from_buffer(text),
            len(text),
            *sized(lengths),
            *sized(special),
            *sized(end),
            ffi.NULL if tokenisation is None else tokenisation.pointer,
        )

    def _tokenize_greedily(self, text: bytes) -> list[int]:
        token_ids, start = [], 0
        while start < len(text):
            sizes = range(min(self._longest, len(text) - start), 0, -1)
            size = next((n for n in sizes if text[start : start + n] in self._id_of_bytes), 0)
            if size == 0:
                raise VocabularyError(f"no token begins {text[start : start + 8]!r}")
            token_ids.append(self._id_of_bytes[text[start : start + size]])
            start += size
        return token_ids

    @cached_property
    def _tokenizer(self) -> Tokenizer | None:
        if self._tokenizer_json is None:
            return None
        return Tokenizer.from_buffer(self._tokenizer_json)

    @cached_property
    def _id_of_bytes(self) -> dict[bytes, int]:
        return {token: token_id for token_id, token in enumerate(self._tokens) if token}

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._tokens))


def load_vocabulary(folder: Path) -> Vocabulary:
    """Return the vocabulary of a Hugging Face model folder, as every part of the mesh sees it.

    The ids that end are those of `generation_config.json` (of `config.json` where it names none)
    and the `eos_token` of `tokenizer_config.json`.

    Raises:
        VocabularyError: A file that is missing, malformed, or that contradicts the others.
    """
    try:
        data = (folder / "tokenizer.json").read_bytes()
    except OSError as error:
        raise VocabularyError(f"{folder}: no readable tokenizer.json: {error}") from error
    end_ids = _configured_end_ids(folder) | _named_end_ids(folder, data)
    return Vocabulary.from_tokenizer_json(data, end_ids=sorted(end_ids))


def _configured_end_ids(folder: Path) -> set[int]:
    for name in ("generation_config.json", "config.json"):
        value = _read_object(folder / name).get("eos_token_id")
        ids = value if isinstance(value, list) else [value]
        if all(isinstance(end, int) and not isinstance(end, bool) for end in ids):
            return set(ids)
        if value is not None:
            raise VocabularyError(f"{folder / name}: eos_token_id is {value!r}")
    return set()


def _named_end_ids(folder: Path, tokenizer_json: bytes) -> set[int]:
    name = _read_object(folder / "tokenizer_config.json").get("eos_token")
    if isinstance(name, dict):
        name = name.get("content")
    if name is None:
        return set()
    for token in _parse_object(tokenizer_json, "tokenizer.json").get("added_tokens", []):
        if token.get("content") == name:
            return {token["id"]}
    return set()


def _read_object(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise VocabularyError(f"{path}: {error}") from error
    return _parse_object(data, str(path))


def _parse_object(data: bytes, name: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise VocabularyError(f"{name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise VocabularyError(f"{name} is not a JSON object")
    return value
