"""The bytes that each token of a `tokenizer.json` stands for, as answers are made of them.

The engine reads the same (`formwork_engine.token_bytes`), which the gateway does not import; a test
holds one against the other.
"""

import re
from collections.abc import Callable
from typing import Any

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def piece_decoder(definition: dict[str, Any]) -> Callable[[str], bytes]:
    """Return what turns a piece of the vocabulary into its bytes.

    Args:
        definition: `tokenizer.json`; a byte-level vocabulary, or one with SentencePiece's spaces.
    """
    steps = [definition.get("decoder"), definition.get("pre_tokenizer")]
    return _byte_level if "ByteLevel" in _kinds(steps) else _sentence_piece


def _kinds(steps: list[Any]) -> set[str]:
    """Return the types of steps, and of those inside them."""
    kinds: set[str] = set()
    for step in steps:
        if isinstance(step, dict):
            inner = step.get("decoders") or step.get("pretokenizers") or []
            kinds |= {str(step.get("type"))} | _kinds(inner)
    return kinds


def _byte_level(piece: str) -> bytes:
    return piece.translate(_SHOWN).encode("latin-1", "replace")


def _sentence_piece(piece: str) -> bytes:
    byte = _BYTE_PIECE.fullmatch(piece)
    if byte:
        return bytes([int(byte[1], 16)])
    return piece.replace("\N{LOWER ONE EIGHTH BLOCK}", " ").encode()


def _shown_bytes() -> dict[int, int]:
    """Return the byte for each character that byte-level vocabularies write in its place.

    GPT-2's `bytes_to_unicode`: bytes that do not print follow from U+0100 on, in their order.
    """
    hidden = [*range(0x21), *range(0x7F, 0xA1), 0xAD]
    return {0x100 + place: byte for place, byte in enumerate(hidden)}


_SHOWN = _shown_bytes()
