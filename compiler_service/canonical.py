"""The canonical form of a grammar, and the index id that follows from it."""

import dataclasses
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any, Final
from urllib.parse import unquote

from formwork_engine import (
    ENGINE_VERSION,
    AnyJson,
    Budget,
    GrammarInput,
    IndexOptions,
    JsonSchema,
    Lark,
    PropertyOrder,
    Regex,
    Spellings,
    Whitespace,
)

from compiler_service.schema_keywords import Holds, held_by, map_subschemas
from mesh.ids import Fingerprint, IndexId

CANONICAL_VERSION: Final = 3
"""Raised with every change of the canonical form."""

_KINDS: dict[str, type[GrammarInput]] = {
    "json_schema": JsonSchema,
    "any_json": AnyJson,
    "regex": Regex,
    "lark": Lark,
}


@dataclass(frozen=True)
class CanonicalGrammar:
    """All that an index follows from, and nothing else: equal ones give equal indexes."""

    grammar: GrammarInput
    """A JSON Schema is in canonical form."""
    options: IndexOptions
    budget: Budget
    fingerprint: Fingerprint
    """Of the vocabulary."""
    engine_version: str = ENGINE_VERSION

    def to_bytes(self) -> bytes:
        """Return the bytes that `from_bytes` takes and `index_id` is the hash of."""
        return self._bytes

    @cached_property
    def _bytes(self) -> bytes:
        kind = next(name for name, cls in _KINDS.items() if isinstance(self.grammar, cls))
        document = {
            "canonical": CANONICAL_VERSION,
            "kind": kind,
            "grammar": vars(self.grammar),
            "options": _fields(self.options),
            "budget": _fields(self.budget),
            "fingerprint": self.fingerprint,
            "engine": self.engine_version,
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> "CanonicalGrammar":
        """Return what `to_bytes` wrote.

        Raises:
            ValueError: Not written by this version of `to_bytes`.
        """
        try:
            grammar = cls.from_own_bytes(data)
            written = grammar.to_bytes()
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a canonical grammar: {error!r}") from error
        if written != data:  # another version, another type of a field, or an added one
            raise ValueError("not a canonical grammar of this version")
        return grammar

    @classmethod
    def from_own_bytes(cls, data: bytes) -> "CanonicalGrammar":
        """Return what this service's own `to_bytes` wrote: nothing is checked again."""
        document = json.loads(data)
        return cls(
            grammar=_KINDS[document["kind"]](**document["grammar"]),
            options=_read_options(document["options"]),
            budget=Budget(**{name: _integer(n) for name, n in document["budget"].items()}),
            fingerprint=Fingerprint(document["fingerprint"]),
            engine_version=document["engine"],
        )

    @cached_property
    def index_id(self) -> IndexId:
        """Lower-case hexadecimal SHA-256 of everything the index depends on."""
        return id_of(self.to_bytes())


@lru_cache(maxsize=64)
def _fields(part: IndexOptions | Budget) -> dict[str, Any]:
    """Return the fields of what many grammars share; not to be changed."""
    return dataclasses.asdict(part)


def id_of(canonical_grammar: bytes) -> IndexId:
    """Return the id of the index that a canonical grammar gives."""
    return IndexId(sha256(canonical_grammar).hexdigest())


def canonicalise(schema: Any) -> str:  # noqa: ANN401 - JSON
    """Return the canonical text of a parsed schema.

    Keywords that constrain nothing are gone (title, description, default, examples and all that the
    specifications do not name), by the position of a schema: a property called `title` stays, and
    so does everything inside `const` and `enum`. The order of keys stays, because it is the order
    of the answer's properties. An unknown keyword that a `$ref` of the schema leads through stays.
    """
    kept = _keywords_in_references(schema)
    return json.dumps(_stripped(schema, kept), separators=(",", ":"))


def _stripped(schema: Any, kept: frozenset[str]) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(schema, dict):
        return schema
    return {
        keyword: map_subschemas(keyword, value, lambda child: _stripped(child, kept))
        for keyword, value in schema.items()
        if held_by(keyword) is not Holds.NOTHING or keyword in kept
    }


def _keywords_in_references(schema: Any) -> frozenset[str]:  # noqa: ANN401 - JSON
    """Return every segment of every `$ref` in the text: some of them may be unknown keywords."""
    segments: set[str] = set()
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            for keyword in ("$ref", "$dynamicRef"):
                reference = value.get(keyword)
                if isinstance(reference, str):
                    segments.update(_segments(reference))
            waiting.extend(value.values())
    return frozenset(segments)


def _segments(reference: str) -> list[str]:
    pointer = unquote(reference.partition("#")[2])
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")]


def _read_options(values: dict[str, Any]) -> IndexOptions:
    return IndexOptions(
        whitespace=Whitespace(values["whitespace"]),
        max_whitespace=_integer(values["max_whitespace"]),
        property_order=PropertyOrder(values["property_order"]),
        spellings=Spellings(values["spellings"]),
        item_separator=values["item_separator"],
        key_separator=values["key_separator"],
        format_assertion=values["format_assertion"],
        in_json_string=values["in_json_string"],
        remotes=tuple((uri, schema) for uri, schema in values["remotes"]),
    )


def _integer(value: Any) -> int:  # noqa: ANN401 - JSON
    if type(value) is not int:
        raise TypeError(f"{value!r} is not an integer")
    return value
