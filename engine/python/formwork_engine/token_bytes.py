"""Reading the bytes of every token out of a Hugging Face `tokenizer.json`."""

import json
import re
from collections.abc import Iterator
from typing import Any

from formwork_engine.errors import VocabularyError

MAX_TOKENS = 1 << 21
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_METASPACE = "\u2581"


def read_document(data: bytes) -> dict[str, Any]:
    """Return what a `tokenizer.json` says.

    Raises:
        VocabularyError: It is no JSON object.
    """
    try:
        document = json.loads(data)
    except ValueError as error:
        raise VocabularyError(f"not a tokenizer.json that can be read: {error!r}") from error
    if not isinstance(document, dict):
        raise VocabularyError("a tokenizer.json is a JSON object")
    return document


def read_token_bytes(document: dict[str, Any]) -> tuple[list[bytes], frozenset[int]]:
    """Return the bytes by id, and the special ids, of a `tokenizer.json`.

    Ids that the file leaves out have no bytes.

    Raises:
        VocabularyError: Neither byte-level nor SentencePiece with byte fallback, or malformed.
    """
    try:
        ids = _ids_of_pieces(document["model"])
        added = document.get("added_tokens") or []
        decode = _piece_decoder(document)
        special_ids = frozenset(token["id"] for token in added if token["special"])
        pieces = {**_decoded(ids, {token["id"] for token in added}, decode), **_literal(added)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise VocabularyError(f"not a tokenizer.json that can be read: {error!r}") from error
    return _as_list(pieces), special_ids


def _ids_of_pieces(model: dict[str, Any]) -> dict[str, int]:
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):  # Unigram: [[piece, score], ...]
        return {piece: token_id for token_id, (piece, _score) in enumerate(vocabulary)}
    return dict(vocabulary)


def _literal(added: list[dict[str, Any]]) -> dict[int, bytes]:
    return {token["id"]: token["content"].encode() for token in added}


def _decoded(ids: dict[str, int], added: set[int], decode: Any) -> dict[int, bytes]:  # noqa: ANN401 - a function
    return {token_id: decode(piece) for piece, token_id in ids.items() if token_id not in added}


def _as_list(pieces: dict[int, bytes]) -> list[bytes]:
    size = max(pieces, default=-1) + 1
    if not 0 < size <= MAX_TOKENS or min(pieces) < 0:
        raise VocabularyError(f"{size} tokens; between 1 and {MAX_TOKENS} can be read")
    return [pieces.get(token_id, b"") for token_id in range(size)]


def _piece_decoder(document: dict[str, Any]) -> Any:  # noqa: ANN401 - a function
    kinds = {
        part.get("type")
        for name in ("decoder", "pre_tokenizer")
        for part in _flattened(document.get(name))
    }
    if "ByteLevel" in kinds:
        return _decode_byte_level
    if document["model"].get("byte_fallback"):
        return _decode_sentencepiece
    raise VocabularyError(
        "the tokenizer is neither byte-level nor SentencePiece with byte fallback"
    )


def _flattened(part: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    if part is None:
        return
    yield part
    for child in part.get("decoders") or part.get("pretokenizers") or []:
        yield from _flattened(child)


def _decode_sentencepiece(piece: str) -> bytes:
    byte = _BYTE_TOKEN.fullmatch(piece)
    if byte:
        return bytes([int(byte.group(1), 16)])
    return piece.replace(_METASPACE, " ").encode()


def _byte_of_character() -> dict[str, int]:
    """Return GPT-2's map (its encoder.py, `bytes_to_unicode`), turned around."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    table.update({chr(256 + place): byte for place, byte in enumerate(others)})
    return table


_BYTE_OF_CHARACTER = _byte_of_character()
BYTE_CHARACTERS = tuple(_BYTE_OF_CHARACTER)
"""The characters that byte-level tokenizers write bytes with."""


def _decode_byte_level(piece: str) -> bytes:
    try:
        return bytes([_BYTE_OF_CHARACTER[character] for character in piece])
    except KeyError as error:
        raise VocabularyError(f"token {piece!r} is not spelled in byte-level characters") from error
