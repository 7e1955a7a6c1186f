"""How a tokenizer cuts text, as far as the engine can follow it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from formwork_engine._native import ffi
from formwork_engine.abi import sized
from formwork_engine.token_bytes import BYTE_CHARACTERS

GPT2_PATTERN: Final = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""What the byte-level pre-tokenizer splits at where nothing else is said."""
_METASPACE: Final = "\u2581"


@dataclass(frozen=True, eq=False)
class Tokenisation:
    """Byte pair encoding of the pieces that a pattern splits text to."""

    atoms: Sequence[int]
    """The tokens of single bytes, or of single characters, that merging begins with."""
    pattern: str | None = None
    """None: text is not split."""
    merges: NDArray[np.uint32] | None = None
    """Shape (merges, 3): two tokens and what they become, the earliest first. None: any two tokens
    become the one with their bytes, the least id first."""
    cut_first: Sequence[int] = ()
    """Tokens that are cut out of a text before it is split."""
    has_characters: bool = False
    """Atoms are characters; text with others is left alone."""
    keeps_whole: bool = False
    """A piece that is a token stays whole, whatever its merges."""
    is_ascii_only: bool = False
    """Text beyond ASCII is changed before it is cut."""

    @classmethod
    def of_ranks(cls, tokens: Sequence[bytes], pattern: str) -> "Tokenisation":
        """Return that of tokens in the order in which they were learnt, as tiktoken has them."""
        atoms = [token_id for token_id, token in enumerate(tokens) if len(token) == 1]
        return cls(atoms, pattern, keeps_whole=True)

    @cached_property
    def pointer(self) -> Any:  # noqa: ANN401 - cffi's
        """The same in C, which lives as long as this."""
        held = ffi.new("FormworkTokenisation *")
        pattern = None if self.pattern is None else self.pattern.encode()
        self.__dict__["_kept"] = (pattern, atoms := _ids(self.atoms), cut := _ids(self.cut_first))
        if pattern is not None:
            held.pattern, held.pattern_length = ffi.from_buffer("uint8_t[]", pattern), len(pattern)
        held.atoms, held.atom_count = sized(atoms)
        held.cut_first, held.cut_first_count = sized(cut)
        if self.merges is not None:
            held.merges, held.merge_ids = sized(self.merges.reshape(-1))
        held.has_characters = self.has_characters
        held.keeps_whole = self.keeps_whole
        held.is_ascii_only = self.is_ascii_only
        return held


def _ids(ids: Sequence[int]) -> NDArray[np.uint32]:
    return np.array(ids, dtype=np.uint32)


class _NotUnderstoodError(Exception):
    """The tokenizer does something that the engine does not follow."""


def read_tokenisation(document: dict[str, Any]) -> Tokenisation | None:
    """Return how a `tokenizer.json` cuts text; None where that is of a kind not understood.

    Understood is byte pair encoding: of bytes, split by one pattern, and SentencePiece's, of
    characters, not split. Special tokens are no text.
    """
    try:
        return _read(document)
    except (_NotUnderstoodError, LookupError, TypeError, ValueError, AttributeError):
        return None


def _read(document: dict[str, Any]) -> Tokenisation:
    model = document["model"]
    _require(model.get("type", "BPE") == "BPE" and isinstance(model["vocab"], dict))
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        _require(not model.get(name))
    cut_first = [_checked(token) for token in document.get("added_tokens") or []]
    return Tokenisation(
        **(_of_characters if model.get("byte_fallback") else _of_bytes)(document),
        merges=_read_merges(model),
        cut_first=[token["id"] for token in cut_first if not token["special"]],
        keeps_whole=bool(model.get("ignore_merges")),
    )


def _require(holds: object) -> None:
    if not holds:
        raise _NotUnderstoodError


def _checked(token: dict[str, Any]) -> dict[str, Any]:
    is_plain = not (token.get("lstrip") or token.get("rstrip") or token.get("single_word"))
    _require(is_plain or token["special"])
    return token


def _read_merges(model: dict[str, Any]) -> NDArray[np.uint32]:
    ids, pairs = model["vocab"], model["merges"]
    split = (pair.split(" ", 1) if isinstance(pair, str) else pair for pair in pairs)
    merges = [(ids[one], ids[other], ids[one + other]) for one, other in split]
    return np.array(merges, dtype=np.uint32).reshape(len(merges), 3)


def _of_bytes(document: dict[str, Any]) -> dict[str, Any]:
    normalizers = list(_parts(document.get("normalizer"), "normalizers"))
    _require(all(part["type"] == "NFC" for part in normalizers))
    ids = document["model"]["vocab"]
    return {
        "atoms": [ids[character] for character in BYTE_CHARACTERS],
        "pattern": _split_pattern(list(_parts(document["pre_tokenizer"], "pretokenizers"))),
        "is_ascii_only": bool(normalizers),
    }


def _split_pattern(parts: list[dict[str, Any]]) -> str:
    byte_level = parts[-1]
    _require(byte_level["type"] == "ByteLevel" and not byte_level.get("add_prefix_space", True))
    if byte_level.get("use_regex", True):
        _require(len(parts) == 1)
        return GPT2_PATTERN
    split, _byte_level = parts
    _require(split["type"] == "Split" and split["behavior"] == "Isolated" and not split["invert"])
    pattern = split["pattern"]["Regex"]
    _require(isinstance(pattern, str))
    return str(pattern)


def _of_characters(document: dict[str, Any]) -> dict[str, Any]:
    normalizers = list(_parts(document.get("normalizer"), "normalizers"))
    splits = list(_parts(document.get("pre_tokenizer"), "pretokenizers"))
    prepends = [part for part in normalizers if part["type"] == "Prepend"]
    replaces = [part for part in normalizers if _is_metaspace(part)]
    _require(len(prepends) + len(replaces) == len(normalizers))
    metaspaces = [part for part in splits if part["type"] == "Metaspace" and not part["split"]]
    _require(metaspaces == splits and bool(replaces) != bool(metaspaces))
    ids = document["model"]["vocab"]
    return {
        "atoms": [token_id for piece, token_id in ids.items() if len(piece) == 1],
        "has_characters": True,
    }


def _is_metaspace(part: dict[str, Any]) -> bool:
    said = {name: part.get(name) for name in ("type", "content", "pattern")}
    return said == {"type": "Replace", "content": _METASPACE, "pattern": {"String": " "}}


def _parts(part: dict[str, Any] | None, name: str) -> Iterator[dict[str, Any]]:
    if part is None:
        return
    if part["type"] != "Sequence":
        yield part
    for inner in part.get(name) or [] if part["type"] == "Sequence" else []:
        yield from _parts(inner, name)
