"""The bytes of an index: magic, versions, fingerprint, checksum, then the grammar and its options.

At offset (integers are little-endian):

* 0: magic "FWINDEX" and a zero byte;
* 8: format version, 2 bytes; length n of the engine version, 2; length m of the body, 4;
* 16: SHA-256 of the vocabulary;
* 48: SHA-256 of everything else;
* 80: the engine version, n bytes of ASCII;
* 80 + n: the body, m bytes: JSON of the grammar, the options, the budget, and what the grammar was
  lowered to, so that loading is the library's work alone.
"""

import dataclasses
import json
import struct
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from formwork_engine import inputs
from formwork_engine.errors import IndexFormatError
from formwork_engine.inputs import (
    AnyJson,
    Budget,
    GrammarInput,
    IndexOptions,
    JsonSchema,
    Lark,
    Regex,
)
from formwork_engine.version import ENGINE_VERSION

MAGIC: Final = b"FWINDEX\0"
FORMAT_VERSION: Final = 1
MAX_BODY_BYTES: Final = 64 * 1024 * 1024

_HEADER = struct.Struct("<8sHHI32s32s")
_CHECKED_HEADER = struct.Struct("<8sHHI32s")
_KINDS: dict[str, type[GrammarInput]] = {
    "json_schema": JsonSchema,
    "any_json": AnyJson,
    "regex": Regex,
    "lark": Lark,
}
_ENUM_FIELDS = {
    "whitespace": inputs.Whitespace,
    "property_order": inputs.PropertyOrder,
    "spellings": inputs.Spellings,
}


@dataclass(frozen=True)
class IndexContent:
    """Everything that an index of this engine consists of."""

    grammar: GrammarInput
    options: IndexOptions
    budget: Budget
    lowered: str
    """What `write_grammar` made of it."""


def write_index(content: IndexContent, fingerprint: str) -> bytes:
    """Return the bytes of an index."""
    engine, body = ENGINE_VERSION.encode("ascii"), _write_body(content)
    start = (MAGIC, FORMAT_VERSION, len(engine), len(body), bytes.fromhex(fingerprint))
    checksum = _checksum(_CHECKED_HEADER.pack(*start), engine + body)
    return _HEADER.pack(*start, checksum) + engine + body


def read_index(data: bytes, fingerprint: str) -> IndexContent:
    """Return what the bytes of an index hold.

    Raises:
        IndexFormatError: Not an index, damaged, or of another engine version or vocabulary.
    """
    if len(data) < _HEADER.size or not data.startswith(MAGIC):
        raise IndexFormatError("not an index")
    _, version, engine_size, body_size, written_for, checksum = _HEADER.unpack_from(data)
    if version != FORMAT_VERSION:
        raise IndexFormatError(f"format version {version}, not {FORMAT_VERSION}")
    rest = data[_HEADER.size :]
    if len(rest) != engine_size + body_size or body_size > MAX_BODY_BYTES:
        raise IndexFormatError("truncated or overlong")
    if _checksum(data[: _CHECKED_HEADER.size], rest) != checksum:
        raise IndexFormatError("damaged: the checksum differs")
    if rest[:engine_size] != ENGINE_VERSION.encode("ascii"):
        raise IndexFormatError(f"of engine {rest[:engine_size]!r}, not {ENGINE_VERSION}")
    if written_for.hex() != fingerprint:
        raise IndexFormatError(f"of vocabulary {written_for.hex()}, not {fingerprint}")
    return _read_body(rest[engine_size:])


def _checksum(header: bytes, rest: bytes) -> bytes:
    return sha256(header + rest).digest()


def _write_body(content: IndexContent) -> bytes:
    kind = next(name for name, cls in _KINDS.items() if isinstance(content.grammar, cls))
    body = {
        "kind": kind,
        "grammar": dataclasses.asdict(content.grammar),
        "options": dataclasses.asdict(content.options),
        "budget": dataclasses.asdict(content.budget),
        "lowered": content.lowered,
    }
    return json.dumps(body, separators=(",", ":"), sort_keys=True).encode("ascii")


def _read_body(body: bytes) -> IndexContent:
    try:
        document = json.loads(body)
        grammar = _checked(_KINDS[document["kind"]], document["grammar"])
        options = {
            name: _ENUM_FIELDS[name](value) if name in _ENUM_FIELDS else value
            for name, value in document["options"].items()
        }
        return IndexContent(
            grammar,
            _checked(IndexOptions, options),
            _checked(Budget, document["budget"]),
            _text(document["lowered"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IndexFormatError(f"malformed body: {error!r}") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _checked(kind: type[Any], values: dict[str, Any]) -> Any:  # noqa: ANN401 - an instance of kind
    for field in dataclasses.fields(kind):
        if type(values[field.name]) is not field.type:
            raise TypeError(f"{field.name} is {values[field.name]!r}")
    return kind(**values)
