"""Text to token ids, twice: template text may hold special tokens, message text never does."""

import json
import math
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from gateway.token_bytes import piece_decoder
from mesh.config import ConfigError

_PREFIXING = {"Metaspace"}
# Texts of which is known whether they may make an added token: keys and names, which tools repeat.
_KNOWN_TEXTS = 8192
_KNOWN_CHARACTERS = 128


class PromptTokenizer:
    """The tokenizers of one model folder.

    Args:
        data: Contents of `tokenizer.json`.

    `longest` is how many characters of a text a token stands for at most; None where nobody knows.

    Raises:
        ValueError: Not a tokenizer.
    """

    def __init__(self, data: bytes) -> None:
        definition = json.loads(data)
        definition["truncation"] = definition["padding"] = None
        self.control_tokens = {
            str(token["content"]): int(token["id"])
            for token in definition.get("added_tokens", ())
            if token.get("special")
        }
        """Ids of the tokens that stand for no text, by their spelling."""
        self._special_ids = set(self.control_tokens.values())
        self._first = _load(definition)
        inner = _without_prefix(definition)
        self._inner = _load(inner)
        self._is_sought_normalized = self._inner.normalizer is not None and any(
            token.get("normalized") for token in definition.get("added_tokens", ())
        )
        """Added tokens are found in texts that are normalized: other spellings make them too."""
        added = [str(token["content"]) for token in definition.get("added_tokens", ())]
        spellings = {form for token in added for form in self._forms(token)}
        self._added = sorted(filter(None, spellings), key=len, reverse=True)
        self._any_added = re.compile("|".join(map(re.escape, self._added)) or "(?!)")
        cuts = [(token, place) for token in self._added for place in range(1, len(token))]
        self._beginnings = frozenset(token[:place] for token, place in cuts)
        self._endings = frozenset(token[place:] for token, place in cuts)
        self._longest_added = max(map(len, self._added), default=0)
        self._controls = {form for token in self.control_tokens for form in self._forms(token)}
        self._known = lru_cache(_KNOWN_TEXTS)(self._makes_added)
        self._plain = _load({**inner, "added_tokens": [], "post_processor": None})
        self._decode = piece_decoder(definition)
        self._bytes_of_added = {
            int(token["id"]): str(token["content"]).encode()
            for token in definition.get("added_tokens", ())
        }
        self.longest = _longest_token(definition)
        self.size = self._first.get_vocab_size(with_added_tokens=True)

    def encode_template(self, text: str, *, is_first: bool) -> list[int]:
        """Return the ids of a part of a template, special tokens read as such; no BOS is added."""
        tokenizer = self._first if is_first else self._inner
        return _encode(tokenizer, text)

    def encode_message(self, text: str) -> list[int]:
        """Return the ids of a message's text: never a special one, whatever the text says."""
        ids = _encode(self._plain, text)
        if self._special_ids.isdisjoint(ids):
            return ids
        # A vocabulary may hold its control tokens as ordinary pieces too: break them up.
        head, tail = self._broken(text)
        return self.encode_message(head) + self.encode_message(tail)

    def is_special(self, token_id: int) -> bool:
        """Return whether a token is a control token, which no text is made into."""
        return token_id in self._special_ids

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes of a token: its name where it was added; none where there is no such."""
        added = self._bytes_of_added.get(token_id)
        if added is not None:
            return added
        piece = self._first.id_to_token(token_id)
        return b"" if piece is None else self._decode(piece)

    def may_make_added_token(self, text: str) -> bool:
        """Return whether a text holds the spelling of an added token, or a part at either end."""
        return (self._known if len(text) <= _KNOWN_CHARACTERS else self._makes_added)(text)

    def _makes_added(self, text: str) -> bool:
        return any(map(self._holds_added, self._forms(text)))

    def spelled_control(self, texts: Iterable[str]) -> list[str]:
        """Return the control tokens that texts spell, in order: as they are, then normalized."""
        forms = list(map(self._forms, texts))
        sought = [form[0] for form in forms]
        if self._is_sought_normalized:
            sought += [form[-1] for form in forms]
        found = (token for text in sought for token in self._any_added.findall(text))
        return [token for token in found if token in self._controls]

    @property
    def longest_written(self) -> int | None:
        """How many characters of a template a token stands for at most; None: nobody knows."""
        return None if self.longest is None else max(self.longest, self._longest_added)

    def _forms(self, text: str) -> list[str]:
        """Return a text as added tokens are sought in it; once where it is normalized already."""
        if not self._is_sought_normalized:
            return [text]
        return [*{text: None, self._inner.normalizer.normalize_str(text): None}]

    def _holds_added(self, text: str) -> bool:
        lengths = range(1, min(len(text), self._longest_added) + 1)
        return bool(self._any_added.search(text)) or any(
            text[-n:] in self._beginnings or text[:n] in self._endings for n in lengths
        )

    def _broken(self, text: str) -> tuple[str, str]:
        """Split a text inside the first special spelling that it holds, or else in the middle."""
        starts = [text.find(token) for token in self._added if len(token) > 1 and token in text]
        place = min(starts) + 1 if starts else len(text) // 2
        if place == 0:
            raise ValueError("a single character of the text is a control token")
        return text[:place], text[place:]


def load_tokenizer(folder: Path) -> PromptTokenizer:
    """Read the tokenizer of a model folder.

    Raises:
        ConfigError: There is none, or it is malformed.
    """
    path = folder / "tokenizer.json"
    try:
        return PromptTokenizer(path.read_bytes())
    except Exception as error:  # tokenizers raises bare Exception
        raise ConfigError(f"{path}: {error}") from error


def _longest_token(definition: dict[str, Any]) -> int | None:
    """Return the length of the longest token, in characters of a text that is not yet normalized.

    Only for tokenizers that write every byte of a text, and normalize in a known way.
    """
    shrinks = _shrinks(definition.get("normalizer"))
    model = definition["model"]
    is_complete = model.get("byte_fallback") or "ByteLevel" in json.dumps(
        definition.get("pre_tokenizer")
    )
    if shrinks is None or not is_complete or not isinstance(model.get("vocab"), dict):
        return None
    return shrinks * max(len(token) for token in [*model["vocab"], ""])


def _shrinks(normalizer: dict[str, Any] | None) -> int | None:
    """Return by how much a normalizer shortens a text at most; None where nobody knows."""
    if normalizer is None or normalizer["type"] in {"Prepend", "ByteLevel"}:
        return 1
    if normalizer["type"] == "NFC":
        return 4  # the longest canonical decomposition
    if normalizer["type"] == "Sequence":
        steps = [_shrinks(step) for step in normalizer["normalizers"]]
        return None if None in steps else math.prod(step for step in steps if step)
    pattern = normalizer.get("pattern", {}).get("String")
    is_longer = pattern is not None and len(normalizer.get("content", "")) >= len(pattern)
    return 1 if normalizer["type"] == "Replace" and is_longer else None


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the ids of a text: as a batch of one, which alone lets other threads run meanwhile."""
    ids: list[int] = tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids
    return ids


def _load(definition: dict[str, Any]) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(definition))


def _without_prefix(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the tokenizer without the space that some put before a text: ours stand inside one."""
    normalizer = definition.get("normalizer")
    pre_tokenizer = definition.get("pre_tokenizer")
    return {
        **definition,
        "normalizer": _rewrite(normalizer, "normalizers"),
        "pre_tokenizer": _rewrite(pre_tokenizer, "pretokenizers"),
    }


def _rewrite(step: dict[str, Any] | None, members: str) -> dict[str, Any] | None:
    if step is None or step["type"] == "Prepend":
        return None
    if step["type"] == "Sequence":
        kept = [_rewrite(inner, members) for inner in step[members]]
        return {**step, members: [inner for inner in kept if inner is not None]}
    if step["type"] in _PREFIXING:
        return {**step, "prepend_scheme": "never", "add_prefix_space": False}
    if step["type"] == "ByteLevel":
        return {**step, "add_prefix_space": False}
    return step
